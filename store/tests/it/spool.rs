//! The ids next to a checkpoint: each once, never changed.

use crate::step_disk::StepDisk;
use crate::{id, make_pipe, mode, names};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use upstash_dlq_store::{CheckpointFile, Disk, IdSpool, Problem, StoreError};

fn write<D: Disk>(file: &CheckpointFile<D>, count: usize) -> Result<IdSpool<D>, StoreError> {
    let mut writer = file.new_spool()?;
    for number in 0..count {
        writer.add(&id(number))?;
    }
    writer.finish()
}

#[test]
fn ids_are_read_from_anywhere_also_by_a_later_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    for count in [0, 1, 1_023, 1_024, 1_025, 12_345] {
        let file = CheckpointFile::open(&path).unwrap();
        let written = write(&file, count).unwrap();
        let digest = written.digest();
        assert_eq!(mode(written.path()), 0o600);
        let opened = file.spool(&digest).unwrap();
        for spool in [&written, &opened] {
            assert_eq!((spool.total(), spool.digest()), (count as u64, digest.clone()));
            for (before, asked) in [(0, 50), (1_000, 50), (1_023, 1), (1_024, 1), (3, 5_000), (12_300, 50), (0, 99_999)]
            {
                let expected: Vec<_> = (before..count).take(asked).map(id).collect();
                assert_eq!(spool.read(before as u64, asked).unwrap(), expected, "{count}: {asked} after {before}");
            }
            assert_eq!(spool.read(u64::MAX, usize::MAX).unwrap(), []);
            assert_eq!(spool.read(0, 0).unwrap(), []);
        }
    }
}

#[test]
fn each_id_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    let mut writer = file.new_spool().unwrap();
    for (number, is_new) in [(7, true), (3, true), (7, false), (9, true), (3, false)] {
        assert_eq!(writer.add(&id(number)).unwrap(), is_new);
    }
    let spool = writer.finish().unwrap();
    assert_eq!(spool.read(0, 10).unwrap(), [id(7), id(3), id(9)]);
    assert_eq!(spool.total(), 3);
    // Another order is another list.
    let digest = spool.digest();
    let mut writer = file.new_spool().unwrap();
    [3, 7, 9].into_iter().for_each(|number| assert!(writer.add(&id(number)).unwrap()));
    assert_ne!(writer.finish().unwrap().digest(), digest);
}

#[test]
fn a_changed_list_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".position.ids");
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    let spool = write(&file, 3_000).unwrap();
    let digest = spool.digest();
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let swapped = [&lines[..10], &[lines[11], lines[10]], &lines[12..]].concat().concat();
    let changes = [
        ("an id", whole.replacen("id-2999", "id-9999", 1)),
        ("the first line", whole.replacen("ids", "xds", 1)),
        ("one more", whole.clone() + "id-3000\n"),
        ("one less", whole.replacen("id-17\n", "", 1)),
        ("twice", whole.replacen("id-17\n", "id-17\nid-17\n", 1)),
        ("cut", whole[..whole.len() - 3].to_owned()),
        ("no last newline", whole.trim_end().to_owned()),
        ("swapped", swapped),
        ("a long line", whole.clone() + &"x".repeat(2_000)),
        ("empty", String::new()),
    ];
    for (how, changed) in &changes {
        assert_ne!(changed, &whole, "{how}");
        fs::write(&path, changed).unwrap();
        assert!(matches!(file.spool(&digest).unwrap_err().problem, Problem::Changed), "{how}");
    }
    fs::write(&path, &whole).unwrap();
    let opened = file.spool(&digest).unwrap();
    assert!(matches!(file.spool(&digest.replace(|_: char| true, "0")).unwrap_err().problem, Problem::Changed));
    // What changes while it is open is noticed where it is read.
    fs::write(&path, &changes[0].1).unwrap();
    for spool in [&spool, &opened] {
        assert_eq!(spool.read(0, 50).unwrap().len(), 50);
        assert!(matches!(spool.read(2_990, 50).unwrap_err().problem, Problem::Changed));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(opened.read(0, 50).unwrap_err().problem, Problem::Moved));
    let error = file.spool(&digest).unwrap_err();
    assert!(matches!(error.problem, Problem::Missing) && error.path == path, "{error}");
}

