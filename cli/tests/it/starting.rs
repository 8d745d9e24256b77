//! Resume and restart on many lanes: they list first, and start exactly what was listed, each run once.

use crate::common::{canned, json, ok, run, text};
use crate::going_on::{interrupted_after_starts, serve};
use http::Method;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use upstash_dlq_emulator::{Config, Ignored, RateLimit, Server};

fn starts(server: &Server) -> BTreeMap<String, u32> {
    let mut starts = BTreeMap::new();
    server.with_service(|service| {
        service.started().for_each(|run| *starts.entry(run.dlq_id.clone()).or_default() += 1);
    });
    starts
}

fn requests(server: &Server) -> u64 {
    server.with_service(|service| service.requests_total())
}

/// What is stored next to a checkpoint, its own lock file left out.
fn spool(folder: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.to_str().unwrap().ends_with(".ids"))
}

/// Interrupted once it starts runs.
#[cfg(unix)]
fn begun(args: &[&str]) -> Server {
    let server = serve(3_000, Config::default().started_runs_stay(true));
    let output = interrupted_after_starts(&server, args, 3);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    server
}

/// One lane follows the service's cursor. Only more of them have to know the runs first.
#[test]
fn one_lane_lists_nothing() {
    for (lanes, lists) in [("1", false), ("2", true)] {
        let server = serve(150, Config::default());
        let output = run(&server.url(), &["resume", "--all", "--yes", "--parallel", lanes]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(server.with_service(|s| s.log().any(|request| request.method == Method::GET)), lists);
    }
}

#[test]
#[cfg(unix)]
fn another_number_of_lanes_goes_on_with_the_same_ids() {
    for lanes in ["1", "2", "16"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let path = file.to_str().unwrap();
        let args = ["resume", "--from", "4000d", "--yes", "--json", "--checkpoint", path, "--parallel"];
        let server = begun(&[&args[..], &["4"]].concat());
        let ids = fs::read_to_string(spool(folder.path()).unwrap()).unwrap();
        assert_eq!(ids.lines().count(), 3_001, "each run, and a line that says what this is");
        let window = |json: &serde_json::Value| (json["from"].as_i64(), json["to"].as_i64());
        let saved: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let listed = saved["checkpoint"]["progress"]["batches"]["listed"]["selection"]["filter"].clone();
        let before = requests(&server);
        let output = run(&server.url(), &[&args[..], &[lanes]].concat());
        let (report, started) = (json(&output), starts(&server));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(started.len() == 3_000 && started.values().all(|times| *times == 1), "{lanes}: started twice");
        assert_eq!((report["resumed"].as_u64(), report["verified"].as_bool()), (Some(3_000), Some(false)), "{report}");
        assert!(report.get("missing").is_none(), "nobody gave ids: {report}");
        // Times relative to the present are those of the first process.
        assert_eq!(window(&report), (listed["fromDate"].as_i64(), listed["toDate"].as_i64()));
        assert!(requests(&server) - before <= 60, "listed again");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "something was left behind");
    }
}

