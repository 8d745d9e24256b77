//! Checkpoints: whole, private, one process's.

use crate::step_disk::{Before, StepDisk};
use crate::{make_pipe, mode, names};
use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use upstash_dlq_store::{CheckpointFile, Problem, StoreError};

fn text(file: &CheckpointFile) -> Option<String> {
    file.read().unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_written_is_read_again_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let file = CheckpointFile::open(&path).unwrap();
    assert_eq!((text(&file), file.path()), (None, path.as_path()));
    for checkpoint in ["one", "a longer one", "x"] {
        file.write(checkpoint).unwrap();
        assert_eq!(text(&file), Some(format!("{checkpoint}\n")));
    }
    assert_eq!((mode(&path), mode(file.lock_file().unwrap())), (0o600, 0o600));
    assert_eq!(names(folder.path()), [".position.lock", "position"]);
    drop(file);
    assert_eq!(names(folder.path()), ["position"]);
    let file = CheckpointFile::open(&path).unwrap();
    assert_eq!(text(&file), Some("x\n".into()));
    file.remove().unwrap();
    file.remove().unwrap();
    drop(file);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let first = CheckpointFile::open(&path).unwrap();
    // While there is no checkpoint yet, and when there is one.
    for _ in 0..2 {
        assert!(matches!(CheckpointFile::open(&path).unwrap_err().problem, Problem::InUse));
        first.write("one").unwrap();
    }
    assert_eq!(names(folder.path()), [".position.lock", "position"]);
    drop(first);
    CheckpointFile::open(&path).unwrap();
}

#[test]
fn a_lock_that_was_taken_away_stops_the_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let first = CheckpointFile::open(&path).unwrap();
    first.write("one").unwrap();
    fs::remove_file(first.lock_file().unwrap()).unwrap();
    let second = CheckpointFile::open(&path).unwrap();
    let error = first.write("two").unwrap_err();
    assert!(matches!(error.problem, Problem::Moved) && error.path.ends_with(".position.lock"), "{error}");
    assert!(matches!(first.new_spool().unwrap_err().problem, Problem::Moved));
    // It may be the second one's checkpoint by now.
    assert!(matches!(first.remove().unwrap_err().problem, Problem::Moved) && path.exists());
    // The second one's lock is not removed on the way out.
    drop(first);
    assert!(matches!(CheckpointFile::open(&path).unwrap_err().problem, Problem::InUse));
    assert_eq!(text(&second), Some("one\n".into()));
}

/// The process that has it ends and takes its lock file along, and a third one makes a new one.
#[test]
fn a_lock_that_goes_before_it_is_held_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let disk = StepDisk::default();
    let (third, shared) = (Rc::new(RefCell::new(None)), path.clone());
    let holder = Rc::clone(&third);
    disk.interfere(Before::Lock, move || {
        fs::remove_file(shared.with_file_name(".position.lock")).unwrap();
        *holder.borrow_mut() = Some(CheckpointFile::open(shared).unwrap());
    });
    assert!(matches!(CheckpointFile::open_on(disk.clone(), &path).unwrap_err().problem, Problem::InUse));
    third.borrow_mut().take().unwrap().write("theirs").unwrap();
    // Where nobody comes in between, the next one is taken.
    let shared = path.clone();
    disk.interfere(Before::Lock, move || fs::remove_file(shared.with_file_name(".position.lock")).unwrap());
    let file = CheckpointFile::open_on(disk.clone(), &path).unwrap();
    assert!(!disk.awaits_interference() && file.lock_file().unwrap().exists());
    assert!(matches!(CheckpointFile::open(&path).unwrap_err().problem, Problem::InUse));
}

