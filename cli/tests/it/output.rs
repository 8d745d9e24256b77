//! Standard output that cannot be written, and one that nobody reads, for every command as a real process.
#![cfg(unix)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use upstash_dlq_emulator::{Fault, FaultPlan, LOCAL_TOKEN};

use crate::common::{closed_pipe, command, emulator, json, run, text};

/// A full disk, and a descriptor that is open for reading only.
#[cfg(target_os = "linux")]
fn unwritable() -> [Stdio; 2] {
    [OpenOptions::new().write(true).open("/dev/full").unwrap().into(), File::open("/dev/zero").unwrap().into()]
}

fn with_output(url: &str, args: &[&str], out: Stdio) -> Output {
    command(url).args(args).stdout(out).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

/// Commands that change nothing.
const READING: &[&[&str]] = &[
    &["list"],
    &["list", "--json"],
    &["list", "--json", "--parallel", "4"],
    &["list", "-o", "ids"],
    &["list", "--newest-first"],
    &["check"],
    &["check", "--json"],
    &["stats"],
    &["stats", "--json"],
    &["get", "ID"],
    &["get", "ID", "--json"],
    &["get", "ID", "other", "ID", "-q"],
    &["delete", "--all", "--dry-run"],
    &["delete", "--all", "--dry-run", "--json"],
    &["completions", "bash"],
    &["demo", "--runs", "10"],
    &["--help"],
    &["delete", "--help"],
    &["--version"],
];

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let server = emulator(250);
    let id = server.with_service(|s| s.runs().next().unwrap().dlq_id.clone());
    for args in READING {
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "ID" { &*id } else { *arg }).collect();
        for out in unwritable() {
            let output = with_output(&server.url(), &args, out);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
            assert!(error.contains("standard output cannot be written"), "{args:?}: {error}");
        }
    }
    assert_eq!(server.with_service(|s| s.len()), 250);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let server = emulator(250);
    let id = server.with_service(|s| s.runs().next().unwrap().dlq_id.clone());
    for args in READING {
        let args: Vec<&str> = args.iter().map(|arg| if *arg == "ID" { &*id } else { *arg }).collect();
        let output = with_output(&server.url(), &args, closed_pipe());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {error}");
        assert!(!error.contains("error") && !error.contains("cannot"), "{args:?}: {error}");
    }
}

