//! Archives on the real disk: private, one process's, and nobody else's file.

use crate::step_disk::StepDisk;
use crate::{line, make_pipe, message, mode, names};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;
use upstash_dlq_store::{Access, ArchiveFile, Disk, FoundArchive, Kind, NotAnArchive, Problem, RealDisk, StoreError};

pub(crate) fn open(path: &Path) -> Result<ArchiveFile, StoreError> {
    FoundArchive::find(path)?.open()
}

pub(crate) fn append_foreign(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn finding_creates_nothing_and_opening_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let found = FoundArchive::find(&path).unwrap();
    assert!(names(folder.path()).is_empty());
    let mut archive = found.open().unwrap();
    archive.append(&[message("a"), message("b")]).unwrap();
    archive.append(&[]).unwrap();
    archive.append(&[message("c")]).unwrap();
    archive.check_untouched().unwrap();
    assert!(!archive.repaired() && archive.path() == path);
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a") + &line("b") + &line("c"));
    assert_eq!((mode(&path), names(folder.path())), (0o600, vec!["archive".into()]));
}

/// Somebody has made a file by hand, and has not thought of its mode.
#[test]
fn an_empty_file_becomes_private_once_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    for (before, expected) in [(String::new(), 0o600), (line("a"), 0o644)] {
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let found = FoundArchive::find(&path).unwrap();
        assert_eq!(mode(&path), 0o644, "it is not open yet");
        found.open().unwrap();
        assert_eq!(mode(&path), expected);
    }
    // The mode of a file that may only be appended to cannot be changed.
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    FoundArchive::find_on(StepDisk::append_only(), &path).unwrap().open().unwrap();
    assert_eq!(mode(&path), 0o644);
}

/// Its owner could read what is written, and change it. Only root can give a file away.
#[test]
fn a_file_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, "").unwrap();
    assert!(matches!(FoundArchive::find_on(StepDisk::untrusting(), &path).unwrap_err().problem, Problem::OtherUser));
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(12_345), None).is_ok();
    if give(&path) {
        let error = ArchiveFile::open(&path).unwrap_err();
        assert!(error.to_string().ends_with("cannot be written: it belongs to another user"), "{error}");
        // Where a file system gives everything to one user, the folder is theirs, too.
        assert!(give(folder.path()));
    }
    ArchiveFile::open(&path).unwrap();
}

#[test]
fn a_file_is_continued_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    open(&path).unwrap().append(&[message("a"), message(&"b".repeat(60))]).unwrap();
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
    for (cut, zeros) in
        (0..=whole.len()).map(|cut| (cut, 0)).chain([(first, 9), (first + 40, 4_096), (whole.len() - 1, 1)])
    {
        fs::write(&path, [&whole[..cut], &vec![0; zeros]].concat()).unwrap();
        let mut file = open(&path).unwrap();
        let is_torn = zeros > 0 || ![0, first - 1, first, whole.len() - 1, whole.len()].contains(&cut);
        assert_eq!(file.repaired(), is_torn, "cut at {cut}");
        file.append(&[message("c")]).unwrap();
        let kept = match cut {
            _ if cut >= whole.len() - 1 && zeros == 0 => whole.len(),
            _ if cut >= first - 1 => first,
            _ => 0,
        };
        let expected = [&whole[..kept], line("c").as_bytes()].concat();
        assert!(fs::read(&path).unwrap() == expected, "cut at {cut}");
    }
}

/// After a power loss at the first append, the file may hold less than an id.
#[test]
fn a_first_line_that_was_torn_before_its_id_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let whole = line("a-0");
    let id_ends = "{\"dlqId\":\"a-0".len();
    for (cut, zeros) in (0..=id_ends).flat_map(|cut| [0, 1, 9, 4_096, 70_000].map(|zeros| (cut, zeros))) {
        fs::write(&path, [&whole.as_bytes()[..cut], &vec![0; zeros]].concat()).unwrap();
        assert_eq!(open(&path).unwrap().repaired(), cut + zeros > 0, "{cut} {zeros}");
        assert_eq!(fs::read(&path).unwrap(), b"", "{cut} {zeros}");
        open(&path).unwrap().append(&[message("b")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), line("b"), "{cut} {zeros}");
    }
}

#[test]
fn a_long_torn_line_is_cut_off_at_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    for torn in [65_535, 65_536, 65_537, 200_000] {
        fs::write(&path, line("a") + &format!("{{\"dlqId\":\"b\",\"body\":\"{}", "x".repeat(torn))).unwrap();
        assert!(open(&path).unwrap().repaired());
        assert_eq!(fs::read_to_string(&path).unwrap(), line("a"), "{torn}");
    }
}

/// However long it is. What lies between its lines is a hole, which takes no room and is not read.
#[test]
fn an_archive_that_is_longer_than_any_line_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, line("a")).unwrap();
    let len = 300 << 20;
    fs::File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
    append_foreign(&path, ("\n".to_owned() + &line("b")).as_bytes());
    open(&path).unwrap().append(&[message("c")]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), len + 1 + (line("b") + &line("c")).len() as u64);
}

