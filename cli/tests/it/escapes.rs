//! Nothing that steers a terminal, and nothing that nobody sees, reaches one: of the server's text and of our own file
//! names.
#![cfg(unix)]

use crate::common::{emulator, run, text};
use std::path::Path;
use upstash_dlq_emulator::{Fault, FaultPlan};

const HIDDEN: &str = "\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{200b}\u{202e}\u{2028}\u{2060}\u{206a}\u{2800}\
    \u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{1d173}\u{1d17a}\u{e0020}\u{e0100}\u{e01ef}\u{1b}\u{9b}\u{7f}";

fn is_clean(shown: &str) -> bool {
    !shown.contains(|c: char| c != '\n' && (c.is_control() || HIDDEN.contains(c)))
}

#[test]
fn what_is_invisible_in_a_run_is_spelled_out() {
    let server = emulator(0);
    server.with_service(|s| {
        s.insert(
            upstash_dlq_emulator::Run::default()
                .dlq_id("a-0")
                .workflow_url(format!("https://x.example/{HIDDEN}"))
                .labels(vec![format!("urgent{HIDDEN}")])
                .response_body(format!("failed{HIDDEN}")),
        );
        s.insert(upstash_dlq_emulator::Run::default().dlq_id("b-0"));
    });
    for args in [&["list"][..], &["stats"], &["get", "a-0"], &["get", "a-0", "b-0"], &["delete", "--all", "--dry-run"]]
    {
        let output = run(&server.url(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(is_clean(&shown) && shown.contains("\\u{34f}"), "{args:?}: {shown:?}");
    }
}

#[test]
fn file_names_are_spelled_out() {
    let server = emulator(120);
    let folder = tempfile::tempdir().unwrap();
    let name = |name: &str| folder.path().join(format!("{name}{HIDDEN}")).to_str().unwrap().to_owned();
    let (absent, bad) = (name("absent"), name("bad"));
    std::fs::write(&bad, "a,b\n").unwrap();
    let cases: &[&[&str]] = &[
        &["delete", "--yes", "--ids-from", &absent],
        &["delete", "--yes", "--ids-from", &bad],
        &["delete", "--yes", "--all", "--checkpoint", &bad],
        &["delete", "--yes", "--all", "--archive", &bad],
        &["list", "--token-file", &absent],
        &["list", "--json", "--token-file", &absent],
        &["emulator", "--load", &absent],
        &["emulator", "--load", &bad],
        // In the words of the parser of arguments.
        &["list", "--limit", HIDDEN],
        &["list", HIDDEN],
    ];
    for args in cases {
        let output = run(&server.url(), args);
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(2), "{args:?}: {shown}");
        assert!(is_clean(&shown) && shown.contains("34f"), "{args:?}: {shown:?}");
    }
    // The position that is kept, the one that is gone on from, and one of another command.
    let kept = name("kept");
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::ServerError(500))])));
    let args = ["--yes", "--checkpoint", &kept, "--max-attempts", "1", "--parallel", "1"];
    let delete = || run(&server.url(), &[&["delete", "--all"], &args[..]].concat());
    let stopped = delete();
    assert!(stopped.status.code() == Some(3) && Path::new(&kept).exists());
    let other = run(&server.url(), &[&["delete", "--label", "x"], &args[..]].concat());
    assert_eq!(other.status.code(), Some(2));
    for output in [stopped, other, delete()] {
        let shown = text(&output.stderr);
        assert!(is_clean(&shown) && shown.contains("\\u{34f}"), "{shown:?}");
    }
}
