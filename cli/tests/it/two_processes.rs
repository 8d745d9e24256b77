//! Two processes with one file: one has it, and the other is refused before it sends anything.
#![cfg(unix)]

use crate::common::{command, emulator, json, run, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use upstash_dlq_emulator::{Run, Server};

fn begin(server: &Server, args: &[&str]) -> Child {
    command(&server.url()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The second process runs from its start to its end while the first one's first request waits for its response.
fn second_while_first(server: &Server, first: &[&str], second: &[&str]) -> (Output, Output) {
    let before = server.connections();
    let (child, second) = server.with_service(|_| {
        // There is no response as long as the service is held here.
        let child = begin(server, first);
        while server.connections() == before {
            std::thread::yield_now();
        }
        // One that is not refused gives up soon.
        let second = run(&server.url(), &[second, &["--timeout", "2s", "--max-attempts", "1"]].concat());
        (child, second)
    });
    (child.wait_with_output().unwrap(), second)
}

/// Each line is a whole message, and comes back by its id.
fn kept(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::read_to_string(path).unwrap();
    assert!(file.is_empty() || file.ends_with('\n'));
    file.lines()
        .map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            (message["dlqId"].as_str().unwrap().to_owned(), line.to_owned())
        })
        .collect()
}

fn sent(server: &Server) -> BTreeMap<String, String> {
    server.with_service(|s| s.runs().map(|run| (run.dlq_id.clone(), Run::to_json(run))).collect())
}

fn is_refused(output: &Output, path: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(&format!("{path} is in use by another process")), "{error}");
    assert_eq!((json(output)["outcome"].as_str(), json(output)["requests"].as_u64()), (Some("halted"), Some(0)));
}

#[test]
fn an_archive_has_one_writer() {
    let server = emulator(400);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    let archive = path.to_str().unwrap();
    let args = |label| ["delete", "--label", label, "--yes", "--json", "--page-size", "10", "--archive", archive];
    let all = sent(&server);
    // Another selection, one that matches nothing, and without a new request in between.
    for (first, second) in [("nightly", "urgent"), ("urgent", "nobody")] {
        let (first, second) = second_while_first(&server, &args(first), &args(second));
        is_refused(&second, archive);
        assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
        let left: BTreeSet<String> = sent(&server).into_keys().collect();
        let gone: BTreeMap<String, String> =
            all.iter().filter(|(id, _)| !left.contains(*id)).map(|(id, run)| (id.clone(), run.clone())).collect();
        assert_eq!(kept(&path), gone);
    }
    assert_eq!(server.with_service(|s| s.deleted_total()), kept(&path).len() as u64);
}

#[test]
fn many_at_once_lose_nothing() {
    let server = emulator(600);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    let all = sent(&server);
    let args = ["delete", "--all", "--yes", "--json", "--page-size", "10", "--archive", path.to_str().unwrap()];
    let children: Vec<Child> = (0..4).map(|_| begin(&server, &args)).collect();
    let mut ended = Vec::new();
    for child in children {
        ended.push(child.wait_with_output().unwrap().status.code());
    }
    assert!(ended.contains(&Some(0)) && ended.iter().all(|code| matches!(code, Some(0 | 2))), "{ended:?}");
    assert_eq!((sent(&server).len(), kept(&path)), (0, all));
}

#[test]
fn a_checkpoint_has_one_process() {
    for subcommand in ["delete", "resume", "restart"] {
        let server = emulator(400);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position.json");
        let file = path.to_str().unwrap();
        let others = |run: &&Run| !run.labels.iter().any(|label| label == "nightly");
        let ids: Vec<String> =
            server.with_service(|s| s.runs().filter(others).take(3).map(|run| run.dlq_id.clone()).collect());
        let filter = [subcommand, "--label", "nightly", "--yes", "--json", "--checkpoint", file];
        let by_id = [subcommand, &ids[0], &ids[1], &ids[2], "--yes", "--json", "--checkpoint", file];
        for (first, second) in [(&filter[..], &by_id[..]), (&by_id, &filter), (&filter, &filter)] {
            let (first, second) = second_while_first(&server, first, second);
            is_refused(&second, file);
            assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
            // Nothing of it stays, and the next process finds it free.
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