#[test]
fn a_second_opening_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let mut first = open(&path).unwrap();
    first.append(&[message("a")]).unwrap();
    append_foreign(&path, b"{\"dlqId\":");
    let before = fs::read(&path).unwrap();
    assert!(matches!(FoundArchive::find(&path).unwrap_err().problem, Problem::InUse));
    assert_eq!(fs::read(&path).unwrap(), before);
    drop(first);
    // One that is found is held as well.
    let found = FoundArchive::find(&path).unwrap();
    assert!(matches!(FoundArchive::find(&path).unwrap_err().problem, Problem::InUse));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(found.open().unwrap().repaired());
}

/// Between finding and opening, a person may think about a question for an hour.
#[test]
fn what_happens_before_opening_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let found = FoundArchive::find(&path).unwrap();
    fs::write(&path, "notes").unwrap();
    assert!(matches!(found.open().unwrap_err().problem, Problem::NotAnArchive(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    fs::remove_file(&path).unwrap();

    let found = FoundArchive::find(&path).unwrap();
    let other = open(&path).unwrap();
    assert!(matches!(found.open().unwrap_err().problem, Problem::InUse));
    drop(other);

    let found = FoundArchive::find(&path).unwrap();
    append_foreign(&path, line("b").as_bytes());
    let mut archive = found.open().unwrap();
    archive.append(&[message("c")]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), line("b") + &line("c"));
    drop(archive);

    let found = FoundArchive::find(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(found.open().unwrap_err().problem, Problem::Moved));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn what_is_no_archive_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let first = [
        "my notes",
        "[",
        "{ ",
        "{\n",
        "{\"dlq\"",
        "{\"dlqId\": \"a",
        "{\"dlqId\":\"a b",
        "{\"dlqId\":\"a\\",
        "\u{0}{\"dlqId\":\"a",
        "{\u{0}\"dlqId\":\"a",
        "\u{0}\u{0}\n",
        "{{ template }}\n",
        "{\n  \"dlqId\": \"a-0\"\n}\n",
        "{\"name\":\"x\",\"version\":\"1",
        "{\"name\":\"x\"}",
        "{\"name\":\"x\"}\n{\"dlqId\":\"a-0\"}\n",
        "{\"dlqId\":\"a,b\"}\n",
        "{\"dlqId\":7}\n",
        "\n",
        "x\n{",
        "\u{0}\n",
        "\u{0}x\nnotes\n",
        "notes\n\u{0}\n{\"dlqId\":\"a\"}\n",
    ];
    let last = ["notes", "{\"dlqId\" \"a\"", "{{", "[", "{\"a\":1}}"].map(|end| line("a") + end);
    let cases = first
        .iter()
        .map(|text| ((*text).to_owned(), NotAnArchive::FirstLine))
        .chain(last.map(|text| (text, NotAnArchive::LastLine)));
    for (text, expected) in cases {
        fs::write(&path, &text).unwrap();
        let error = open(&path).unwrap_err();
        let shown = &text[..text.len().min(50)];
        assert!(matches!(error.problem, Problem::NotAnArchive(why) if why == expected), "{shown:?}: {error}");
        assert!(fs::read_to_string(&path).unwrap() == text, "{shown:?}");
    }
    // A line without an end, and without room on the disk.
    let file = fs::File::create(&path).unwrap();
    fs::write(&path, line("a")).unwrap();
    file.set_len(257 * 1024 * 1024 + 128 * 1024).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error.problem, Problem::NotAnArchive(NotAnArchive::LongLine)), "{error}");
}

#[test]
fn no_link_is_followed_and_no_pipe_or_folder_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("real"), line("a")).unwrap();
    symlink(path("real"), path("to-real")).unwrap();
    symlink(path("absent"), path("to-absent")).unwrap();
    make_pipe(&path("pipe"));
    for name in ["to-real", "to-absent"] {
        assert!(matches!(open(&path(name)).unwrap_err().problem, Problem::SymbolicLink), "{name}");
    }
    assert!(matches!(open(&path("pipe")).unwrap_err().problem, Problem::Pipe));
    for name in ["", "nowhere/at/all", "real/below"] {
        assert!(matches!(open(&path(name)).unwrap_err().problem, Problem::Write(_)), "{name}");
        // It is said before anybody is asked.
        assert!(matches!(FoundArchive::find(path(name)).unwrap_err().problem, Problem::Write(_)), "{name}");
    }
    // What cannot be looked at is not taken for nothing, nor for something else.
    let real = fs::File::open(path("real")).unwrap();
    assert!(RealDisk.kind(&path("real/below")).is_err() && RealDisk.kind(&path("nowhere")).unwrap().is_none());
    assert!(RealDisk.is_at(&real, &path("real/below")).is_err() && !RealDisk.is_at(&real, &path("nowhere")).unwrap());
    assert_eq!(RealDisk.kind(folder.path()).unwrap(), Some(Kind::Folder));
    // A link that is made while a person thinks.
    let found = FoundArchive::find(path("archive")).unwrap();
    symlink(path("absent"), path("archive")).unwrap();
    assert!(matches!(found.open().unwrap_err().problem, Problem::SymbolicLink));
    assert_eq!(names(folder.path()), ["archive", "pipe", "real", "to-absent", "to-real"]);
    assert_eq!(fs::read_to_string(path("real")).unwrap(), line("a"));
}

