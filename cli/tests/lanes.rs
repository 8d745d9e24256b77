//! The command on many lanes, and on many machines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod common;

use common::{NEWEST, emulator, json, run, text};
use std::collections::BTreeSet;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Server, ServerOptions, Service, sample};

#[test]
fn shards_delete_a_window_between_them() {
    let server = emulator(600);
    let (from, to) = (NEWEST - 20 * 86_400_000, NEWEST - 86_400_000);
    let within = |run: &&upstash_dlq_emulator::Run| (from..=to).contains(&run.created_at);
    let matching = server.with_service(|s| s.runs().filter(within).count());
    let (from, to) = (from.to_string(), to.to_string());
    let mut deleted = 0;
    let mut windows = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let args = ["delete", "--from", &from, "--to", &to, "--shard", shard, "--yes", "--json"];
        let report = json(&run(&server.url(), &args));
        deleted += report["deleted"].as_u64().unwrap();
        windows.push((report["from"].as_i64().unwrap(), report["to"].as_i64().unwrap()));
    }
    assert_eq!(deleted, matching as u64);
    assert!(windows.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{windows:?}");
    assert_eq!(server.with_service(|s| s.len()), 600 - matching);
}

#[test]
fn many_lanes_delete_what_one_would() {
    for lanes in ["1", "2", "16"] {
        let server = emulator(2_000);
        let args = ["delete", "--all", "--yes", "--json", "--page-size", "20", "--parallel", lanes];
        let output = run(&server.url(), &args);
        let report = json(&output);
        let expected = (Some("complete"), Some(2_000), Some(true));
        assert_eq!((report["outcome"].as_str(), report["deleted"].as_u64(), report["verified"].as_bool()), expected);
        assert_eq!(report["requests"].as_u64(), Some(server.with_service(|s| s.requests_total())));
        assert_eq!((server.with_service(|s| s.len()), server.connections() > 1), (0, lanes != "1"));
    }
}

fn serve(runs: usize, config: Config) -> Server {
    let mut service = Service::new(config);
    sample::runs(runs, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default()).unwrap()
}

const NOTE: &str = "does not keep to the dates";

#[test]
fn many_lanes_count_what_one_would() {
    for ignore_dates in [false, true] {
        let server = serve(2_000, Config { ignore_dates, ..Config::default() });
        let counted = |output: &std::process::Output| {
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            // What the server does wrong is said once, and the result is right.
            assert_eq!(
                text(&output.stderr).matches(NOTE).count(),
                usize::from(ignore_dates),
                "{}",
                text(&output.stderr)
            );
            json(output)
        };
        let one = run(&server.url(), &["stats", "--json", "--parallel", "1"]);
        let requests = server.with_service(|s| s.requests_total());
        let connections = server.connections();
        let many = run(&server.url(), &["stats", "--json", "--parallel", "8"]);
        assert_eq!(counted(&many), json(&one));
        let connections = server.connections() - connections;
        assert_eq!(connections > 1, !ignore_dates, "{connections} connections");
        let before = server.with_service(|s| s.requests_total());
        assert!(!ignore_dates || before == 2 * requests + 1, "one request to find out");
        let dry = counted(&run(&server.url(), &["delete", "--all", "--dry-run", "--json"]));
        let made = server.with_service(|s| s.requests_total()) - before;
        assert_eq!((dry["matching"].as_u64(), dry["requests"].as_u64()), (Some(2_000), Some(made)));
        assert_eq!(server.with_service(|s| s.len()), 2_000);
        let list = run(&server.url(), &["list", "--json", "--parallel", "8"]);
        let lines = text(&list.stdout);
        assert_eq!((lines.lines().count(), lines.lines().collect::<BTreeSet<_>>().len()), (2_000, 2_000));
        let few = run(&server.url(), &["list", "--json", "--parallel", "8", "--limit", "700"]);
        assert_eq!(text(&few.stdout).lines().collect::<BTreeSet<_>>().len(), 700);
    }
}

