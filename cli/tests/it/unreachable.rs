//! Nothing was sent, and the command says so: a name that is not found, nobody who listens, a proxy that says no.

use crate::common::{command, json, text};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

fn without_proxies(url: &str, args: &[&str]) -> Command {
    let mut command = command(url);
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Too long a label for a name: no server is asked for it.
fn nowhere() -> String {
    format!("https://{}.invalid", "a".repeat(64))
}

fn nothing_was_started(output: &Output, words: &str) {
    let report = json(output);
    assert_eq!(output.status.code(), Some(1), "{report} {}", text(&output.stderr));
    assert_eq!((&report["outcome"], &report["unconfirmed"]), (&"halted".into(), &0.into()), "{report}");
    assert!(report["reason"].as_str().unwrap().contains(words), "{report}");
}

#[test]
fn a_host_that_does_not_exist_started_nothing() {
    for subcommand in ["resume", "restart"] {
        for ids in [&["1752829295505-0"][..], &["--all"]] {
            let args = [&[subcommand, "--yes", "--json", "--max-attempts=2"][..], ids].concat();
            let output = without_proxies(&nowhere(), &args).output().unwrap();
            nothing_was_started(&output, "was not found");
            assert!(!text(&output.stderr).contains("--settle"), "{}", text(&output.stderr));
        }
    }
}

#[test]
fn nobody_who_listens_started_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = ["resume", "--all", "--yes", "--json", "--max-attempts=2"];
    let output = without_proxies(&format!("http://{closed}"), &args).output().unwrap();
    nothing_was_started(&output, "was refused");
}

#[test]
fn a_proxy_that_says_no_started_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
        }
    });
    let args = ["resume", "--all", "--yes", "--json", "--max-attempts=2"];
    let output = without_proxies("https://service.invalid", &args).env("HTTPS_PROXY", proxy).output().unwrap();
    nothing_was_started(&output, "407");
}

#[test]
fn a_proxy_that_cannot_be_used_is_wrong_usage() {
    for args in [
        &["resume", "--all", "--yes"][..],
        &["delete", "--all", "--yes"],
        &["list"],
        &["stats"],
        &["get", "a"],
        &["callback", "retry", "a"],
    ] {
        let mut command = without_proxies("https://service.invalid", args);
        let output = command.env("ALL_PROXY", "socks5://me:hidden@127.0.0.1:1").output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("ALL_PROXY") && said.contains("SOCKS") && !said.contains("hidden"), "{args:?}: {said}");
    }
}
