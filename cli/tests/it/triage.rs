//! From thousands of failed runs to one cause: `stats` shows the causes, `--error`, `--status` and `--error-text` pick runs.

use crate::common::{command, emulator, json, run, text};
use serde_json::Value;
use std::collections::BTreeSet;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;
use upstash_dlq_emulator::{Config, Run, Server, ServerOptions, Service};

/// The runs of a cause: their number, status, and how the error reads with a number in it.
type Cause = (usize, u16, fn(usize) -> String);

fn serve(causes: &[Cause]) -> Server {
    let mut service = Service::new(Config::default());
    let runs = causes.iter().enumerate().flat_map(|(cause, (runs, status, body))| {
        (0..*runs).map(move |n| {
            Run::default()
                .dlq_id(format!("{cause}-{n}"))
                .workflow_url(format!("https://h.example/{}", if n == 0 { "odd" } else { "even" }))
                .created_at(1_764_000_000_000 + i64::try_from(n).unwrap() * 60_000)
                .response_status(*status)
                .response_body(body(n))
        })
    });
    runs.for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default()).unwrap()
}

fn causes() -> Server {
    serve(&[
        (30, 500, |n| format!(r#"{{"error":"TypeError","message":"no price of order {n}","stack":"at {n}"}}"#)),
        (12, 502, |n| format!("<html><title>502 Bad Gateway</title>request {n:016x}</html>")),
        (5, 500, |n| format!("\u{1b}[31mno\u{202e} route to 10.0.0.{n}")),
    ])
}

fn listed(server: &Server, args: &[&str]) -> BTreeSet<String> {
    let output = run(&server.url(), &[&["list", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    shown.lines().map(|line| DlqMessage::parse(line).unwrap().dlq_id().unwrap().as_str().to_owned()).collect()
}

#[test]
fn stats_show_the_causes_and_one_of_them_is_picked() {
    let server = causes();
    let stats = json(&run(&server.url(), &["stats", "--json"]));
    let error = &stats["error"];
    let values = error["values"].as_array().unwrap();
    let counts: Vec<u64> = values.iter().map(|value| value["count"].as_u64().unwrap()).collect();
    assert_eq!((counts, &error["others"]), (vec![30, 12, 5], &Value::from(0)));
    let first = &values[0];
    assert_eq!(first["first"], 1_764_000_000_000_i64);
    assert_eq!(first["last"], 1_764_000_000_000_i64 + 29 * 60_000);
    assert!(first["example"].as_str().unwrap().starts_with("TypeError: no price of order "), "{first}");
    for (cause, value) in values.iter().enumerate() {
        let signature = value["value"].as_str().unwrap();
        assert!(signature.parse::<Signature>().is_ok());
        let picked = listed(&server, &["--error", signature]);
        assert_eq!(picked.len() as u64, value["count"].as_u64().unwrap());
        assert!(picked.iter().all(|id| id.starts_with(&format!("{cause}-"))), "{picked:?}");
        let again = json(&run(&server.url(), &["stats", "--json", "--error", signature]));
        assert_eq!((&again["total"], &again["error"]["values"][0]), (&value["count"], value));
    }
    let shown = text(&command(&server.url()).env("COLUMNS", "80").arg("stats").output().unwrap().stdout);
    let (_, by_error) = shown.split_once("By error\n").unwrap();
    let lines: Vec<&str> = by_error.lines().take(9).collect();
    let signature = first["value"].as_str().unwrap();
    assert_eq!(lines[0], format!("           30   63.8%  {signature}  2025-11-24 16:00 to 2025-11-24 16:29"));
    assert!(lines[1].starts_with("               TypeError: no price of order "), "{lines:?}");
    assert_eq!(lines[2], "               2 workflows, most often https://h.example/even");
    assert!(lines[7].starts_with("               \\u{1b}[31mno\\u{202e} route to 10.0.0."), "{lines:?}");
}

#[test]
fn runs_are_picked_by_status_and_by_text() {
    let server = causes();
    for (args, runs) in [
        (&["--status", "502"][..], 12),
        (&["--status", "502", "--status", "500"], 47),
        (&["--status", "404"], 0),
        (&["--error-text", "BAD gateway"], 12),
        (&["--error-text", "typeerror: no price of order 2"], 11),
        (&["--error-text", "route", "--status", "500"], 5),
        (&["--error-text", "route", "--status", "502"], 0),
        (&["--status", "500", "--limit", "7"], 7),
        (&["--status", "502", "--limit", "100", "--parallel", "3"], 12),
    ] {
        assert_eq!(listed(&server, args).len(), runs, "{args:?}");
    }
    // A limit counts the runs that match, wherever they are, and the server is not asked for what it cannot filter by.
    let server = serve(&[(230, 500, |_| "one".into()), (3, 400, |_| "two".into())]);
    assert_eq!(listed(&server, &["--status", "400", "--limit", "3"]).len(), 3);
    assert!(server.with_service(|s| {
        s.log().all(|request| !request.target.contains("400") && request.target.contains("count=100"))
    }));
}

#[test]
fn a_cause_that_nobody_has_matches_nothing_and_says_so() {
    let server = causes();
    for args in [&["list"][..], &["list", "--json"], &["stats"], &["stats", "--json"]] {
        let output = run(&server.url(), &[args, &["--error", "e1-00000000"]].concat());
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stderr).contains("no failed runs match"), "{args:?}: {output:?}");
        let shown = text(&output.stdout);
        assert!(shown.is_empty() || shown == "0 failed runs\n" || shown.starts_with("{\"total\":0,"), "{shown}");
    }
}

#[test]
fn what_cannot_match_is_wrong_usage() {
    for (args, sentence) in [
        (&["--status", "99"][..], "must be the status of a response, from 100 to 599"),
        (&["--status", "600"], "from 100 to 599"),
        (&["--status", "abc"], "from 100 to 599"),
        (&["--error", "TypeError"], "e1- and eight lower-case letters or digits"),
        (&["--error", "e2-00000000"], "is not the signature of an error"),
        (&["--error-text", ""], "--error-text: \"\" is empty"),
        (&["--error-text", " "], "--error-text: \" \" is empty"),
    ] {
        for subcommand in ["list", "stats"] {
            let output = run("http://127.0.0.1:9", &[&[subcommand], args].concat());
            let shown = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {shown}");
            assert!(
                shown.contains(sentence) && shown.lines().next().unwrap().starts_with("error: "),
                "{args:?}: {shown}"
            );
        }
    }
}

/// The causes of the samples are few, although hardly two of their texts are the same.
#[test]
fn the_causes_of_the_samples_are_told_apart() {
    let server = emulator(2_000);
    let error = &json(&run(&server.url(), &["stats", "--json"]))["error"];
    let values = error["values"].as_array().unwrap();
    // A dozen, and the hostile text with each of their statuses.
    assert!((12..=13 + 7).contains(&values.len()), "{error}");
    let counted: u64 = values.iter().map(|value| value["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, 2_000);
    assert!(values[0]["example"].as_str().unwrap().starts_with("ConnectionError: connection to database"), "{error}");
}
