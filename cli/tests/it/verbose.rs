//! `-v`: that each request is told, as it was, and that nothing else changes.

use crate::common::{emulator, run, text};
use upstash_dlq_emulator::{Fault, FaultPlan, LOCAL_TOKEN, Run, Server};

/// Method, target and status of each line that tells a request, and its attempt.
fn told(stderr: &str) -> Vec<(String, u32)> {
    let line = |line: &str| {
        let (request, rest) = line.split_once(", ")?;
        let (elapsed, attempt) = rest.split_once(" ms, attempt ")?;
        elapsed.parse::<u64>().ok()?;
        let attempt: String = attempt.chars().take_while(char::is_ascii_digit).collect();
        Some((request.to_owned(), attempt.parse().ok()?))
    };
    stderr.lines().filter_map(line).collect()
}

fn logged(server: &Server, after: usize) -> Vec<String> {
    let line = |request: &upstash_dlq_emulator::LoggedRequest| {
        format!("{} {} -> {}", request.method, request.target, request.status.as_u16())
    };
    server.with_service(|s| s.log().skip(after).map(line).collect())
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

#[test]
fn every_request_of_every_command_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive").to_str().unwrap().to_owned();
    let server = emulator(700);
    server.with_service(|s| {
        s.insert(
            Run::default()
                .dlq_id("called-back")
                .failure_callback(Some("https://x.example/failed".into()))
                .failure_function_state(Some("CALLBACK_FAIL".into()))
                .created_at(crate::common::NEWEST),
        );
    });
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let (first, second) = (&*ids[0], &*ids[1]);
    let commands: &[&[&str]] = &[
        &["list", "-v"],
        &["-v", "list", "--json", "--parallel", "4"],
        &["stats", "--verbose"],
        &["get", first, "-v"],
        &["get", first, "nobody", second, "-v"],
        &["callback", "retry", "called-back", "-v"],
        &["callback", "cancel", "called-back", "nobody", "-v"],
        &["delete", first, second, "--dry-run", "-v"],
        &["delete", first, "--yes", "-v"],
        &["resume", "--label", "nightly", "--yes", "-v"],
        &["restart", "--label", "urgent", "--yes", "--parallel", "3", "-v"],
        &["delete", "--label", "red & white", "--yes", "--archive", &archive, "-v", "--json"],
        &["delete", "--all", "--yes", "--page-size", "20", "-v"],
    ];
    let mut seen = 0;
    for args in commands {
        let output = run(&server.url(), args);
        let expected = logged(&server, seen);
        seen += expected.len();
        let stderr = text(&output.stderr);
        let told = told(&stderr);
        assert!(!expected.is_empty() && told.iter().all(|(_, attempt)| *attempt == 1), "{args:?}: {stderr}");
        let lines = told.into_iter().map(|(line, _)| line).collect();
        assert_eq!(sorted(lines), sorted(expected), "{args:?}");
        assert!(!stderr.contains(LOCAL_TOKEN) && !stderr.contains("Bearer"), "{args:?}");
    }
}

#[test]
fn attempts_are_numbered_and_failures_are_told() {
    let server = emulator(150);
    let busy = || Some(Fault::TooManyRequests { retry_after_s: None });
    let faults = vec![Some(Fault::ServerError(503)), busy(), None, Some(Fault::LostResponse), None];
    server.with_service(|s| s.set_faults(FaultPlan::script(faults)));
    let output = run(&server.url(), &["list", "-v"]);
    let stderr = text(&output.stderr);
    let told = told(&stderr);
    let attempts: Vec<u32> = told.iter().map(|(_, attempt)| *attempt).collect();
    assert_eq!((output.status.code(), attempts), (Some(0), vec![1, 2, 3, 1, 2]), "{stderr}");
    let ends = [" -> 503", " -> 429", " -> 200", " -> no response", " -> 200"];
    assert!(told.iter().zip(ends).all(|((line, _), end)| line.ends_with(end)), "{stderr}");
    let nobody = run("http://127.0.0.1:9", &["list", "-v", "--max-attempts", "1"]);
    assert!(
        text(&nobody.stderr).starts_with("GET /v2/workflows/dlq?count=100 -> not sent, "),
        "{}",
        text(&nobody.stderr)
    );
}

#[test]
fn results_are_the_same_with_it() {
    let server = emulator(150);
    for args in
        [&["list"][..], &["list", "--json"], &["stats", "--json"], &["delete", "--to", "2025-12-01", "--dry-run"]]
    {
        let plain = run(&server.url(), args);
        let verbose = run(&server.url(), &[args, &["-v"]].concat());
        assert_eq!((plain.status, plain.stdout), (verbose.status, verbose.stdout), "{args:?}");
        let without: Vec<String> =
            text(&verbose.stderr).lines().filter(|line| told(line).is_empty()).map(str::to_owned).collect();
        assert_eq!(without, text(&plain.stderr).lines().collect::<Vec<_>>(), "{args:?}");
    }
}

#[test]
fn it_contradicts_quiet() {
    let server = emulator(1);
    for args in [&["-v", "list", "-q"][..], &["list", "-qv"], &["-q", "-v", "delete", "--all", "--yes"]] {
        let output = run(&server.url(), args);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains("--quiet and --verbose"), "{args:?}: {error}");
    }
    let output = run(&server.url(), &["list", "-q", "-v", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text(&output.stderr)).unwrap();
    assert_eq!(told["error"]["code"], "usage");
    assert_eq!(server.connections(), 0);
}

/// The bar steps aside for each line, and is gone in the end.
#[cfg(unix)]
#[test]
fn no_line_is_torn_by_the_progress() {
    use crate::progress::{Shown, slow};
    let server = slow(1_500);
    let mut shown = Shown::start(&server.url(), &["stats", "-v", "--parallel", "4"]);
    let (status, left) = shown.end();
    let all = shown.text();
    assert!(status == Some(0) && all.contains(" counted, "), "{all:?}");
    // As wide as the screen is, a long line takes two rows.
    let left = left.concat();
    let requests = logged(&server, 0);
    for request in &requests {
        let request = request.strip_suffix(" -> 200").unwrap();
        assert_eq!(left.matches(&format!("{request} -> 200, ")).count(), 1, "{request}: {left}");
    }
    assert_eq!(left.matches(" ms, attempt 1").count(), requests.len());
    assert!(!left.contains("counted,"), "{left}");
}