#[test]
fn whatever_becomes_of_the_file_is_noticed_before_a_message_counts_as_stored() {
    type Change = fn(&Path);
    let changes: [(&str, bool, Change); 6] = [
        ("removed", true, |path| fs::remove_file(path).unwrap()),
        ("renamed", true, |path| fs::rename(path, path.with_extension("old")).unwrap()),
        ("replaced", true, |path| {
            fs::copy(path, path.with_extension("copy")).unwrap();
            fs::rename(path.with_extension("copy"), path).unwrap();
        }),
        ("replaced by a link to it", true, |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            symlink(path.with_extension("old"), path).unwrap();
        }),
        ("truncated", false, |path| OpenOptions::new().write(true).open(path).unwrap().set_len(3).unwrap()),
        ("grown", false, |path| append_foreign(path, b"x\n")),
    ];
    for (how, moved, change) in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let mut archive = open(&path).unwrap();
        archive.append(&[message("a")]).unwrap();
        change(&path);
        let is_noticed = |result: Result<(), StoreError>| match result.unwrap_err().problem {
            Problem::Moved => moved,
            Problem::Changed => !moved,
            _ => false,
        };
        assert!(is_noticed(archive.check_untouched()), "{how}");
        assert!(is_noticed(archive.append(&[message("b")])), "{how}");
        assert!(matches!(archive.append(&[message("c")]).unwrap_err().problem, Problem::Broken), "{how}");
    }
}

/// What somebody else has written stays, and comes first.
#[test]
fn messages_are_appended_at_the_end_wherever_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let mut archive = open(&path).unwrap();
    archive.append(&[message("a")]).unwrap();
    append_foreign(&path, b"x\n");
    archive.append(&[message("b")]).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a") + "x\n" + &line("b"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_one_that_cannot_sync_are_reported() {
    let mut full = open(Path::new("/dev/full")).unwrap();
    let error = full.append(&[message("a")]).unwrap_err();
    assert!(
        matches!(&error.problem, Problem::Write(error) if error.kind() == std::io::ErrorKind::StorageFull),
        "{error}"
    );
    let mut null = open(Path::new("/dev/null")).unwrap();
    assert!(matches!(null.append(&[message("a")]).unwrap_err().problem, Problem::Write(_)));
}

/// After a sync that failed and a loss of power, the first lines may be zeros while later ones are whole.
#[test]
fn zeros_in_front_of_whole_lines_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    for hole in ["\u{0}\u{0}\n", "{\"dlqId\":\"\u{0}\u{0}\n", "\u{0}\n\u{0}b\"}\n", "\u{0}x\n\n", "\n"] {
        let before = hole.to_owned() + &line("a");
        fs::write(&path, &before).unwrap();
        let mut archive = open(&path).unwrap();
        archive.append(&[message("b")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before + &line("b"), "{hole:?}");
    }
}

/// The sectors of a long line come to the disk in any order.
#[test]
fn a_last_line_with_zeros_anywhere_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    for torn in
        ["\u{0}", "\u{0}\u{0}x\"}", "{\"dlqId\":\"b\u{0}\u{0}", "{\"dlqId\":\"b\u{0}\u{0}\"}", "{\"dlqId\":\"b\"}\u{0}"]
    {
        fs::write(&path, line("a") + torn).unwrap();
        assert!(open(&path).unwrap().repaired(), "{torn:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), line("a"), "{torn:?}");
    }
}

#[test]
fn a_byte_is_written_again_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    fs::write(&path, line("a")).unwrap();
    let last = line("a").len() as u64 - 1;
    let file = RealDisk.open(&path, Access::Append).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    RealDisk.rewrite_byte(&file, &path, last, b'\n').unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a"));
    assert!(file.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH, "nothing was written");
    // Another file in its place is not touched, and no link is followed.
    fs::rename(&path, folder.path().join("moved")).unwrap();
    fs::write(&path, "x").unwrap();
    assert_eq!(RealDisk.rewrite_byte(&file, &path, 0, b'y').unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    fs::remove_file(&path).unwrap();
    symlink(folder.path().join("moved"), &path).unwrap();
    RealDisk.rewrite_byte(&file, &path, 0, b'y').unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), line("a"));
}

#[test]
fn a_folder_that_is_not_there_cannot_be_synced() {
    let folder = tempfile::tempdir().unwrap();
    RealDisk.sync_folder(folder.path()).unwrap();
    assert_eq!(RealDisk.sync_folder(&folder.path().join("absent")).unwrap_err().kind(), ErrorKind::NotFound);
}
