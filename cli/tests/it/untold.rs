//! A result that nobody got: the same command tells it again, and begins nothing anew.
#![cfg(target_os = "linux")]

use crate::common::{canned, closed_pipe, command, json, ok, run, text};
use crate::going_on::{full_pipe, serve};
use crate::prompt::Person;
use std::collections::HashSet;
use std::process::{Command, Output, Stdio};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Run, Server};

/// Killed between its last request and its result. Nobody is asked again either.
#[test]
fn a_command_that_ends_before_it_has_told_is_not_begun_anew() {
    let ways = [
        &["delete", "--all", "--page-size=50"][..],
        &["delete", "--all", "--max=200"],
        &["delete", "--status=500"],
        &["delete", "--ids-from"],
    ];
    for way in ways {
        let server = serve(300, Config::default());
        let folder = tempfile::tempdir().unwrap();
        let (file, list) = (folder.path().join("position"), folder.path().join("ids"));
        let runs = |status: Option<u16>| -> Vec<String> {
            let matches = |run: &&Run| status.is_none_or(|status| run.response_status == status);
            server.with_service(|s| s.runs().filter(matches).map(|run| run.dlq_id.clone()).collect())
        };
        std::fs::write(&list, runs(None).join("\n")).unwrap();
        let ids = way.ends_with(&["--ids-from"]).then(|| list.to_str().unwrap());
        let options = ["--json", "--checkpoint", file.to_str().unwrap()];
        let args: Vec<&str> = way.iter().copied().chain(ids).chain(options).collect();
        let deleted = match way[1] {
            "--status=500" => runs(Some(500)).len(),
            _ if way.contains(&"--max=200") => 200,
            _ => 300,
        };
        // Nobody reads its result, so it does not come to its end.
        let (_reader, full) = full_pipe();
        let mut child =
            command(&server.url()).args(&args).arg("--yes").stdout(full).stderr(Stdio::null()).spawn().unwrap();
        let is_through = || std::fs::read_to_string(&file).is_ok_and(|text| is_through(&text, deleted));
        let is_begun = || server.with_service(|service| service.requests_total() > 0);
        while !(is_through() || is_begun() && !file.exists()) {
            assert!(child.try_wait().unwrap().is_none(), "it has told");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let sent = || server.with_service(|service| (service.requests_total(), service.len()));
        let before = sent();
        assert_eq!(before.1, 300 - deleted);
        let again = Person::types(&server.url(), &args).answers("n\n");
        let report = json(&again);
        assert_eq!((again.status.code(), sent()), (Some(0), before), "{report}");
        assert_eq!((report["deleted"].as_u64(), &report["already_complete"]), (Some(deleted as u64), &true.into()));
        assert!(!file.exists());
    }
}

/// A position with all runs, and no request in flight. That of a refinement does not hold those.
fn is_through(position: &str, runs: usize) -> bool {
    let has_ended = !position.contains("\"refined\":{\"left\"") || position.contains("\"verified\":");
    has_ended && position.contains(&format!("\"affected\":{runs},")) && !position.contains("in-flight")
}

/// A reader that has gone is no error. To delete again does no harm, so the file goes; a start is told the next time.
#[test]
fn a_start_without_a_reader_is_told_the_next_time() {
    let (url, sent) = canned(ok(r#"{"messages":[{"dlqId":"a-1","createdAt":1}],"workflowRuns":[],"deleted":0}"#));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let told = "1 run listed before was not resumed; an earlier command did that, and nothing was sent now. ";
    for (way, stays) in [(&["resume", "--all", "--parallel=2"][..], true), (&["delete", "a-1"], false)] {
        let args = [way, &["--yes", "--quiet", "--checkpoint", file.to_str().unwrap()]].concat();
        let untold = command(&url).args(&args).stdout(closed_pipe()).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((untold.status.code(), text(&untold.stderr)), (Some(0), String::new()), "{args:?}");
        assert_eq!(file.exists(), stays, "{args:?}");
        assert!(sent.try_iter().count() > 0);
        if stays {
            let again = run(&url, &args);
            assert_eq!((again.status.code(), sent.try_iter().count()), (Some(0), 0));
            assert!(text(&again.stdout).contains(told), "{}", text(&again.stdout));
            assert!(!file.exists());
        }
    }
}

/// A command that settles a request is not the earlier one.
#[test]
fn what_a_settlement_completes_was_not_complete() {
    let server = serve(1, Config::default());
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
    let id = server.with_service(|service| service.runs().next().unwrap().dlq_id.clone());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", &id, "--yes", "--json", "--checkpoint", file.to_str().unwrap()];
    assert_eq!(run(&server.url(), &args).status.code(), Some(3));
    let settled = run(&server.url(), &[&args[..], &["--settle=applied"]].concat());
    let report = json(&settled);
    assert_eq!((settled.status.code(), report.get("already_complete")), (Some(0), None), "{report}");
    assert!(!file.exists());
}

/// Neither the end nor the result finds room. What is left is an earlier position, and that is said.
#[test]
fn an_end_that_was_not_saved_is_not_called_kept() {
    let server = serve(3, Config::default());
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::Slow { ms: 1_000 })])));
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["delete", &ids[0], "--yes", "--checkpoint", file.to_str().unwrap()];
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = command(&server.url()).args(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    while server.with_service(|service| service.requests_total()) == 0 {
        std::thread::yield_now();
    }
    // In the way of the next position.
    std::fs::create_dir(folder.path().join(".position.tmp")).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("an earlier position is in ") && !error.contains("the result is kept"), "{error}");
    assert!(file.exists());
}