#[test]
fn a_list_that_a_checkpoint_may_need_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    let digest = write(&file, 3).unwrap().digest();
    // A process that ends here leaves a list without a checkpoint, which the next one replaces.
    let digest_of_next = write(&file, 2).unwrap().digest();
    assert_ne!(digest, digest_of_next);
    file.write("one").unwrap();
    assert!(matches!(file.new_spool().unwrap_err().problem, Problem::HasCheckpoint));
    assert_eq!(file.spool(&digest_of_next).unwrap().total(), 2);
    file.remove().unwrap();
    drop(file);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_file_of_somebody_elses_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".position.ids");
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    for held in ["", "mine\n", "id-0\nid-1\n"] {
        fs::write(&path, held).unwrap();
        assert!(matches!(file.new_spool().unwrap_err().problem, Problem::NotASpool));
        file.write("one").unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), held);
    }
    fs::rename(&path, folder.path().join("real")).unwrap();
    symlink(folder.path().join("real"), &path).unwrap();
    assert!(matches!(file.new_spool().unwrap_err().problem, Problem::SymbolicLink));
    assert!(matches!(file.spool("").unwrap_err().problem, Problem::Read(_)));
}

/// Anybody may put a pipe into a shared folder: nobody waits for what comes through it.
#[test]
fn a_pipe_in_its_place_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    let digest = write(&file, 1).unwrap().digest();
    let pipe = folder.path().join(".position.ids");
    fs::remove_file(&pipe).unwrap();
    make_pipe(&pipe);
    let (done, was_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        assert!(file.spool(&digest).is_err() && file.new_spool().is_err());
        file.write("{}").unwrap();
        file.remove().unwrap();
        done.send(file.path().exists()).unwrap();
    });
    // The pipe is not ours.
    assert_eq!((was_done.recv_timeout(std::time::Duration::from_secs(60)), pipe.exists()), (Ok(false), true));
}

#[test]
fn an_unfinished_list_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = CheckpointFile::open(folder.path().join("position")).unwrap();
    let mut writer = file.new_spool().unwrap();
    for number in 0..20_000 {
        writer.add(&id(number)).unwrap();
    }
    assert_eq!(names(folder.path()), [".position.ids-tmp", ".position.lock"]);
    assert!(fs::metadata(folder.path().join(".position.ids-tmp")).unwrap().len() > 0);
    drop(writer);
    assert_eq!(names(folder.path()), [".position.lock"]);
}

#[test]
fn a_list_is_synced_before_it_takes_its_place_and_removed_after_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let disk = StepDisk::default();
    let file = CheckpointFile::open_on(disk.clone(), folder.path().join("position")).unwrap();
    disk.take_steps();
    write(&file, 3).unwrap();
    let expected = ["create .position.ids-tmp", "append", "sync", "rename .position.ids", "sync folder"];
    assert_eq!(disk.take_steps(), expected);
    file.write("one").unwrap();
    disk.take_steps();
    file.remove().unwrap();
    assert_eq!(disk.take_steps(), ["remove position", "sync folder", "remove .position.ids"]);
}

fn history(disk: StepDisk, path: &Path) -> Result<String, StoreError> {
    let file = CheckpointFile::open_on(disk, path)?;
    let digest = write(&file, 10_000)?.digest();
    file.write(&digest)?;
    file.remove()?;
    Ok(digest)
}

/// A checkpoint never lacks its list, wherever the process ends, and nothing stays in the way of the next one.
#[test]
fn every_step_may_fail_or_be_the_last() {
    let mut with_checkpoint = 0;
    for (step, for_good) in (0..20).flat_map(|step| [(step, false), (step, true)]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        let disk = if for_good { StepDisk::stopping_at(step) } else { StepDisk::failing_at(step) };
        let result = history(disk.clone(), &path);
        let steps = disk.take_steps();
        let reached = steps.len() > step && steps[step] != "remove .position.lock";
        assert_eq!(result.is_err(), reached, "{step}: {steps:?}");
        let next = CheckpointFile::open(&path).unwrap();
        if let Some(digest) = next.read().unwrap() {
            with_checkpoint += 1;
            let digest = String::from_utf8(digest).unwrap();
            assert_eq!(next.spool(digest.trim_end()).unwrap().total(), 10_000, "{step}: {steps:?}");
        } else {
            assert_eq!(write(&next, 5).unwrap().total(), 5);
        }
        next.remove().unwrap();
        drop(next);
        assert!(names(folder.path()).is_empty(), "{step}: {steps:?}");
    }
    assert!(with_checkpoint > 0);
}
