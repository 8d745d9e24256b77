//! What the command says, and in which form, when something is wrong.
#![cfg(unix)]

use crate::common::{canned, command, emulator, json, ok, run, stderr_after, text};
use serde_json::Value;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use upstash_dlq_emulator::{Fault, FaultPlan, Run};

fn nobody() -> String {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{addr}")
}

/// The last line of standard error, which is the only one that is JSON.
fn error_line(output: &std::process::Output) -> Value {
    let shown = text(&output.stderr);
    let line: Value = serde_json::from_str(shown.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert!(text(&output.stdout).is_empty(), "{output:?}");
    let keys: Vec<&str> = line["error"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "http_status", "message"]);
    line["error"].clone()
}

/// Where, what, and what comes of it: exit status, code, and the response's status.
type Case<'a> = (&'a str, &'a [&'a str], i32, &'a str, Option<u64>);

#[test]
fn other_commands_tell_a_failure_as_one_line_of_json() {
    let server = emulator(3);
    let (url, nobody, down) = (server.url(), nobody(), emulator(3));
    down.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503))])));
    let busy = emulator(3);
    busy.with_service(|s| {
        s.set_faults(FaultPlan::script(vec![Some(Fault::TooManyRequests { retry_after_s: None })]));
    });
    let redirect = canned("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").0;
    let unreadable = canned(ok("<html>")).0;
    let other = canned(ok("{\"dlqId\":\"y\"}")).0;
    let cases: &[Case<'_>] = &[
        (&url, &["get", "x"], 1, "not_found", Some(404)),
        (&url, &["callback", "cancel", "x"], 1, "not_found", Some(404)),
        (&url, &["get", "a,b"], 2, "usage", None),
        (&url, &["list", "--label", "a,b"], 2, "usage", None),
        (&url, &["stats", "--from", "yesterday"], 2, "usage", None),
        (&url, &["emulator", "--load", "/nowhere/at/all"], 2, "usage", None),
        (&nobody, &["list"], 1, "not_sent", None),
        (&nobody, &["stats"], 1, "not_sent", None),
        (&down.url(), &["list"], 1, "server_error", Some(503)),
        (&busy.url(), &["list"], 1, "rate_limited", Some(429)),
        (&redirect, &["get", "x"], 1, "redirect", Some(302)),
        (&unreadable, &["list"], 1, "unreadable_response", Some(200)),
        (&unreadable, &["callback", "retry", "x", "--quiet"], 3, "unsettled", Some(200)),
        (&other, &["get", "x"], 1, "other_run", Some(200)),
    ];
    for (url, args, status, code, http_status) in cases {
        let output = run(url, &[args, &["--json", "--max-attempts", "1"][..]].concat());
        let error = error_line(&output);
        assert_eq!(
            (output.status.code(), error["code"].as_str(), error["http_status"].as_u64()),
            (Some(*status), Some(*code), *http_status),
            "{args:?}: {error}"
        );
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let wrong = command(&url).env("QSTASH_TOKEN", "wr0ng").args(["list", "--json"]).output().unwrap();
    assert_eq!((error_line(&wrong)["code"].as_str(), wrong.status.code()), (Some("unauthorized"), Some(1)));
    let help = text(&run("", &["--help"]).stdout);
    for code in cases.iter().map(|case| case.3).chain(["unauthorized"]) {
        assert!(help.contains(code), "{code} is missing in the help");
    }
}

#[test]
fn bulk_commands_end_with_one_object_whatever_happened() {
    let server = emulator(20);
    let (url, nobody) = (server.url(), nobody());
    let cases: &[(&str, &[&str], i32)] = &[
        // Wrong usage that the parser of arguments does not see.
        (&url, &["delete"], 2),
        (&url, &["resume", "--yes"], 2),
        (&url, &["restart", "a,b", "--yes"], 2),
        (&url, &["delete", "--label", "", "--yes"], 2),
        (&url, &["delete", "--from", "12h", "--to", "13h", "--yes"], 2),
        (&url, &["delete", "--from", "12h", "--shard", "1/2", "--yes"], 2),
        (&url, &["resume", "--all", "--yes", "--set-label", ""], 2),
        (&url, &["delete", "--ids-from", "/nowhere/at/all", "--yes"], 2),
        (&url, &["delete", "--all"], 2),
        (&url, &["delete", "--all", "--yes", "--token-file", "/nowhere/at/all"], 2),
        // Before the first request.
        (&nobody, &["delete", "--all", "--yes", "--max-attempts", "1"], 1),
        (&nobody, &["delete", "--all", "--dry-run", "--max-attempts", "1"], 1),
        (&url, &["delete", "--all", "--yes", "--archive", "/nowhere/at/all"], 2),
    ];
    for (url, args, status) in cases {
        let output = run(url, &[args, &["--json"][..]].concat());
        let (report, shown) = (json(&output), text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), 1, "{args:?}");
        assert_eq!(
            (output.status.code(), report["outcome"].as_str()),
            (Some(*status), Some("halted")),
            "{args:?}: {shown}"
        );
        let reason = report["reason"].as_str().unwrap();
        assert!(shown.lines().any(|line| line == format!("error: {reason}")), "{reason}: {shown}");
        assert!(report["checkpoint"].is_null() && report["unconfirmed"] == 0);
    }
    assert_eq!(server.with_service(|s| s.len()), 20);
}