/// The disk is full when the result comes: a bound on file sizes stands in for that.
#[test]
fn a_result_that_found_no_room_is_told_the_next_time() {
    for way in [&["resume", "--parallel=1", "--ids-from"][..], &["restart", "--all", "--parallel=4"]] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (result, list, position) = (path("result"), path("ids"), path("position"));
        let ids = way.ends_with(&["--ids-from"]).then_some(&*list);
        let options = ["--yes", "--json", "--checkpoint", &position];
        let args: Vec<&str> = way.iter().copied().chain(ids).chain(options).collect();
        let server = || {
            let server = serve(150, Config::default().started_runs_stay(true));
            let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
            std::fs::write(&list, ids.join("\n")).unwrap();
            server
        };
        let told = run(&server().url(), &args);
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
        // What is there already leaves room for all lines but the last.
        let started = told.stdout.len() - text(&told.stdout).lines().last().unwrap().len();
        std::fs::write(&result, "x".repeat(512 - started % 512)).unwrap();
        let blocks = started / 512 + 1;
        let server = server();
        let untold = run_with_room(&server, blocks, &result, &args);
        let error = text(&untold.stderr);
        assert_eq!(untold.status.code(), Some(3), "{error}");
        assert!(error.contains("standard output cannot be written"), "{error}");
        assert!(error.contains(&format!("the result is kept in {position}: run the same command again to see it")));
        let sent = || server.with_service(|service| service.requests_total());
        let before = sent();
        let again = run(&server.url(), &args);
        let error = text(&again.stderr);
        assert_eq!((again.status.code(), sent()), (Some(0), before), "{error}");
        let report = json(&again);
        assert_eq!(report["resumed"].as_u64().or(report["restarted"].as_u64()), Some(150), "{report}");
        let ids: Vec<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
        assert_eq!((ids.len(), ids.iter().collect::<HashSet<_>>().len()), (150, 150), "started twice");
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "more than the ids and the result: {names:?}");
    }
}

/// Appends standard output to the file. No file takes more than so many blocks of 512 bytes; the signal that comes with it is
/// ignored, as a full disk sends none.
fn run_with_room(server: &Server, blocks: usize, result: &str, args: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; result=$1; shift; exec \"$0\" \"$@\" >> \"$result\"");
    Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_upstash-dlq"), result])
        .args(args)
        .envs([("QSTASH_URL", &*server.url()), ("QSTASH_TOKEN", LOCAL_TOKEN)])
        .env_remove("QSTASH_REGION")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}
