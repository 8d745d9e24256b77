//! A result that nobody got: the same command tells it again, and begins nothing anew.
#![cfg(target_os = "linux")]

use crate::common::{command, json, run, text};
use crate::going_on::{full_pipe, serve};
use std::collections::HashSet;
use std::process::{Command, Output, Stdio};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server};

/// Killed between its last request and its result.
#[test]
fn a_command_that_ends_before_it_has_told_is_not_begun_anew() {
    for args in
        [&["delete", "--all", "--page-size=50"][..], &["delete", "--all", "--max=200"], &["delete", "--ids-from"]]
    {
        let server = serve(300, Config::default());
        let folder = tempfile::tempdir().unwrap();
        let (file, list) = (folder.path().join("position"), folder.path().join("ids"));
        let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
        std::fs::write(&list, ids.join("\n")).unwrap();
        let ids = args.ends_with(&["--ids-from"]).then(|| list.to_str().unwrap());
        let options = ["--yes", "--json", "--checkpoint", file.to_str().unwrap()];
        let args: Vec<&str> = args.iter().copied().chain(ids).chain(options).collect();
        let left = if args.contains(&"--max=200") { 100 } else { 0 };
        // Nobody reads its result, so it does not come to its end.
        let (_reader, full) = full_pipe();
        let mut child = command(&server.url()).args(&args).stdout(full).stderr(Stdio::null()).spawn().unwrap();
        let is_through = || std::fs::read_to_string(&file).is_ok_and(|text| is_through(&text, 300 - left));
        let is_begun = || server.with_service(|service| service.requests_total() > 0);
        while !(is_through() || is_begun() && !file.exists()) {
            assert!(child.try_wait().unwrap().is_none(), "it has told");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let sent = || server.with_service(|service| (service.requests_total(), service.len()));
        let before = sent();
        assert_eq!(before.1 as u64, left);
        let again = run(&server.url(), &args);
        let error = text(&again.stderr);
        assert_eq!((again.status.code(), sent()), (Some(0), before), "{error}");
        assert_eq!(json(&again)["deleted"], 300 - left, "{error}");
        assert!(!file.exists());
    }
}

/// A position with all runs, and no request in flight.
fn is_through(position: &str, runs: u64) -> bool {
    position.contains(&format!("\"affected\":{runs},")) && !position.contains("in-flight")
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