/// A backup is whole, or its command has failed: a bound on file sizes stands in for the disk that fills up.
#[cfg(target_os = "linux")]
#[test]
fn a_listing_that_is_cut_fails() {
    let server = emulator(450);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.ndjson");
    // In units of 512 bytes; the signal that comes with it is ignored, as a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" list --json > \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_upstash-dlq")])
        .arg(&file)
        .env("QSTASH_URL", server.url())
        .env("QSTASH_TOKEN", LOCAL_TOKEN)
        .output()
        .unwrap();
    let error = text(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("standard output cannot be written"), "{error}");
    assert!(std::fs::read_to_string(&file).unwrap().lines().count() < 450);
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_changed_and_cannot_be_told_is_exit_3() {
    let server = emulator(120);
    for args in
        [&["delete", "--all", "--max", "10", "--yes"][..], &["delete", "--all", "--max", "10", "--yes", "--json"]]
    {
        for out in unwritable() {
            let output = with_output(&server.url(), args, out);
            let error = text(&output.stderr);
            assert!(output.status.code() == Some(3) && error.contains("standard output cannot be written"), "{error}");
        }
    }
    // Of a delete whose reader has gone nothing is lost: it goes on.
    let output = with_output(&server.url(), &["delete", "--all", "--yes", "--json"], closed_pipe());
    assert_eq!((output.status.code(), text(&output.stderr).contains("error")), (Some(0), false));
    assert_eq!(server.with_service(|s| s.len()), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_callback_that_cannot_be_told_is_exit_3() {
    let server = emulator(0);
    let folder = tempfile::tempdir().unwrap();
    assert!(folder.path().exists());
    server.with_service(|s| {
        for n in 0..4 {
            s.insert(
                upstash_dlq_emulator::Run::default()
                    .dlq_id(format!("c-{n}"))
                    .failure_callback(Some("https://x.example/failed".into()))
                    .failure_function_state(Some("CALLBACK_FAIL".into())),
            );
        }
    });
    for (n, json) in [(0, &[][..]), (2, &["--json"])] {
        for (m, out) in unwritable().into_iter().enumerate() {
            let id = format!("c-{}", n + m);
            let args = [&["callback", "retry", &id], json].concat();
            let output = with_output(&server.url(), &args, out);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{args:?}: {error}");
            assert!(error.contains("standard output cannot be written"), "{args:?}: {error}");
        }
    }
}

/// The ids of the new runs are known nowhere else: nothing further is started.
#[cfg(target_os = "linux")]
#[test]
fn a_resume_whose_runs_cannot_be_printed_stops() {
    let folder = tempfile::tempdir().unwrap();
    for (n, subcommand) in ["resume", "restart"].into_iter().enumerate() {
        for json in [true, false] {
            for lanes in ["1", "8"] {
                let server = emulator(1_000);
                let file = folder.path().join(format!("{n}{json}{lanes}"));
                let mut args =
                    vec![subcommand, "--all", "--yes", "--parallel", lanes, "--checkpoint", file.to_str().unwrap()];
                args.extend(json.then_some("--json"));
                let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
                let output = with_output(&server.url(), &args, full.into());
                let error = text(&output.stderr);
                assert_eq!(output.status.code(), Some(3), "{args:?}: {error}");
                assert!(error.contains("standard output cannot be written"), "{args:?}: {error}");
                // On lanes those in flight come to their end.
                let started = 1_000 - server.with_service(|s| s.len());
                assert!((1..=50 * lanes.parse::<usize>().unwrap()).contains(&started), "{args:?}: {started}");
                assert!(file.exists(), "{args:?}: {error}");
            }
        }
    }
}

/// Nobody else knows them: what standard output does not take, standard error does.
#[cfg(target_os = "linux")]
#[test]
fn runs_that_were_started_are_told_where_standard_output_takes_nothing() {
    for (subcommand, json) in [("resume", true), ("resume", false), ("restart", true)] {
        for out in unwritable() {
            let server = emulator(100);
            let args =
                [&[subcommand, "--all", "--max", "5", "--yes"][..], if json { &["--json"] } else { &[] }].concat();
            let output = with_output(&server.url(), &args, out);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{args:?}: {error}");
            let started: Vec<String> =
                server.with_service(|s| s.started().map(|run| run.workflow_run_id.clone()).collect());
            assert_eq!(started.len(), 5);
            assert!(started.iter().all(|id| error.contains(id)), "{started:?}: {error}");
            assert_eq!(error.matches("standard output cannot be written").count(), 1, "{error}");
        }
    }
}

/// A callback that nobody reads of is the last.
#[test]
fn a_callback_whose_reader_has_gone_says_what_was_not_sent() {
    let server = emulator(30);
    let in_progress =
        |run: &&upstash_dlq_emulator::Run| run.failure_function_state.as_deref() == Some("CALLBACK_INPROGRESS");
    let ids: Vec<String> =
        server.with_service(|s| s.runs().filter(in_progress).take(4).map(|run| run.dlq_id.clone()).collect());
    for (first, status) in [("nobody", 3), (&*ids[0], 0)] {
        let args: Vec<&str> =
            ["callback", "cancel", first].into_iter().chain(ids[1..].iter().map(String::as_str)).collect();
        let output = with_output(&server.url(), &args, closed_pipe());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{error}");
        let left = if status == 0 { 3 } else { 2 };
        assert!(error.contains(&format!("standard output was closed; the last {left} ids were not sent")), "{error}");
    }
}

/// `resume … | head -1`: quiet, and nothing further is started.
#[test]
fn a_resume_whose_reader_has_gone_stops_without_a_word_of_error() {
    let server = emulator(1_000);
    let output = with_output(&server.url(), &["resume", "--all", "--yes", "--json"], closed_pipe());
    let error = text(&output.stderr);
    assert!(output.status.code() == Some(0) && !error.contains("error"), "{:?} {error}", output.status);
    assert!(error.contains("stopped after 50 runs: standard output was closed"), "{error}");
    assert_eq!(server.with_service(|s| s.len()), 950);
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let mut args = vec!["restart", "--yes", "--json"];
    args.extend(ids.iter().map(String::as_str));
    let output = with_output(&server.url(), &args, closed_pipe());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(server.with_service(|s| s.len()), 900);
}

/// The response of another lane is lost meanwhile. The reader that has gone does not keep that from being said.
#[test]
fn a_resume_in_doubt_says_so_also_if_nobody_reads_it() {
    let mut outputs = vec![(closed_pipe(), "standard output was closed; ")];
    #[cfg(target_os = "linux")]
    outputs.extend(unwritable().map(|out| (out, "nothing further was sent; ")));
    for (out, stopped) in outputs {
        let server = emulator(1_000);
        let lost =
            FaultPlan::script(vec![Some(Fault::Slow { ms: 500 }), Some(Fault::LostResponse)]).only(http::Method::POST);
        server.with_service(|service| service.set_faults(lost));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let args = ["resume", "--all", "--yes", "--json", "--parallel", "4", "--checkpoint", file.to_str().unwrap()];
        let output = with_output(&server.url(), &args, out);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{error}");
        for part in [stopped, "unknown whether up to 50 runs were started", "`upstash-dlq get ", "again with --settle"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(file.exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_emulator_that_cannot_say_where_it_listens_ends() {
    for out in unwritable() {
        let output = with_output("", &["emulator", "--listen", "127.0.0.1:0", "--runs", "1"], out);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("standard output cannot be written"), "{error}");
    }
}

#[test]
fn the_emulator_speaks_to_eval_and_outlives_its_reader() {
    let mut child = command("")
        .args(["emulator", "--listen", "127.0.0.1:0", "--runs", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url = lines.next().unwrap().strip_prefix("listening on ").unwrap().to_owned();
    let exports = lines.next().unwrap();
    drop(lines);
    let script = format!("{exports}; printf '%s %s' \"$QSTASH_URL\" \"$QSTASH_TOKEN\"");
    let told = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    // A region that the shell has set leads to no other service.
    let other = emulator(1);
    let script = format!("{exports}; exec {} list --json", env!("CARGO_BIN_EXE_upstash-dlq"));
    let of_region = [("QSTASH_REGION", "US_EAST_1"), ("US_EAST_1_QSTASH_URL", &other.url())];
    let listed = std::process::Command::new("sh").args(["-c", &script]).envs(of_region).output().unwrap();
    let output = run(&url, &["delete", "--all", "--yes", "--json"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(text(&told.stdout), format!("{url} {LOCAL_TOKEN}"));
    assert_eq!(text(&listed.stdout).lines().count(), 3, "{}", text(&listed.stderr));
    assert_eq!(other.connections(), 0);
    assert_eq!(json(&output)["deleted"].as_u64(), Some(3));
}

/// Output to a file that has room is as it was.
#[test]
fn a_listing_to_a_file_is_whole() {
    let server = emulator(450);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup.ndjson");
    let output = with_output(&server.url(), &["list", "--json"], File::create(&path).unwrap().into());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 450);
}
