//! `list`, `stats`, `get`, `resume`, `restart`, `callback` and `emulator --load` as real processes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Run, Server, ServerOptions, Service, StartedBy};

use crate::common::{canned, command, emulator, json, run, text};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn serve(runs: Vec<Run>) -> Server {
    let mut service = Service::new(Config::default());
    runs.into_iter().for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default()).unwrap()
}

/// Runs that show what can be shown, hostile text included. Their ages do not change while a test runs.
fn showcase(newest: i64) -> Vec<Run> {
    let run = |n: i64, ago_s: i64, label: &str, state: Option<&str>| {
        Run::default()
            .dlq_id(format!("175282929550{n}-0"))
            .workflow_run_id(format!("wfr_{n:04}"))
            .workflow_url("https://shop.example.com/api/workflow/checkout")
            .workflow_created_at(newest - ago_s * 1_000 - 60_000)
            .url("https://shop.example.com/api/workflow/checkout/step")
            .method("POST")
            .created_at(newest - ago_s * 1_000)
            .labels(if label.is_empty() { vec![] } else { vec![label.into()] })
            .failure_function_state(state.map(str::to_owned))
            .failure_callback(state.map(|_| "https://shop.example.com/failed".into()))
            .response_status(500)
            .response_body("upstream failed")
    };
    let mut hostile = run(4, 3 * 86_400 + 3_600, "\u{1b}[31mred\u{1b}[0m\r\n\u{202e}txet", None);
    hostile.workflow_url = "https://x.example/\u{9b}2J日本語".into();
    hostile.response_status = 502;
    vec![
        run(1, 90, "nightly", Some("CALLBACK_FAIL")),
        run(2, 40 * 60 + 30, "", Some("CALLBACK_INPROGRESS")),
        run(3, 5 * 3_600 + 60, "red & white", None),
        hostile,
    ]
}

