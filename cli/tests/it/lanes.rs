//! The command on many lanes, and on many machines.

use crate::common::{NEWEST, command, emulator, json, run, text};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Ignored, RateLimit, Server, ServerOptions, Service, sample};

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

const NOTE: &str = "ignores the dates";

#[test]
fn many_lanes_count_what_one_would() {
    for ignore_dates in [false, true] {
        let server = serve(2_000, Config::default().ignore_dates(ignore_dates));
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

/// A window would trust the dates of the server: what starts runs lists them first, and starts each by its id.
#[test]
fn each_run_is_started_once_whatever_the_server_makes_of_dates() {
    let post = |name| Ignored::new(Some(http::Method::POST), name);
    let any = |name| Ignored::new(None, name);
    let worlds = [Vec::new(), vec![post("fromDate")], vec![post("fromDate"), post("toDate")], vec![any("toDate")]];
    for (subcommand, ignored) in ["resume", "restart", "resume", "restart"].into_iter().zip(worlds) {
        let server = serve(1_200, Config::default().ignored(ignored).started_runs_stay(true));
        let output = run(&server.url(), &[subcommand, "--all", "--yes", "--json", "--parallel", "6"]);
        let (report, lines) = (json(&output), text(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(report[format!("{subcommand}ed").replace("resumeed", "resumed")].as_u64(), Some(1_200));
        assert_eq!(lines.lines().filter(|line| line.contains("workflowRunId")).count(), 1_200);
        assert_eq!(report["requests"].as_u64(), Some(server.with_service(|s| s.requests_total())));
        let ids: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
        assert_eq!((ids.len(), server.with_service(|s| s.started().count())), (1_200, 1_200), "started twice");
        assert!(server.connections() > 1, "one lane");
    }
}

/// Answers are lost, again and again; each is looked up where the command says.
#[test]
fn lost_responses_are_settled_one_by_one() {
    for lanes in ["1", "5"] {
        lost_responses_are_settled(lanes);
    }
}

fn lost_responses_are_settled(lanes: &str) {
    for (fault, settle) in [(Fault::LostResponse, "applied"), (Fault::LostRequest, "not-applied")] {
        let server = serve(5_000, Config::default());
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
            lanes,
            "--checkpoint",
            file.to_str().unwrap(),
        ];
        let matching =
            server.with_service(|s| s.runs().filter(|run| run.labels.iter().any(|l| l == "nightly")).count());
        let mut output = run(&server.url(), &args);
        let (mut settled, mut bounded) = (0, 0);
        while output.status.code() == Some(3) {
            let error = text(&output.stderr);
            // Ids name the runs. A filter does not.
            let looks = match lanes {
                "1" => {
                    // Nobody knows how many runs an earlier one has started.
                    let than = if settle == "applied" && settled > 0 { "just before it. " } else { "" };
                    error.contains("Check with `upstash-dlq stats --label=nightly --")
                        && error.contains(&format!(" lower than {than}"))
                }
                _ => error.contains("Check with `upstash-dlq get ") && error.contains("`, the first of the 50"),
            };
            assert!(looks && error.contains("up to 50 runs were started"), "{error}");
            settled += 1;
            bounded += usize::from(error.contains(" --to="));
            assert!(settled < 4, "it does not end");
            output = run(&server.url(), &[&args[..], &["--settle", settle]].concat());
        }
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report = json(&output);
        assert!(
            settled == 3 && (bounded > 0) == (lanes == "1") && !file.exists(),
            "{settled}, {bounded} with the window"
        );
        let exact = settle == "not-applied";
        assert_eq!(report["unconfirmed"].as_u64() == Some(0), exact, "{report}");
        assert!(!exact || report["resumed"].as_u64() == Some(matching as u64), "{report}");
        let ids: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
        assert_eq!((ids.len(), server.with_service(|s| s.started().count())), (matching, matching), "{fault:?}");
    }
}

fn serve_a_few_more_than_60_per_second(runs: usize) -> Server {
    serve(runs, Config::default().rate_limit(Some(RateLimit::per_second(70))))
}

/// A server that takes a few requests more than we send refuses none.
#[test]
fn a_rate_is_kept_by_all_lanes_together() {
    let server = serve_a_few_more_than_60_per_second(1_000);
    let args = ["delete", "--all", "--yes", "--json", "--page-size", "10", "--parallel", "4", "--rate", "60"];
    let report = json(&run(&server.url(), &args));
    assert_eq!((report["deleted"].as_u64(), report["retries"].as_u64()), (Some(1_000), Some(0)), "{report}");
}

/// Ids have one lane.
#[test]
fn a_rate_is_kept_by_one_lane() {
    let server = serve_a_few_more_than_60_per_second(5_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    std::fs::write(&file, ids.join("\n")).unwrap();
    let args = ["resume", "--yes", "--json", "--rate", "60", "--ids-from", file.to_str().unwrap()];
    let report = json(&run(&server.url(), &args));
    assert_eq!((report["resumed"].as_u64(), report["retries"].as_u64()), (Some(5_000), Some(0)), "{report}");
}

#[test]
fn a_rate_is_kept_by_a_count() {
    let server = serve_a_few_more_than_60_per_second(9_000);
    let output = run(&server.url(), &["stats", "--json", "--parallel", "4", "--rate", "60"]);
    assert_eq!(json(&output)["total"].as_u64(), Some(9_000));
    assert!(!text(&output.stderr).contains("trying again"), "{}", text(&output.stderr));
}

/// The listing is an operation of its own, and knows nothing of the starts that follow it.
#[test]
fn a_rate_is_kept_from_one_operation_to_the_next() {
    for (per_second, rate) in [(1, "1"), (200, "100")] {
        let server = serve(50, Config::default().rate_limit(Some(RateLimit::per_second(per_second))));
        let report = json(&run(&server.url(), &["resume", "--error-text", "e", "--yes", "--json", "--rate", rate]));
        assert!(report["resumed"].as_u64().is_some_and(|resumed| resumed > 0), "{report}");
        assert_eq!((report["requests"].as_u64(), report["retries"].as_u64()), (Some(2), Some(0)), "{report}");
        // And no longer: a hundredth of a second, not a hundred seconds.
        assert!(report["elapsed_ms"].as_u64().is_some_and(|elapsed| elapsed < 60_000), "{report}");
    }
}

#[test]
fn an_interrupt_between_pages_stops_all_lanes() {
    // One lane never waits for another, and many do.
    std::thread::scope(|scope| ["1", "4"].into_iter().for_each(|lanes| drop(scope.spawn(move || interrupted(lanes)))));
}

fn interrupted(lanes: &str) {
    let service = {
        let mut service = Service::new(Config::default());
        sample::runs(2_000, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
        service
    };
    let options = ServerOptions::default().latency(Duration::from_millis(20));
    let server = Server::start(service, options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    // An age is another time in a later process: the times of the first one count.
    let args =
        ["delete", "--from", "36500d", "--yes", "--json", "--page-size", "10", "--checkpoint", file.to_str().unwrap()];
    let mut child = command(&server.url());
    child.args(args).args(["--parallel", lanes]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The file is written before each request: it is there once one is out.
    while !file.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let report = json(&output);
    assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(130), Some("cancelled")));
    assert!(server.with_service(|s| s.len()) > 0 && file.exists(), "it went on to the end");
    assert_eq!(report["deleted"].as_u64(), Some(2_000 - server.with_service(|s| s.len()) as u64));
    // The same command goes on.
    let report = json(&run(&server.url(), &[&args[..], &["--parallel", "16"]].concat()));
    assert_eq!((report["deleted"].as_u64(), report["verified"].as_bool()), (Some(2_000), Some(true)));
}

#[test]
fn wrong_lanes_send_nothing() {
    let server = emulator(10);
    for subcommand in [
        &["stats"][..],
        &["list"],
        &["resume", "--all", "--yes"],
        &["restart", "--all", "--yes"],
        &["delete", "--all", "--yes"],
    ] {
        for wrong in [["--parallel", "0"], ["--parallel", "257"], ["--parallel", "x"], ["--rate", "0"]] {
            let output = run(&server.url(), &[subcommand, &wrong[..]].concat());
            assert!(
                output.status.code() == Some(2) && text(&output.stderr).contains(wrong[0]),
                "{}",
                text(&output.stderr)
            );
        }
    }
    assert_eq!(server.connections(), 0);
}