#[test]
#[cfg(unix)]
fn a_list_that_was_changed_or_lost_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["restart", "--all", "--yes", "--json", "--parallel", "4", "--checkpoint", file.to_str().unwrap()];
    let server = begun(&args);
    let spool = spool(folder.path()).unwrap();
    let (ids, saved, before) = (fs::read_to_string(&spool).unwrap(), fs::read(&file).unwrap(), requests(&server));
    let last = ids.lines().last().unwrap();
    let changed = [
        ids.replacen(last, &format!("x{last}"), 1),
        ids.replacen(&format!("{last}\n"), "", 1),
        format!("{ids}another\n"),
        ids.to_uppercase(),
        String::new(),
    ];
    for text_of_spool in changed {
        fs::write(&spool, text_of_spool).unwrap();
        let output = run(&server.url(), &args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("changed"), "{}", text(&output.stderr));
    }
    fs::remove_file(&spool).unwrap();
    let output = run(&server.url(), &args);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    // Nor is it taken for the list of a file of another command.
    fs::write(&spool, &ids).unwrap();
    let other = ["resume", "--all", "--yes", "--json", "--parallel", "4", "--checkpoint", file.to_str().unwrap()];
    assert_eq!(run(&server.url(), &other).status.code(), Some(2));
    assert_eq!((requests(&server), fs::read(&file).unwrap()), (before, saved), "something was sent, or written");
    let output = run(&server.url(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(starts(&server).len(), 3_000);
}

#[test]
fn a_listing_that_does_not_match_starts_nothing() {
    let ignored = vec![Ignored::new(Some(http::Method::GET), "label")];
    let server = serve(500, Config::default().ignored(ignored));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--label", "nightly", "--yes", "--json", "--parallel", "4"];
    for checkpoint in [&[][..], &["--checkpoint", file.to_str().unwrap()][..]] {
        let output = run(&server.url(), &[&args[..], checkpoint].concat());
        let (report, error) = (json(&output), text(&output.stderr));
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("halted")), "{error}");
        assert!(error.contains("differs in label") && error.contains("nothing was resumed"), "{error}");
        assert!(starts(&server).is_empty() && fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}

#[test]
fn a_maximum_and_an_empty_listing() {
    let server = serve(900, Config::default());
    let args = ["restart", "--all", "--yes", "--json", "--parallel", "8", "--max", "120"];
    let output = run(&server.url(), &args);
    let report = json(&output);
    assert_eq!((output.status.code(), report["restarted"].as_u64()), (Some(0), Some(120)), "{report}");
    assert_eq!((starts(&server).len(), report["requests"].as_u64()), (120, Some(requests(&server))));
    let args: Vec<&str> = args.into_iter().filter(|arg| *arg != "--json").collect();
    let output = run(&server.url(), &args);
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(shown.contains("Restarted 120 runs") && shown.contains("the maximum was reached"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    for lanes in ["1", "8"] {
        let args = ["resume", "--label", "nobody has this", "--yes", "--json", "--parallel", lanes];
        let output = run(&server.url(), &[&args[..], &["--checkpoint", file.to_str().unwrap()]].concat());
        let report = json(&output);
        assert_eq!((output.status.code(), report["resumed"].as_u64()), (Some(0), Some(0)), "{report}");
        assert_eq!(report["verified"].as_bool(), Some(false), "{report}");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "something was left behind");
    }
}

/// The listing and the first batch are two operations, and one rate.
#[test]
fn a_rate_holds_from_the_listing_to_the_first_batch() {
    let server = serve(500, Config::default().rate_limit(Some(RateLimit::per_second(1))));
    let args = ["resume", "--all", "--yes", "--json", "--parallel", "2", "--rate", "1", "--max", "20"];
    let report = json(&run(&server.url(), &args));
    assert_eq!((report["resumed"].as_u64(), report["requests"].as_u64()), (Some(20), Some(2)), "{report}");
    assert_eq!(report["retries"].as_u64(), Some(0), "{report}");
}

/// The service took a request for two runs, and started one.
#[test]
fn a_listed_run_that_was_gone_is_told() {
    let listed = r#""messages":[{"dlqId":"a-1","createdAt":1},{"dlqId":"a-2","createdAt":1}]"#;
    for (started, told) in [(0, "2 runs listed before were not resumed"), (1, "1 run listed before was not resumed")] {
        let runs = vec![r#"{"workflowRunId":"w","workflowCreatedAt":2}"#; started].join(",");
        // It is the response to the listing and to the start.
        let (url, _requests) = canned(ok(&format!(r#"{{{listed},"workflowRuns":[{runs}]}}"#)));
        let output = run(&url, &["resume", "--all", "--yes", "--parallel", "2"]);
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{shown}");
        assert!(shown.contains(told), "{shown}");
    }
}