/// `DLQ_UPDATE_SNAPSHOTS=1` writes them anew; look at the difference before you commit it.
fn snapshot(name: &str, shown: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots").join(name);
    if std::env::var_os("DLQ_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, shown).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, kept, "{name} has changed:\n{shown}");
    let json = name.ends_with(".json");
    assert!(
        json || !shown.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{name} steers the terminal"
    );
}

#[test]
fn a_table_fits_the_terminal_or_is_whole_without_one() {
    let server = serve(showcase(now()));
    for (name, columns) in [
        ("list-100.txt", Some("100")),
        ("list-80.txt", Some("80")),
        ("list-60.txt", Some("60")),
        ("list-whole.txt", None),
    ] {
        let mut list = command(&server.url());
        list.env_remove("COLUMNS");
        list.args(["list"]).envs(columns.map(|columns| ("COLUMNS", columns)));
        let output = list.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        snapshot(name, &text(&output.stdout));
    }
}

#[test]
fn stats_group_and_draw() {
    // 2026-11-23T08:30:00Z
    let server = serve(showcase(1_795_422_600_000));
    let output = command(&server.url()).env("COLUMNS", "80").args(["stats"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    snapshot("stats-80.txt", &text(&output.stdout));
    snapshot("stats.json", &text(&run(&server.url(), &["stats", "--json"]).stdout));
    let none = run(&server.url(), &["stats", "--label", "nobody"]);
    assert_eq!(text(&none.stdout), "0 failed runs\n");
}

#[test]
fn get_shows_one_run() {
    let server = serve(showcase(now() - 400 * 86_400_000));
    let shown = text(&run(&server.url(), &["get", "1752829295501-0"]).stdout);
    let signature = "Signature                 e1-b0btn78a   (all like it: upstash-dlq list --error=e1-b0btn78a)";
    for part in [
        signature,
        "1752829295501-0",
        "wfr_0001",
        "nightly",
        "CALLBACK_FAIL",
        "upstream failed",
        "(400d ago)",
        "POST https://",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let line = text(&run(&server.url(), &["get", "1752829295504-0", "--json"]).stdout);
    let sent = server.with_service(|s| s.runs().find(|run| run.dlq_id.ends_with("4-0")).unwrap().to_json());
    assert_eq!(line, format!("{sent}\n"));
    let absent = run(&server.url(), &["get", "nobody-0"]);
    assert!(absent.status.code() == Some(1) && text(&absent.stderr).contains("error: nobody-0 is not in the DLQ\n"));
    for id in ["", "..", "%2e", "a,b"] {
        assert_eq!(run(&server.url(), &["get", id]).status.code(), Some(2), "{id}");
    }
}

/// For people alone, and only what is shown: a time that is given is in UTC or has an offset of its own.
#[test]
fn times_are_shown_in_the_zone_of_the_machine_where_asked() {
    let run = Run::default().dlq_id("1-0").created_at(1_764_000_000_000).response_status(500);
    let server = serve(vec![run]);
    let shown = |args: &[&str]| {
        // Five and a half hours east of Greenwich, as POSIX writes it.
        let output = command(&server.url()).env("TZ", "XXX-5:30").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    let output = command(&server.url()).env("TZ", "Nowhere/Nothing").args(["get", "1-0", "--local"]).output().unwrap();
    assert!(text(&output.stdout).contains("2025-11-24T16:00:00Z"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("the time zone of this machine is not known, so times are in UTC"));
    for (args, utc, local) in [
        (&["get", "1-0"][..], "2025-11-24T16:00:00Z", "2025-11-24T21:30:00+05:30"),
        (&["stats"], "  2025-11-24 16:00", "  2025-11-24 21:30"),
        (&["stats"], "By time of failure (UTC)", "By time of failure (local time, rows as in UTC)"),
        (
            &["delete", "--from", "2025-11-24", "--to", "2025-11-25T00:00:00Z", "--yes", "--max", "1"],
            "from 2025-11-24T00:00:00Z to 2025-11-25T00:00:00Z",
            "from 2025-11-24T05:30:00+05:30 to 2025-11-25T05:30:00+05:30",
        ),
    ] {
        let (plain, zoned) = (shown(args), shown(&[args, &["--local"]].concat()));
        assert!(plain.contains(utc) && zoned.contains(local), "{plain}{zoned}");
    }
    let json = ["stats", "--json"];
    assert_eq!(shown(&json), shown(&[&json[..], &["--local"]].concat()));
}

#[test]
fn a_list_of_lines_is_the_servers_text_and_keeps_to_its_limit() {
    let server = emulator(260);
    let all = text(&run(&server.url(), &["list", "--json"]).stdout);
    let sent: Vec<String> = server.with_service(|s| s.runs().map(Run::to_json).collect());
    assert_eq!(all.lines().collect::<Vec<_>>(), sent);
    for limit in [1, 100, 101, 260, 999] {
        let output = run(&server.url(), &["list", "--json", "--limit", &limit.to_string()]);
        assert_eq!(text(&output.stdout).lines().count(), limit.min(260));
    }
    let before = server.with_service(|s| s.requests_total());
    run(&server.url(), &["list", "--json", "--limit", "5"]);
    assert_eq!(server.with_service(|s| s.requests_total()), before + 1);
    assert!(server.with_service(|s| s.log().last().unwrap().target.ends_with("?count=5")));
    let nightly = text(&run(&server.url(), &["list", "--json", "--label", "nightly"]).stdout);
    assert!(nightly.lines().count() > 10 && nightly.lines().all(|line| line.contains("nightly")));
}

#[test]
fn a_wrong_region_is_told_with_its_flag() {
    let (server, _) =
        canned("HTTP/1.1 404 Not Found\r\ncontent-length: 43\r\n\r\n{\"error\":\"user not found in this region..\"}");
    for args in [
        &["list"][..],
        &["check"],
        &["get", "a"],
        &["get", "a", "b"],
        &["delete", "a", "--yes"],
        &["resume", "a", "--yes"],
        &["callback", "retry", "a"],
    ] {
        let output = run(&server, args);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains("--region"), "{args:?}: {error}");
    }
}

#[test]
fn resume_and_restart_start_each_run_once() {
    for (subcommand, done) in [("resume", "resumed"), ("restart", "restarted")] {
        let server = emulator(270);
        let matching: BTreeSet<String> = server.with_service(|s| {
            s.runs().filter(|run| run.labels.iter().any(|l| l == "nightly")).map(|run| run.dlq_id.clone()).collect()
        });
        let args = [
            subcommand,
            "--label",
            "nightly",
            "--yes",
            "--json",
            "--set-retries",
            "5",
            "--set-delay",
            "10s",
            "--set-retry-delay",
            "1000 * retried",
            "--set-flow-control-key",
            "k",
            "--set-parallelism",
            "3",
            "--set-rate",
            "10",
            "--set-period",
            "1m",
            "--set-label",
            "again",
            "--set-label",
            "b c",
            "--set-failure-callback",
            "https://x.example/f",
        ];
        let output = run(&server.url(), &args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report = json(&output);
        assert_eq!(
            (report["outcome"].as_str(), report[done].as_u64()),
            (Some("complete"), Some(matching.len() as u64))
        );
        assert!(report.get("deleted").is_none() && report["verified"] == false && report["to"].is_i64());
        let stdout = text(&output.stdout);
        let ids: BTreeSet<String> = stdout
            .lines()
            .take(matching.len())
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["workflowRunId"].as_str().unwrap().to_owned()
            })
            .collect();
        server.with_service(|s| {
            let started: Vec<_> = s.started().collect();
            assert_eq!(started.iter().map(|run| run.dlq_id.clone()).collect::<BTreeSet<_>>(), matching);
            assert_eq!(started.iter().map(|run| run.workflow_run_id.clone()).collect::<BTreeSet<_>>(), ids);
            assert_eq!(started.len(), matching.len(), "started twice");
            let started_by = if subcommand == "resume" { StartedBy::Resume } else { StartedBy::Restart };
            assert!(started.iter().all(|run| run.started_by == started_by && run.overrides.len() == 7));
            let overrides = &started[0].overrides;
            assert_eq!(overrides["upstash-flow-control-value"], "parallelism=3, rate=10, period=1m");
            assert_eq!(overrides["upstash-label"], "again,b c");
        });
    }
}

#[test]
fn an_id_that_is_not_there_starts_nothing() {
    let server = emulator(10);
    let id = server.with_service(|s| s.runs().next().unwrap().dlq_id.clone());
    for subcommand in ["resume", "restart"] {
        let output = run(&server.url(), &[subcommand, &id, "nobody-0", "--yes", "--json"]);
        assert_eq!((output.status.code(), json(&output)["outcome"].as_str()), (Some(1), Some("halted")));
        assert!(text(&output.stderr).contains("some dlq messages were not found"));
    }
    assert_eq!(server.with_service(|s| s.started().count()), 0);
    let output = run(&server.url(), &["resume", &id, "--yes"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).contains("started wfr_") && text(&output.stdout).contains("Resumed 1 run; all ids found.")
    );
}

#[test]
fn wrong_usage_of_resume_and_restart_sends_nothing() {
    let server = emulator(10);
    let cases: &[(&[&str], &str)] = &[
        (&["--yes"], "nothing is selected"),
        (&["a-0"], "--yes"),
        (&["--all", "--yes", "--set-label", "a,b"], "--set-label: \"a,b\" holds a comma"),
        (&["--all", "--yes", "--set-label", ""], "--set-label"),
        (&["--all", "--yes", "--set-delay", "90"], "--set-delay"),
        (&["--all", "--yes", "--set-flow-control-key", "k"], "--set-parallelism or --set-rate"),
        (&["--all", "--yes", "--set-parallelism", "3"], "--set-flow-control-key"),
        (&["--all", "--yes", "--set-failure-callback", "x"], "--set-failure-callback"),
        (&["--all", "--yes", "--set-retries", "few"], "--set-retries"),
        (&["--all", "--yes", "--settle", "applied"], "--checkpoint"),
        (
            &[
                "--all",
                "--yes",
                "--settle",
                "applied",
                "--checkpoint",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/nothing"),
            ],
            "there is no request to settle",
        ),
        (&["a", "--label", "x", "--yes"], "cannot be combined"),
    ];
    for (args, sentence) in cases {
        for subcommand in ["resume", "restart"] {
            let output = run(&server.url(), &[&[subcommand], *args].concat());
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{subcommand} {args:?}: {error}");
            assert!(error.contains(sentence), "{subcommand} {args:?}: {error}");
        }
    }
    assert_eq!(server.connections(), 0, "something was sent");
}

#[test]
fn a_lost_response_waits_to_be_settled_and_no_run_starts_twice() {
    let (lost, settle) = (Fault::LostResponse, "applied");
    for (fault, settle) in [
        (lost, settle),
        (Fault::LostRequest, "not-applied"),
        (Fault::AppliedServerError, "applied"),
        (Fault::Html, "applied"),
    ] {
        let server = emulator(170);
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(fault)])));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let args = ["resume", "--all", "--yes", "--json", "--checkpoint", file.to_str().unwrap()];
        let output = run(&server.url(), &args);
        let (report, error) = (json(&output), text(&output.stderr));
        assert_eq!(
            (output.status.code(), report["resumed"].as_u64(), report["unconfirmed"].as_u64()),
            (Some(3), Some(50), Some(1))
        );
        assert!(error.contains("upstash-dlq stats --to=") && error.contains("--settle applied"), "{error}");
        // Without settling nothing is sent.
        let requests = server.with_service(|s| s.requests_total());
        let again = run(&server.url(), &args);
        assert!(!text(&again.stderr).contains("--parallel is ignored"), "{}", text(&again.stderr));
        assert_eq!((again.status.code(), json(&again)["unconfirmed"].as_u64()), (Some(3), Some(1)));
        // This process asked no host, so none is named.
        let reason = text(&again.stderr);
        assert!(reason.contains("an earlier process did not learn") && !reason.contains("(asked"), "{reason}");
        assert_eq!(server.with_service(|s| s.requests_total()), requests);
        let output = run(&server.url(), &[&args[..], &["--settle", settle]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let report = json(&output);
        let exact = settle == "not-applied";
        assert_eq!(
            (report["resumed"].as_u64(), report["unconfirmed"].as_u64()),
            if exact { (Some(170), Some(0)) } else { (Some(120), Some(1)) }
        );
        server.with_service(|s| {
            let ids: BTreeSet<&str> = s.started().map(|run| run.dlq_id.as_str()).collect();
            assert_eq!((ids.len(), s.started().count(), s.len()), (170, 170, 0), "{fault:?}");
        });
        assert!(!file.exists());
    }
}

#[test]
fn a_failure_callback_is_retried_and_cancelled() {
    let server = serve(showcase(now()));
    let retry = run(&server.url(), &["callback", "retry", "1752829295501-0", "--json"]);
    assert_eq!(json(&retry)["workflowRunId"], "wfr_0001", "{}", text(&retry.stderr));
    let again = run(&server.url(), &["callback", "retry", "1752829295501-0"]);
    assert!(again.status.code() == Some(1) && text(&again.stderr).contains("no failed failure callback"));
    let cancel = run(&server.url(), &["callback", "cancel", "1752829295501-0"]);
    assert_eq!(
        (cancel.status.code(), text(&cancel.stdout).as_str()),
        (Some(0), "The failure callback was canceled.\n")
    );
    assert_eq!(run(&server.url(), &["callback", "cancel", "nobody"]).status.code(), Some(1));
    // A lost response: not repeated, and said.
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
    let requests = server.with_service(|s| s.requests_total());
    let lost = run(&server.url(), &["callback", "retry", "1752829295501-0"]);
    assert_eq!((lost.status.code(), server.with_service(|s| s.requests_total())), (Some(3), requests + 1));
    assert!(text(&lost.stderr).contains("upstash-dlq get 1752829295501-0"), "{}", text(&lost.stderr));
}

#[test]
fn an_archive_can_be_loaded_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.ndjson");
    std::fs::write(&path, "{\"dlqId\":\"a-0\",\"labels\":[\"x\"],\"createdAt\":1752829295505,\"new\":1e999}\n")
        .unwrap();
    let mut child = command("")
        .args(["emulator", "--listen", "127.0.0.1:0", "-q", "--load", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let listed =
        text(&command(&url).env("QSTASH_TOKEN", LOCAL_TOKEN).args(["list", "--json"]).output().unwrap().stdout);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(listed, std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, "{\"dlqId\":\"a-0\"}\nnonsense\n").unwrap();
    let output = run("", &["emulator", "--listen", "127.0.0.1:0", "--load", path.to_str().unwrap()]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("line 2"), "{}", text(&output.stderr));
}
