//! Archives on a disk that fails or stops at any step.

use crate::archive::{append_foreign, open};
use crate::step_disk::{Before, StepDisk};
use crate::{line, message};
use std::fs;
use std::path::Path;
use upstash_dlq_store::core::DlqMessage;
use upstash_dlq_store::{FoundArchive, Problem, StoreError};

#[test]
fn what_counts_as_stored_is_synced_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let disk = StepDisk::default();
    let found = FoundArchive::find_on(disk.clone(), &path).unwrap();
    assert!(disk.take_steps().is_empty());
    let mut archive = found.open().unwrap();
    assert_eq!(disk.take_steps(), ["create archive", "sync", "sync folder"]);
    assert_eq!(disk.synced_folders(), [folder.path()]);
    disk.interrupt();
    archive.append(&[message("a")]).unwrap();
    assert_eq!(disk.take_steps(), ["append", "sync"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a"), "an append that is interrupted is made again");
    // Pages that arrive together share a sync. What is written and not synced is no change by somebody else.
    archive.write(&[message("b")]).unwrap();
    archive.check_untouched().unwrap();
    archive.write(&[message("c")]).unwrap();
    assert_eq!(disk.take_steps(), ["append", "append"]);
    archive.sync().unwrap();
    archive.check_untouched().unwrap();
    assert_eq!(disk.take_steps(), ["sync"]);
    drop(archive);
    fs::write(&path, line("a") + "{\"dlqId\"").unwrap();
    FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
    assert_eq!(disk.take_steps(), ["truncate", "rewrite byte", "sync", "sync folder"]);
    fs::write(&path, line("a").trim_end()).unwrap();
    FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
    assert_eq!(disk.take_steps(), ["append", "sync", "sync folder"]);
}

/// Messages are gathered, so that a page is one append, but no more of them than a mebibyte: what is gathered is held twice.
#[test]
fn a_page_is_one_append_up_to_a_bound() {
    const MEBIBYTE: usize = 1024 * 1024;
    let of_length = |length: usize| {
        let empty = r#"{"dlqId":"a","body":""}"#.len();
        DlqMessage::parse(&format!(r#"{{"dlqId":"a","body":"{}"}}"#, "x".repeat(length - empty))).unwrap()
    };
    for (lengths, appends) in [
        (&[2_000; 100][..], 1),
        (&[MEBIBYTE - 1], 1),
        // The newline after a message that is appended by itself is gathered.
        (&[MEBIBYTE], 2),
        (&[2_000, MEBIBYTE - 2_001, 2_000], 3),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let disk = StepDisk::default();
        let mut archive = FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
        disk.take_steps();
        let messages: Vec<DlqMessage> = lengths.iter().map(|length| of_length(*length)).collect();
        archive.append(&messages).unwrap();
        assert_eq!(disk.take_steps().iter().filter(|step| *step == "append").count(), appends, "{lengths:?}");
        let expected: String = messages.iter().map(|message| format!("{}\n", message.as_json())).collect();
        assert!(fs::read_to_string(&path).unwrap() == expected, "{lengths:?}");
    }
}

/// Opens what `before` left and appends two batches. Returns which of them count as stored.
fn history(disk: StepDisk, path: &Path) -> (Vec<&'static str>, Result<(), StoreError>) {
    let mut stored = Vec::new();
    let append = || {
        let mut archive = FoundArchive::find_on(disk, path)?.open()?;
        for id in ["b", "c"] {
            archive.append(&[message(id)])?;
            stored.push(id);
        }
        Ok(())
    };
    let result = append();
    (stored, result)
}

/// A step that fails is reported; a process that is stopped there leaves what the next one can continue. Either way
/// nothing that counted as stored is lost, and no line is torn after the next opening.
#[test]
fn every_step_may_fail_or_be_the_last() {
    for before in ["", "{\"dlqId\":\"a\"}\n", "{\"dlqId\":\"a\"}", "{\"dlqId\":\"a\"}\n{\"dlqId\":\"to"] {
        let mut steps_that_matter = 0;
        for (step, for_good) in (0..12).flat_map(|step| [(step, false), (step, true)]) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("archive");
            if !before.is_empty() {
                fs::write(&path, before).unwrap();
            }
            let disk = if for_good { StepDisk::stopping_at(step) } else { StepDisk::failing_at(step) };
            let (stored, result) = history(disk.clone(), &path);
            let reached = disk.take_steps().len() > step;
            match &result {
                Ok(()) => assert!(!reached, "{before:?}, {step}: a failure was passed over"),
                Err(error) => assert!(matches!(error.problem, Problem::Write(_)), "{before:?}, {step}: {error}"),
            }
            steps_that_matter += usize::from(reached);
            open(&path).unwrap().append(&[message("d")]).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let mut expected = if before.contains("\"a\"") { "{\"dlqId\":\"a\"}\n".to_owned() } else { String::new() };
            stored.iter().for_each(|id| expected += &line(id));
            let rest = text.strip_prefix(&expected).unwrap_or_else(|| panic!("{before:?}, {step}: {text}"));
            // A batch that was written but not confirmed may be there; half of one may not.
            let next = if stored.is_empty() { "b" } else { "c" };
            assert!([line("d"), line(next) + &line("d")].contains(&rest.to_owned()), "{before:?}, {step}: {text}");
        }
        assert!(steps_that_matter >= 12, "{before:?}: {steps_that_matter}");
    }
}

#[test]
fn a_batch_that_cannot_be_written_is_taken_back() {
    for step in [3, 4] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let disk = StepDisk::failing_at(step);
        let mut archive = FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
        archive.append(&[message("a")]).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(disk.take_steps().last().unwrap(), "truncate");
        assert!(matches!(archive.append(&[message("b")]).unwrap_err().problem, Problem::Broken));
        assert!(disk.take_steps().is_empty());
    }
}

/// Their lines stay: cutting the file to what this process knows of would take them.
#[test]
fn nothing_is_taken_back_from_a_file_that_somebody_else_has_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let disk = StepDisk::failing_at(4);
    let mut archive = FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
    let shared = path.clone();
    disk.interfere(Before::Look, move || append_foreign(&shared, line("theirs").as_bytes()));
    assert!(matches!(archive.append(&[message("a")]).unwrap_err().problem, Problem::Write(_)));
    assert!(!disk.awaits_interference());
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a") + &line("theirs"));
}