#[test]
fn connection_errors_name_the_host() {
    let nobody = nobody();
    let host = nobody.strip_prefix("http://").unwrap();
    for args in
        [&["list"][..], &["stats"], &["get", "x"], &["delete", "--all", "--yes"], &["delete", "--all", "--dry-run"]]
    {
        let output = run(&nobody, &[args, &["--max-attempts", "1"]].concat());
        let shown = text(&output.stderr);
        let error = shown.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(output.status.code() == Some(1) && error.contains(host), "{args:?}: {shown}");
    }
}

#[test]
fn times_are_told_as_they_were_given() {
    for (args, sentence) in [
        (&["--from", "12h", "--to", "13h"][..], "--from 12h is later than --to 13h"),
        (&["--from", "2026-01-02", "--to", "2026-01-01"], "--from 2026-01-02 is later than --to 2026-01-01"),
        (&["--from", "2099-01-01"], "--from 2099-01-01 is later than --to, which is now"),
    ] {
        for subcommand in [&["list"][..], &["delete", "--yes"], &["stats"]] {
            let shown = text(&run("http://127.0.0.1:9", &[subcommand, args].concat()).stderr);
            assert!(shown.contains(sentence) && !shown.contains("17"), "{shown}");
        }
    }
}

#[test]
fn everything_has_an_end_in_time() {
    let server = emulator(3);
    let shown = text(&run(&server.url(), &["delete", "--all", "--yes"]).stderr);
    assert!(shown.contains("All runs that failed up to 20"), "{shown}");
}

#[test]
fn a_server_that_leads_in_circles() {
    let url = canned(ok("{\"messages\":[],\"cursor\":\"again\"}")).0;
    let output = run(&url, &["list"]);
    let shown = text(&output.stderr);
    assert!(output.status.code() == Some(1) && shown.contains("the server keeps returning the same pages"), "{shown}");
}

#[test]
fn nobody_to_confirm() {
    let output = run("http://127.0.0.1:9", &["delete", "--all"]);
    let sentence = "standard input is not a terminal, so there is nobody to confirm: pass --yes";
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains(sentence), "{output:?}");
}

#[test]
fn the_position_of_another_command_is_not_gone_on_from() {
    let server = emulator(200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let ids = folder.path().join("ids");
    std::fs::write(&ids, "a-0\n").unwrap();
    let (file, ids) = (file.to_str().unwrap(), ids.to_str().unwrap());
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::ServerError(500))])));
    let args = ["--yes", "--max-attempts", "1", "--parallel", "1", "--checkpoint", file];
    let stopped = run(&server.url(), &[&["delete", "--all", "--page-size", "10"], &args[..]].concat());
    assert_eq!(stopped.status.code(), Some(3));
    assert!(text(&stopped.stderr).contains("run the same command again to continue"));
    for other in [&["resume", "--all"][..], &["resume", "--ids-from", ids], &["delete", "--label", "x"]] {
        let output = run(&server.url(), &[other, &args[..]].concat());
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(2) && !shown.contains("continuing"), "{other:?}: {shown}");
    }
    let same = run(&server.url(), &[&["delete", "--all", "--page-size", "10"], &args[..]].concat());
    assert!(same.status.success() && text(&same.stderr).contains("continuing from"), "{same:?}");
}