#[test]
fn a_listing_is_in_order_unless_lanes_are_asked_for() {
    let server = emulator(900);
    let lines = text(&run(&server.url(), &["list", "--json"]).stdout);
    let expected: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let listed: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["dlqId"].as_str().unwrap().to_owned())
        .collect();
    assert!(listed == expected || listed.iter().rev().eq(&expected));
    assert_eq!(server.connections(), 1);
}

#[test]
fn many_lanes_start_each_run_once() {
    for (verb, ignore_dates) in [("resume", false), ("restart", false), ("resume", true)] {
        let server = serve(1_200, Config { ignore_dates, started_runs_stay: true, ..Config::default() });
        let output = run(&server.url(), &[verb, "--all", "--yes", "--json", "--parallel", "6"]);
        let (report, lines) = (json(&output), text(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(report[format!("{verb}ed").replace("resumeed", "resumed")].as_u64(), Some(1_200));
        assert_eq!(lines.lines().filter(|line| line.contains("workflowRunId")).count(), 1_200);
        assert_eq!(report["requests"].as_u64(), Some(server.with_service(|s| s.requests_total())));
        let ids: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
        assert_eq!((ids.len(), server.with_service(|s| s.started().count())), (1_200, 1_200), "started twice");
        assert_eq!((server.connections() > 1, text(&output.stderr).contains(NOTE)), (!ignore_dates, ignore_dates));
    }
}

/// Several lanes lose their answers, again and again; each is looked up where the command says.
#[test]
fn lost_answers_of_many_lanes_are_settled_one_by_one() {
    for (fault, settle) in [(Fault::LostAnswer, "applied"), (Fault::LostRequest, "not-applied")] {
        let server = serve(1_500, Config::default());
        // Two lanes at once, and later one.
        let script = vec![None, Some(fault), Some(fault), None, None, None, Some(fault)];
        server.with_service(|s| s.set_faults(FaultPlan::script(script).only(http::Method::POST)));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let args = [
            "resume",
            "--label",
            "nightly",
            "--yes",
            "--json",
            "--parallel",
            "5",
            "--checkpoint",
            file.to_str().unwrap(),
        ];
        let matching =
            server.with_service(|s| s.runs().filter(|run| run.labels.iter().any(|l| l == "nightly")).count());
        let mut output = run(&server.url(), &args);
        let mut settled = 0;
        while output.status.code() == Some(3) {
            let error = text(&output.stderr);
            assert!(error.contains("upstash-dlq list --label nightly --") && error.contains("--limit 50"), "{error}");
            settled += 1;
            assert!(settled < 4, "it does not end");
            output = run(&server.url(), &[&args[..], &["--settle", settle]].concat());
        }
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report = json(&output);
        assert!(settled == 3 && !file.exists(), "{settled}");
        let exact = settle == "not-applied";
        assert_eq!(report["unconfirmed"].as_u64() == Some(0), exact, "{report}");
        assert!(!exact || report["resumed"].as_u64() == Some(matching as u64), "{report}");
        let ids: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
        assert_eq!((ids.len(), server.with_service(|s| s.started().count())), (matching, matching), "{fault:?}");
    }
}

#[test]
fn wrong_lanes_send_nothing() {
    let server = emulator(10);
    for verb in [
        &["stats"][..],
        &["list"],
        &["resume", "--all", "--yes"],
        &["restart", "--all", "--yes"],
        &["delete", "--all", "--yes"],
    ] {
        for wrong in [["--parallel", "0"], ["--parallel", "257"], ["--parallel", "x"], ["--rate", "0"]] {
            let output = run(&server.url(), &[verb, &wrong[..]].concat());
            assert!(
                output.status.code() == Some(2) && text(&output.stderr).contains(wrong[0]),
                "{}",
                text(&output.stderr)
            );
        }
    }
    assert_eq!(server.connections(), 0);
}
