//! The files the command writes: private, never through symbolic links, and never on somebody else's.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Service, sample};

use crate::common::{NEWEST, command, emulator, json, run, text};
use crate::world::{Moment, World};

/// The command under a shell that sets something first.
fn under(url: &str, first: &str, args: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_upstash-dlq")]).args(args);
    shell.env("QSTASH_URL", url).env("QSTASH_TOKEN", LOCAL_TOKEN).stdin(Stdio::null()).output().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_is_for_its_owner_alone() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let (archive, position) = (folder.path().join("runs.ndjson"), folder.path().join("position"));
    let args = ["delete", "--all", "--yes", "--max", "10", "--archive", archive.to_str().unwrap()];
    assert_eq!(under(&server.url(), "umask 0", &args).status.code(), Some(0));
    assert_eq!(mode(&archive), 0o600);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::ServerError(500))])));
    let args = [
        "delete",
        "--all",
        "--yes",
        "--parallel",
        "1",
        "--max-attempts",
        "1",
        "--checkpoint",
        position.to_str().unwrap(),
    ];
    assert_eq!(under(&server.url(), "umask 0", &args).status.code(), Some(3));
    assert_eq!(mode(&position), 0o600);
    assert_eq!(names(folder.path()), ["position", "runs.ndjson"]);
}