#[test]
fn what_waits_to_be_settled_is_continued_with_settle() {
    let server = emulator(200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--all", "--yes", "--checkpoint", file.to_str().unwrap()];
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    for output in [run(&server.url(), &args), run(&server.url(), &args)] {
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{shown}");
        assert!(shown.contains("it is unknown whether up to 50 runs were started"), "{shown}");
        // Looked at too early, a late request would still be carried out after the look.
        assert!(shown.contains(" were started. Wait 30s, because a late request may still be carried out. Check "));
        assert!(shown.contains("run the same command again with --settle to continue"), "{shown}");
    }
}

#[test]
fn one_run_is_shown_whole_line_by_line() {
    let server = emulator(0);
    let long = "x".repeat(3_000);
    server.with_service(|s| {
        s.insert(
            Run::default()
                .dlq_id("a-0")
                .workflow_url(format!("https://x.example/{long}"))
                .body(format!("first\r\n\u{1b}[31msecond\n{long}"))
                .response_body(r#"{"error":"Big","stack":"a\n b","steps":[1.50,{}]}"#),
        );
    });
    let shown = text(&run(&server.url(), &["get", "a-0"]).stdout);
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert!(lines.contains(&"body                    first") && lines.contains(&"\\u{1b}[31msecond"), "{shown}");
    assert!(lines.contains(&long.as_str()) && shown.contains(&format!("https://x.example/{long}\n")), "{shown}");
    for line in ["body                    {", "\"error\": \"Big\",", "\"stack\": \"a\\n b\",", "1.50,", "{}", "]", "}"]
    {
        assert!(lines.contains(&line), "{line}: {shown}");
    }
}

#[test]
fn another_run_than_the_one_asked_for_is_not_shown() {
    let url = canned(ok("{\"dlqId\":\"y\",\"workflowUrl\":\"https://y.example\"}")).0;
    let output = run(&url, &["get", "x"]);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{error}");
    assert!(error.contains("another run than the one that was asked for"), "{error}");
}

#[test]
fn ids_are_never_cut() {
    let server = emulator(0);
    let ids: Vec<String> = [3, 90, 700].map(|n| format!("id-{}", "x".repeat(n))).into();
    server.with_service(|s| {
        for id in &ids {
            s.insert(Run::default().dlq_id(id.clone()).workflow_url("https://x.example/".repeat(9)));
        }
    });
    let output = command(&server.url()).env("COLUMNS", "40").arg("list").output().unwrap();
    let shown = text(&output.stdout);
    let first: Vec<&str> = shown.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first, ids);
}

#[test]
fn no_width_is_too_wide() {
    let server = emulator(20);
    for args in [&["stats"][..], &["list"]] {
        for columns in ["18446744073709551615", "9223372036854775807", "1"] {
            let output = command(&server.url()).env("COLUMNS", columns).args(args).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{args:?}, {columns}: {}", text(&output.stderr));
            assert!(output.stdout.len() < 1 << 20);
        }
    }
}

/// The examples of the help are those that people try first.
#[test]
fn the_help_names_a_path_that_is_there() {
    let help = text(&run("", &["stats", "--help"]).stdout);
    let (_, example) = help.split_once("jq '.").unwrap();
    let (path, _) = example.split_once('\'').unwrap();
    let server = emulator(20);
    let stats = json(&run(&server.url(), &["stats", "--json"]));
    let pointer: String = path.replace('[', ".").replace(']', "").split('.').map(|part| format!("/{part}")).collect();
    let value = stats.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} in {stats}"));
    assert!(value["count"].is_u64(), "{value}");
    assert!(stats["createdAt"]["bucket_ms"].is_u64(), "our own keys are snake_case: {stats}");
}

#[test]
fn colour_is_there_always_or_never() {
    let server = emulator(20);
    for args in [&["list"][..], &["stats"], &["get", "absent"], &["list", "--nonsense"], &["--help"]] {
        let shown = |when: &str| {
            let output = run(&server.url(), &[args, &["--color", when]].concat());
            text(&output.stdout) + &text(&output.stderr)
        };
        assert!(shown("always").contains("\u{1b}["), "{args:?}");
        assert!(!shown("never").contains('\u{1b}') && !shown("auto").contains('\u{1b}'), "{args:?}");
    }
    let lines = run(&server.url(), &["list", "--json", "--color", "always"]);
    assert!(!text(&lines.stdout).contains('\u{1b}'));
}

/// As `timeout` does it, which sends a signal to the process and another to its group; each kind is an interruption.
#[test]
fn signals_that_follow_at_once_are_one_interruption() {
    for signals in [["INT", "INT"], ["TERM", "TERM"], ["HUP", "INT"]] {
        let server = emulator(300);
        server.with_service(|s| {
            s.set_faults(FaultPlan::script(vec![None, Some(Fault::TooManyRequests { retry_after_s: Some(30) })]));
        });
        let mut child = command(&server.url())
            .args(["delete", "--all", "--yes", "--json", "--parallel", "1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = stderr_after(&mut child, "trying again");
        let pid = child.id();
        let script = format!("kill -{} {pid}; kill -{} {pid}; kill -{} {pid}", signals[0], signals[1], signals[0]);
        Command::new("sh").args(["-c", &script]).output().unwrap();
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signals:?}: {rest}");
        let report = json(&output);
        assert_eq!((report["outcome"].as_str(), report["deleted"].as_u64()), (Some("cancelled"), Some(100)));
    }
}

/// What is counted and does not fit is told as so many, and a run without a time is in no row.
#[test]
fn stats_leave_nothing_out() {
    let messages: Vec<String> = (0..13)
        .map(|n| match n {
            12 => r#"{"dlqId":"a-12","label":"l-0"}"#.to_owned(),
            _ => format!(r#"{{"dlqId":"a-{n}","label":"l-{n}","createdAt":1764000000000}}"#),
        })
        .collect();
    let url = canned(ok(&format!(r#"{{"messages":[{}]}}"#, messages.join(",")))).0;
    let output = run(&url, &["stats"]);
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert_eq!((output.status.code(), lines[0]), (Some(0), "13 failed runs"), "{}", text(&output.stderr));
    let labels: Vec<&str> = lines.iter().skip_while(|line| **line != "By label").skip(1).take(11).copied().collect();
    assert_eq!((labels[0], labels[10]), ("2  l-0", "2  (2 other values; --json lists them)"), "{labels:?}");
    assert_eq!(lines.last(), Some(&"1 without a time"));
}