#[test]
fn a_file_that_goes_before_it_is_locked_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, line("a")).unwrap();
    let disk = StepDisk::default();
    let shared = path.clone();
    disk.interfere(Before::Lock, move || fs::remove_file(shared).unwrap());
    assert!(matches!(FoundArchive::find_on(disk.clone(), &path).unwrap_err().problem, Problem::Moved));
    // The same where the file is new.
    let found = FoundArchive::find_on(disk.clone(), &path).unwrap();
    disk.interfere(Before::Lock, move || fs::remove_file(path).unwrap());
    assert!(matches!(found.open().unwrap_err().problem, Problem::Moved));
}

/// A sync that failed may have left the last newline.
#[test]
fn a_newline_that_may_be_lost_is_written_again() {
    const AGAIN: &[&str] = &["rewrite byte", "sync", "sync folder"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let sector = format!("{{\"dlqId\":\"{}\"}}\n", "a".repeat(512 - 13));
    assert_eq!(sector.len(), 512);
    for (before, steps) in [
        (line("a"), AGAIN),
        (sector.clone(), AGAIN),
        (sector.clone() + "{\"dlqId\":", &["truncate", "rewrite byte", "sync", "sync folder"]),
        (sector + &line("b"), AGAIN),
        (line("b").trim_end().to_owned(), &["append", "sync", "sync folder"]),
        ("{\"dlqId\":".to_owned(), &["truncate", "sync", "sync folder"]),
        (String::new(), &["sync", "sync folder"]),
    ] {
        fs::write(&path, &before).unwrap();
        let disk = StepDisk::default();
        FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
        assert_eq!(disk.take_steps(), steps, "{before}");
        if !steps.contains(&"rewrite byte") {
            continue;
        }
        // In a file that may only be appended to, an empty line takes its place.
        fs::write(&path, &before).unwrap();
        let disk = StepDisk::append_only();
        let mut archive = FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap();
        archive.append(&[message("c")]).unwrap();
        let steps = disk.take_steps();
        let expected: &[&str] = &["append", "sync", "sync folder", "append", "sync"];
        let cut: &[&str] =
            if before.ends_with('\n') { &["rewrite byte"] } else { &["truncate", "rewrite byte", "sync"] };
        assert_eq!(steps, [cut, expected].concat(), "{before}");
        let whole = before.strip_suffix("{\"dlqId\":").unwrap_or(&before);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{whole}\n{}", line("c")));
    }
}

/// The name of a new file is not on the disk if its folder cannot be synced. The next sync may succeed without a write.
#[test]
fn a_file_whose_folder_cannot_be_synced_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let disk = StepDisk::failing_at(2);
    FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap_err();
    assert_eq!(disk.take_steps(), ["create archive", "sync", "sync folder", "remove archive"]);
    assert!(!path.exists());
    // What somebody has put there meanwhile stays.
    let disk = StepDisk::failing_at(2);
    let (shared, other) = (path.clone(), folder.path().join("other"));
    fs::write(&other, "theirs").unwrap();
    disk.interfere(Before::Folder, move || fs::rename(other, shared).unwrap());
    FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap_err();
    assert!(!disk.awaits_interference());
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    // One that was there stays.
    fs::write(&path, line("a")).unwrap();
    let disk = StepDisk::failing_at(2);
    FoundArchive::find_on(disk.clone(), &path).unwrap().open().unwrap_err();
    assert_eq!(disk.take_steps(), ["rewrite byte", "sync", "sync folder"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a"));
}