#[test]
fn no_symbolic_link_is_followed() {
    let server = emulator(5);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let real = "{\"dlqId\":\"a-0\"}\n";
    fs::write(path("real"), real).unwrap();
    for (target, option, link) in [
        ("real", "--archive", "link"),
        ("absent", "--archive", "link"),
        ("real", "--checkpoint", "link"),
        ("absent", "--checkpoint", "link"),
        ("real", "--checkpoint", ".position.lock"),
        ("absent", "--checkpoint", ".position.lock"),
    ] {
        symlink(path(target), path(link)).unwrap();
        let given = path(if link == "link" { link } else { "position" });
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", option, given.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option} {link} to {target}: {error}");
        assert!(error.contains("symbolic link"), "{error}");
        fs::remove_file(path(link)).unwrap();
        assert_eq!(
            (names(folder.path()), fs::read_to_string(path("real")).unwrap()),
            (vec!["real".into()], real.into())
        );
    }
    assert_eq!(server.connections(), 0);
    // What lies under the temporary name is taken away, not written through.
    symlink(path("real"), path(".position.tmp")).unwrap();
    let output = run(&server.url(), &["delete", "--all", "--yes", "--checkpoint", path("position").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!((names(folder.path()), fs::read_to_string(path("real")).unwrap()), (vec!["real".into()], real.into()));
}

/// What is not ours is not to be removed, and nobody is told to.
#[test]
fn what_is_no_checkpoint_is_left_alone() {
    let server = emulator(5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let position = path.to_str().unwrap();
    for (held, sentence, remove) in [
        ("#!/bin/sh\necho hello\n", "is not a checkpoint: give another file", false),
        ("{\"name\":\"x\",\"version\":\"1.0.0\"}", "is not a checkpoint: give another file", false),
        ("", "is empty: give another file", false),
        ("{\"version\":7,\"digest\":\"0", "or remove it to start over", true),
        ("{\"version\":7}", "or remove it to start over", true),
        ("{\"version\":3}", "was written by another version of upstash-dlq (format 3)", false),
        (
            "{\"version\":6,\"digest\":\"0\",\"checkpoint\":{}}",
            "was written by another version of upstash-dlq (format 6)",
            false,
        ),
    ] {
        fs::write(&path, held).unwrap();
        let args = ["--yes", "--checkpoint", position];
        for (subcommand, selection) in [("delete", "--all"), ("resume", "--all"), ("delete", "a-0"), ("restart", "a-0")]
        {
            let output = run(&server.url(), &[&[subcommand, selection], &args[..]].concat());
            let shown = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{held}: {shown}");
            assert!(shown.contains(sentence) && shown.contains("remove it") == remove, "{held}: {shown}");
            assert_eq!(fs::read_to_string(&path).unwrap(), held);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_is_no_archive_is_left_alone_and_nothing_is_sent() {
    let server = emulator(5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let archive = path.to_str().unwrap();
    for text_of_file in [
        "my notes",
        "{ ",
        "{{ template }}\n",
        "{\n  \"dlqId\": \"a-0\"\n}\n",
        "{\"name\":\"x\",\"version\":\"1",
        "{\"name\":\"x\"}",
        "{\"name\":\"x\"}\n{\"dlqId\":\"a-0\"}\n",
        "{\"dlqId\":\"\"}\n",
        "{\"dlqId\":\"a,b\"}\n",
        "{\"dlqId\":7}\n",
        "[1]\n",
        "\n",
        "x\n{",
    ] {
        fs::write(&path, text_of_file).unwrap();
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", archive]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text_of_file:?}: {error}");
        let sentence = format!("{archive} is not an archive: its first line is not a DLQ message");
        assert!(error.contains(&sentence), "{text_of_file:?}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text_of_file);
    }
    for end in ["notes", "{\"dlqId\" \"a\"", "{{", "[", "{\"a\":1}}"] {
        let whole = format!("{{\"dlqId\":\"a-0\"}}\n{end}");
        fs::write(&path, &whole).unwrap();
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", archive]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{end:?}: {error}");
        assert!(error.contains("its last line is not a DLQ message"), "{end:?}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_archive_that_cannot_be_opened_is_wrong_usage() {
    let server = emulator(5);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // A file that is made in `/proc` is refused only then.
    for path in ["/nowhere/at/all", "/proc/kept", "/", folder.path().to_str().unwrap(), pipe.to_str().unwrap()] {
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", path]);
        assert_eq!((output.status.code(), json(&output)["deleted"].as_u64()), (Some(2), Some(0)), "{path}");
        assert!(text(&output.stderr).contains("cannot be written"), "{path}: {}", text(&output.stderr));
    }
    assert_eq!(server.connections(), 0);
}

/// Nothing can be synced there: a command that did not ask would take every run for kept.
#[cfg(target_os = "linux")]
#[test]
fn an_archive_that_is_no_file_deletes_nothing() {
    let server = emulator(5);
    let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", "/dev/null"]);
    assert_eq!((output.status.code(), json(&output)["deleted"].as_u64()), (Some(1), Some(0)));
    assert_eq!(server.with_service(|s| s.deleted_total()), 0);
}

#[test]
fn a_torn_line_is_taken_off_however_long_it_is() {
    for (whole_lines, torn) in [(1, 20), (1, 70_000), (3_000, 70_000), (3_000, 200_000), (3_000, 65_536 * 2)] {
        let server = emulator(5);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.ndjson");
        let lines: String =
            (0..whole_lines).map(|n| format!("{{\"dlqId\":\"old-{n}\",\"body\":\"{}\"}}\n", "x".repeat(40))).collect();
        let line = format!("{{\"dlqId\":\"torn\",\"body\":\"{}\"}}", "ü".repeat(torn));
        let kept: String = server.with_service(|s| s.runs().map(|run| run.to_json() + "\n").collect());
        fs::write(&path, [lines.as_bytes(), &line.as_bytes()[..torn]].concat()).unwrap();
        let output = run(&server.url(), &["delete", "--all", "--yes", "--archive", path.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert!(
            output.status.code() == Some(0) && error.contains("removed an incomplete last line from"),
            "{torn}: {error}"
        );
        assert!(fs::read_to_string(&path).unwrap() == lines + &kept, "{whole_lines} {torn}");
    }
}

/// When nothing is left to delete, too. The table of faults has it in the middle.
#[test]
fn an_archive_that_somebody_changes_at_the_end_stops_the_deleting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    let archive = path.clone();
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(10, 1, NEWEST));
    let world = World::start(service, move |_, moment, request| {
        if moment == Moment::Arrived && request.method() == "DELETE" {
            fs::remove_file(&archive).unwrap();
        }
        None
    });
    let output = run(&world.url(), &["delete", "--all", "--yes", "--json", "--archive", path.to_str().unwrap()]);
    world.down();
    let (report, error) = (json(&output), text(&output.stderr));
    assert_eq!((output.status.code(), report["deleted"].as_u64()), (Some(3), Some(10)), "{error}");
    assert!(error.contains("somebody else") && error.contains("nothing more was deleted"), "{error}");
}

/// A bound on file sizes stands in for a kill in the middle of writing: its signal ends the process there.
#[test]
fn kills_leave_nothing_behind() {
    let server = emulator(50);
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position");
    let args = ["delete", "--all", "--yes", "--checkpoint", position.to_str().unwrap()];
    for _ in 0..3 {
        assert_eq!(under(&server.url(), "ulimit -f 0", &args).status.code(), None);
    }
    assert_eq!(names(folder.path()), [".position.lock", ".position.tmp"]);
    assert_eq!(server.with_service(|s| s.deleted_total()), 0);
    let output = run(&server.url(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(names(folder.path()).is_empty());
}

/// The command as somebody whom permissions bind, given something `forbidden`. That is not root: somebody else is it then,
/// with a copy of the command where it can be reached.
fn bound_by_permissions(url: &str, folder: &Path, forbidden: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut delete = command(url);
    if fs::File::open(forbidden).is_ok() {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
        let copy = folder.join("command");
        // By a process of its own: whatever another test starts meanwhile inherits no handle that writes to it.
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_upstash-dlq")).arg(&copy).status().unwrap().success());
        delete = Command::new(copy);
        delete.env("QSTASH_URL", url).env("QSTASH_TOKEN", LOCAL_TOKEN).stdin(Stdio::null());
        delete.uid(65_534).gid(65_534);
    }
    delete
}

/// Such a folder cannot be synced: the file in it is.
#[test]
fn a_folder_that_may_be_written_but_not_read_will_do() {
    for option in ["--checkpoint", "--archive"] {
        let server = emulator(25);
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, PermissionsExt::from_mode(0o333)).unwrap();
        let file = closed.join("file");
        let args = ["delete", "--all", "--yes", "--json", "--page-size", "10", option, file.to_str().unwrap()];
        let output = bound_by_permissions(&server.url(), folder.path(), &closed).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{option}: {}", text(&output.stderr));
        assert_eq!(json(&output)["deleted"].as_u64(), Some(25));
        fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(names(&closed), if option == "--archive" { vec!["file"] } else { vec![] });
    }
}

/// One that cannot be read is not one that is not there.
#[test]
fn an_unreadable_checkpoint_is_refused() {
    let server = emulator(5);
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position");
    let args = ["delete", "--all", "--yes", "--json", "--checkpoint", position.to_str().unwrap()];
    fs::create_dir(&position).unwrap();
    let is_refused = |output: &Output| {
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains("cannot be read"), "{error}");
    };
    is_refused(&run(&server.url(), &args));
    fs::remove_dir(&position).unwrap();
    fs::write(&position, "{}").unwrap();
    fs::set_permissions(&position, PermissionsExt::from_mode(0o000)).unwrap();
    let mut delete = bound_by_permissions(&server.url(), folder.path(), &position);
    is_refused(&delete.args(args).output().unwrap());
    assert_eq!(server.connections(), 0);
}
