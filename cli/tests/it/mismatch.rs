//! A server whose listing shows runs that the filter does not ask for.

use crate::common::{NEWEST, json, run, text};
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
