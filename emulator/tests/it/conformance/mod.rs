//! The conformance suite: a sound transport passes, and each fault is found by the checks that are about it.

mod response;
mod transport;

use std::time::{Duration, Instant};
use transport::{Flaw, Plain};
use upstash_dlq_emulator::conformance::{self, CHECKS, Failure, Report, Setup, Suite};

fn report(suite: Suite, flaw: Option<Flaw>) -> Report {
    suite.check(|setup: &Setup| {
        let transport = Plain::new(setup, flaw);
        move |request| transport.send(&request)
    })
}

#[test]
fn a_sound_transport_passes_in_a_few_seconds() {
    let start = Instant::now();
    let report = report(Suite::new(), None);
    report.assert_ok();
    assert_eq!(report.to_string(), format!("the transport passes all {} checks", CHECKS.len()));
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

#[test]
fn a_failure_says_of_which_kind_it_is() {
    let failures = [Failure::NotSent("no route".to_owned()), Failure::Unknown("cut off".to_owned())];
    assert_eq!(failures.map(|failure| failure.to_string()), ["NotSent (no route)", "Unknown (cut off)"]);
}

/// Each fault, and every check that fails because of it.
const FAULTS: &[(Flaw, &[&str])] = &[
    (Flaw::AcceptsGzip, &["no-added-headers"]),
    (Flaw::AddsReferer, &["no-added-headers"]),
    (Flaw::CallsCutNotSent, &["cut-response"]),
    (Flaw::CallsLostNotSent, &["cut-response"]),
    (Flaw::CallsNoHostUnknown, &["unknown-host"]),
    (Flaw::CallsRefusedUnknown, &["refused"]),
    (Flaw::ChunkedPost, &["post-without-body"]),
    (Flaw::DecodesPath, &["request-as-given"]),
    (Flaw::DropsQuery, &["request-as-given"]),
    (Flaw::DropsRepeatedHeaders, &["every-status"]),
    (Flaw::FollowsRedirects, &["no-redirects"]),
    (Flaw::FailsOnStatus, &["every-status"]),
    (Flaw::KeepsCookies, &["no-added-headers"]),
    (Flaw::KeepsDeadConnections, &["sent-once", "idle-connection"]),
    (Flaw::LeaksUrl, &["no-token"]),
    (Flaw::LeaksServerWords, &["no-token"]),
    (Flaw::LossyText, &["every-status"]),
    (Flaw::MixesUpResponses, &["at-once"]),
    (Flaw::NoBound, &["too-large"]),
    (Flaw::NoBoundOnHead, &["too-large"]),
    (Flaw::NoTimeout, &["silence", "whole-timeout"]),
    (Flaw::OneByteLess, &["largest-body"]),
    (Flaw::PanicsOnGarbage, &["garbage-response", "no-token"]),
    (Flaw::ReturnsCutBody, &["cut-response"]),
    (Flaw::ReturnsInterim, &["interim-responses", "cut-response"]),
    (Flaw::RetriesLost, &["sent-once"]),
    (Flaw::RetriesUnavailable, &["sent-once"]),
    (Flaw::TakesFirstLength, &["garbage-response"]),
    (Flaw::TimeoutPerRead, &["whole-timeout"]),
    (Flaw::WantsLength, &["body-framing", "largest-body"]),
];

/// All at once: most of them wait most of the time.
#[test]
fn each_fault_is_found_by_the_checks_about_it() {
    // A transport without a timeout waits for ten of them.
    let suite = Suite::new().timeout(Duration::from_millis(200));
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let run = |&(flaw, expected): &'static (Flaw, &[&str])| {
            scope.spawn(move || {
                let report = report(suite, Some(flaw));
                (report.failed() != expected).then(|| format!("{flaw:?}: expected {expected:?}\n{report}"))
            })
        };
        let threads: Vec<_> = FAULTS.iter().map(run).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_check_finds_a_fault_and_is_documented() {
    let docs = include_str!("../../../src/conformance/mod.rs");
    for check in CHECKS {
        assert!(FAULTS.iter().any(|(_, found_by)| found_by.contains(check)), "no fault for {check}");
        assert!(docs.contains(&format!("//! | `{check}` | ")), "{check} is not in the table");
    }
}

#[test]
fn a_report_says_what_was_done_and_what_to_mend() {
    let connect = |setup: &Setup| {
        let transport = Plain::new(setup, Some(Flaw::FollowsRedirects));
        move |request| transport.send(&request)
    };
    let report = conformance::check_one("no-redirects", connect).unwrap();
    let text = report.to_string();
    for expected in [
        "the transport fails 1 of 1 checks\n\nno-redirects\n  - GET answered with 301 to another port: expected ",
        " a response with status 301 and 3 bytes, got a response with status 200 and 2 bytes\n",
        "\n  help: switch off redirects",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(conformance::check_one("no-redirect", connect).is_none());
}

#[test]
fn a_transport_that_cannot_be_made_fails_every_check() {
    type Send = fn(http::Request<()>) -> Result<http::Response<Vec<u8>>, Failure>;
    let report = conformance::check(|_: &Setup| -> Send { panic!("no such {}", "library") });
    assert_eq!(report.failed(), CHECKS);
    assert!(
        report.findings().iter().any(|finding| finding.problem.contains("got a panic (no such library)")),
        "{report}"
    );
}
