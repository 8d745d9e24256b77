//! The emulator as a command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

#[expect(dead_code, reason = "each test file needs its own part")]
mod common;

use common::command;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// What it says on standard error before it listens, and where it listens.
fn starts(listen: &str) -> (String, String) {
    let mut child = command("http://127.0.0.1:1")
        .args(["emulator", "--runs", "1", "--listen", listen])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), first)
}

#[test]
fn it_warns_where_others_can_reach_it() {
    let (warning, first) = starts("0.0.0.0:0");
    assert!(warning.contains("warning:") && warning.contains("other machines"), "{warning}");
    assert!(first.starts_with("listening on http://0.0.0.0:"), "{first}");
    let (warning, first) = starts("127.0.0.1:0");
    assert!(!warning.contains("warning:") && first.starts_with("listening on http://127.0.0.1:"), "{warning}");
}