/// What happens between the look for a lock file and its opening: it goes, it comes, or it is replaced by something else.
#[test]
fn a_lock_that_comes_or_goes_before_it_is_opened_is_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lock) = (folder.path().join("position"), folder.path().join(".position.lock"));
    let disk = StepDisk::default();
    fs::write(&lock, "").unwrap();
    let goes = lock.clone();
    disk.interfere(Before::Open, move || fs::remove_file(goes).unwrap());
    drop(CheckpointFile::open_on(disk.clone(), &path).unwrap());
    assert!(!disk.awaits_interference() && !lock.exists());
    let (other, shared) = (Rc::new(RefCell::new(None)), path.clone());
    let holder = Rc::clone(&other);
    disk.interfere(Before::Create, move || *holder.borrow_mut() = Some(CheckpointFile::open(shared).unwrap()));
    assert!(matches!(CheckpointFile::open_on(disk.clone(), &path).unwrap_err().problem, Problem::InUse));
    drop(other.borrow_mut().take());
    fs::write(&lock, "").unwrap();
    disk.interfere(Before::Open, move || {
        fs::remove_file(&lock).unwrap();
        std::os::unix::fs::symlink(&lock, &lock).unwrap();
    });
    assert!(matches!(CheckpointFile::open_on(disk, &path).unwrap_err().problem, Problem::Write(_)));
}

/// A checkpoint that cannot be opened is not one that is not there.
#[test]
fn what_cannot_be_opened_is_not_taken_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let file = CheckpointFile::open(&path).unwrap();
    assert!(file.read().unwrap().is_none());
    std::os::unix::fs::symlink(&path, &path).unwrap();
    assert!(matches!(file.read().unwrap_err().problem, Problem::Read(_)));
}

#[test]
fn a_lock_file_that_holds_something_stays() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join(".position.lock");
    fs::write(&lock, "mine").unwrap();
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    assert_eq!(file.lock_file(), None);
    drop(file);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "mine");
}

#[test]
fn no_link_is_followed_and_only_a_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("real"), "mine").unwrap();
    for target in ["real", "absent"] {
        for link in ["position", ".position.lock"] {
            symlink(path(target), path(link)).unwrap();
            let error = CheckpointFile::open(path("position")).unwrap_err();
            assert!(matches!(error.problem, Problem::SymbolicLink) && error.path == path(link), "{error}");
            fs::remove_file(path(link)).unwrap();
        }
    }
    // What lies under the temporary names is taken away, not written through.
    symlink(path("real"), path(".position.tmp")).unwrap();
    symlink(path("real"), path(".position.ids-tmp")).unwrap();
    let file = CheckpointFile::open(path("position")).unwrap();
    file.write("one").unwrap();
    drop(file);
    assert_eq!(names(folder.path()), ["position", "real"]);
    assert_eq!(fs::read_to_string(path("real")).unwrap(), "mine");

    fs::create_dir(path("folder")).unwrap();
    make_pipe(&path("pipe"));
    let problem = |given: PathBuf| CheckpointFile::open(given).unwrap_err().problem;
    assert!(matches!(problem(path("folder")), Problem::NotAFile));
    assert!(matches!(problem("/dev/null".into()), Problem::NotAFile));
    assert!(matches!(problem(path("pipe")), Problem::Pipe));
    assert!(matches!(problem("/".into()), Problem::NoName));
    assert!(matches!(problem(path("nowhere/position")), Problem::Write(_)));
}

#[test]
fn what_is_too_long_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let file = CheckpointFile::open(&path).unwrap();
    // Nothing but a hole: it takes no room.
    fs::File::create(&path).unwrap().set_len(<CheckpointFile>::MAX_LEN + 1).unwrap();
    assert!(matches!(file.read().unwrap_err().problem, Problem::TooLong(len) if len == <CheckpointFile>::MAX_LEN));
}

#[test]
fn a_replacement_is_synced_before_it_takes_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let disk = StepDisk::default();
    let file = CheckpointFile::open_on(disk.clone(), folder.path().join("position")).unwrap();
    assert_eq!(disk.take_steps(), ["create .position.lock"]);
    file.write("one").unwrap();
    let expected = ["create .position.tmp", "append", "append", "sync", "rename position", "sync folder"];
    assert_eq!(disk.take_steps(), expected);
}

