//! A server whose listing shows runs that the filter does not ask for.

use crate::common::{NEWEST, emulator, json, run, text};
use upstash_dlq_emulator::{Config, Ignored, Server, ServerOptions, Service, sample};

/// It passes over `label=` when it lists.
fn server() -> Server {
    let ignored = vec![Ignored::new(Some(http::Method::GET), "label")];
    let mut service = Service::new(Config::default().ignored(ignored));
    sample::runs(300, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default()).unwrap()
}

#[test]
fn an_archive_stops_at_the_first_and_says_which() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let file = folder.path().join("kept.ndjson");
    let args = ["delete", "--label", "nightly", "--yes", "--json", "--archive", file.to_str().unwrap()];
    let output = run(&server.url(), &args);
    let (report, error) = (json(&output), text(&output.stderr));
    assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("halted")), "{error}");
    assert!(error.contains("differs in label"), "{error}");
    let other = |run: &&upstash_dlq_emulator::Run| !run.labels.contains(&"nightly".to_owned());
    assert!(server.with_service(|s| s.runs().filter(other).any(|run| error.contains(&run.dlq_id))), "{error}");
    assert_eq!((server.with_service(|s| s.len()), std::fs::read(&file).unwrap().len()), (300, 0));
    // On request the server's word is taken.
    let output = run(&server.url(), &[&args[..], &["--trust-server"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!((json(&output)["deleted"].as_u64(), server.with_service(|s| s.len())), (Some(300), 0));
}

/// Such a run is acted on, because the server says that it matches, and it is counted and said.
#[test]
fn runs_without_the_field_of_a_filter_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (file, position) = (folder.path().join("kept.ndjson"), folder.path().join("position"));
    let (file, position) = (file.to_str().unwrap(), position.to_str().unwrap());
    for (args, printed) in [
        (&["delete", "--dry-run"][..], ""),
        (&["delete", "--status", "500", "--yes"], " of the listed runs lack a field that the filter names. "),
        (&["delete", "--archive", file, "--yes"], "; 60 of the listed runs lack a field that the filter names. "),
        (
            &["delete", "--archive", file, "--yes", "--max", "1"],
            "; 1 of the listed runs lacks a field that the filter names. ",
        ),
        (&["resume", "--parallel", "2", "--yes"], "; 60 of the listed runs lack a field that the filter names. "),
        (&["restart", "--parallel", "2", "--checkpoint", position, "--yes"], "; 60 of the listed runs lack a field"),
    ] {
        let reports = [&["--json"][..], &[]].map(|json_too| {
            let mut service = Service::new(Config::default().ignored(vec![Ignored::new(None, "callerIp")]));
            for run in sample::runs(60, 1, NEWEST) {
                service.insert(run.caller_ip(""));
            }
            let server = Server::start(service, ServerOptions::default()).unwrap();
            let output = run(&server.url(), &[args, &["--caller-ip", "10.0.0.9"], json_too].concat());
            assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
            output
        });
        let report = json(&reports[0]);
        let done =
            ["deleted", "resumed", "restarted", "matching"].into_iter().filter_map(|name| report[name].as_u64()).max();
        assert!(report["unchecked"].as_u64() == done && done > Some(0), "{args:?}: {report}");
        let (shown, error) = (text(&reports[1].stdout), text(&reports[1].stderr));
        assert!(shown.contains(printed), "{args:?}: {shown}");
        assert_eq!(printed.is_empty(), error.contains("60 of them lack a field that the filter names"), "{error}");
    }
    // Where every run has it, nothing is said.
    let server = emulator(60);
    let args = ["delete", "--status", "500", "--dry-run"];
    let output = run(&server.url(), &args);
    assert!(!text(&output.stderr).contains("lack") && !text(&output.stdout).contains("lack"));
    assert!(json(&run(&server.url(), &[&args[..], &["--json"]].concat())).get("unchecked").is_none());
}

#[test]
fn a_dry_run_fails() {
    for lanes in ["1", "4"] {
        let server = server();
        let args = ["delete", "--label", "nightly", "--dry-run", "--json", "--parallel", lanes];
        let output = run(&server.url(), &args);
        assert_eq!((output.status.code(), json(&output)["outcome"].as_str()), (Some(1), Some("halted")));
        assert!(text(&output.stderr).contains("differs in label"), "{}", text(&output.stderr));
        let output = run(&server.url(), &[&args[..], &["--trust-server"]].concat());
        assert_eq!((output.status.code(), json(&output)["matching"].as_u64()), (Some(0), Some(300)));
    }
}
