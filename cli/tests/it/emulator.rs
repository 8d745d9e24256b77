//! The emulator as a command.

use crate::common::command;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// What it says on standard error before it listens, where it listens, and what is for `eval`.
fn starts(listen: &str) -> (String, String, String) {
    let mut child = command("http://127.0.0.1:1")
        .args(["emulator", "--runs", "1", "--listen", listen])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (first, exports) = (lines.next().unwrap(), lines.next().unwrap());
    let port = first.rsplit_once(':').unwrap().1;
    // Whoever pastes it reaches it.
    if exports.contains("http://127.0.0.1:") {
        let output = command(&format!("http://127.0.0.1:{port}")).args(["list", "--json"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8(output.stderr).unwrap(), first, exports)
}

#[test]
fn it_warns_where_others_can_reach_it() {
    let (warning, first, exports) = starts("0.0.0.0:0");
    let port = first.rsplit_once(':').unwrap().1;
    assert!(port != "0" && warning.contains(&format!("http://0.0.0.0:{port}")), "{warning}");
    assert!(exports.starts_with(&format!("export QSTASH_URL=http://127.0.0.1:{port} ")), "{exports}");
    assert!(warning.contains("warning:") && warning.contains("other machines"), "{warning}");
    assert!(first.starts_with("listening on http://0.0.0.0:"), "{first}");
    let (warning, first, _) = starts("127.0.0.1:0");
    assert!(!warning.contains("warning:") && first.starts_with("listening on http://127.0.0.1:"), "{warning}");
}

#[test]
fn a_token_of_nothing_is_refused() {
    let mut child = command("")
        .args(["emulator", "--runs", "1", "--listen", "127.0.0.1:0", "--token", ""])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().next();
    if first.is_some() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("--token: is empty"), "{error}");
}