/// A name is brought to the disk by its folder, or by the file itself once it has the name.
#[test]
fn where_the_folder_cannot_be_synced_the_file_is_synced_under_its_name() {
    for why in [ErrorKind::PermissionDenied, ErrorKind::Unsupported] {
        let folder = tempfile::tempdir().unwrap();
        let disk = StepDisk::with_closed_folders(why);
        let file = CheckpointFile::open_on(disk.clone(), folder.path().join("position")).unwrap();
        let mut spool = file.new_spool().unwrap();
        disk.take_steps();
        spool.add(&crate::id(1)).unwrap();
        spool.finish().unwrap();
        assert_eq!(disk.take_steps(), ["append", "sync", "rename .position.ids", "sync"]);
        file.write("one").unwrap();
        let expected = ["create .position.tmp", "append", "append", "sync", "rename position", "sync"];
        assert_eq!(disk.take_steps(), expected);
        file.remove().unwrap();
        assert_eq!(disk.take_steps(), ["remove position", "remove .position.ids"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = StepDisk::with_closed_folders(ErrorKind::StorageFull);
    let file = CheckpointFile::open_on(disk, folder.path().join("position")).unwrap();
    assert!(matches!(file.write("one").unwrap_err().problem, Problem::Write(_)));
    // It is gone, and may come back. No list of ids has to stay until it cannot.
    file.remove().unwrap();
}

/// A request must not follow a checkpoint that another process may not have seen.
#[test]
fn a_lock_that_goes_during_the_writing_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    for before in [Before::Sync, Before::Folder] {
        let disk = StepDisk::default();
        let first = CheckpointFile::open_on(disk.clone(), &path).unwrap();
        let (second, shared) = (Rc::new(RefCell::new(None)), path.clone());
        let holder = Rc::clone(&second);
        disk.interfere(before, move || {
            fs::remove_file(shared.with_file_name(".position.lock")).unwrap();
            let second = CheckpointFile::open(&shared).unwrap();
            // As a process that writes does.
            fs::write(shared.with_file_name(".position.tmp"), "half of it").unwrap();
            *holder.borrow_mut() = Some(second);
        });
        let error = first.write("one").unwrap_err();
        assert!(matches!(error.problem, Problem::Moved), "{before:?}: {error}");
        assert!(!disk.awaits_interference());
        let second = second.borrow_mut().take().unwrap();
        // What the second process writes stays its own, and is not put in place before it is whole.
        assert_eq!(text(&second).as_deref(), (before == Before::Folder).then_some("one\n"), "{before:?}");
        assert_eq!(fs::read_to_string(folder.path().join(".position.tmp")).unwrap(), "half of it", "{before:?}");
        drop((first, second));
        fs::remove_file(folder.path().join(".position.tmp")).ok();
        fs::remove_file(&path).ok();
    }
}

#[test]
fn a_lock_file_is_removed_once_and_only_if_it_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let first = CheckpointFile::open(&path).unwrap();
    first.remove_lock_file();
    assert!(names(folder.path()).is_empty());
    let second = CheckpointFile::open(&path).unwrap();
    first.remove_lock_file();
    drop(first);
    assert_eq!(names(folder.path()), [".position.lock"]);
    assert!(second.lock_file().unwrap().exists());
}

#[test]
fn a_path_of_a_folder_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["absent/", "absent/.", "absent//"] {
        let path = PathBuf::from(format!("{}/{name}", folder.path().display()));
        let error = CheckpointFile::open(path).unwrap_err();
        assert!(matches!(error.problem, Problem::NoName), "{name}: {error}");
    }
    assert!(names(folder.path()).is_empty());
}

fn history(disk: StepDisk, path: &Path) -> Result<(), StoreError> {
    let file = CheckpointFile::open_on(disk, path)?;
    file.write("the new one")
}

#[test]
fn every_step_may_fail_or_be_the_last() {
    let mut steps_that_matter = 0;
    for (step, for_good) in (0..12).flat_map(|step| [(step, false), (step, true)]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        fs::write(&path, "the old one\n").unwrap();
        let disk = if for_good { StepDisk::stopping_at(step) } else { StepDisk::failing_at(step) };
        let result = history(disk.clone(), &path);
        let steps = disk.take_steps();
        // The last step removes the lock file; one that stays is taken again.
        let reached = steps.len() > step && !steps[step].starts_with("remove");
        assert_eq!(result.is_err(), reached, "{step}");
        steps_that_matter += usize::from(reached);
        let left = fs::read_to_string(&path).unwrap();
        let replaced = steps.iter().take(step).any(|step| step.starts_with("rename"));
        assert_eq!(left, if replaced { "the new one\n" } else { "the old one\n" }, "{step}");
        let next = CheckpointFile::open(&path).unwrap();
        assert_eq!(text(&next), Some(left));
        next.write("the next one").unwrap();
        drop(next);
        assert_eq!(names(folder.path()), ["position"], "{step}");
    }
    assert_eq!(steps_that_matter, 14);
}
