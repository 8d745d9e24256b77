//! Ids from files and standard input: what is taken, what is refused, and that nothing else is sent.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Run, Server, ServerOptions, Service};

use crate::common::{canned, command, emulator, json, run, text};

fn serve(ids: impl Iterator<Item = String>) -> Server {
    let mut service = Service::new(Config::default());
    for dlq_id in ids {
        service.insert(Run::default().dlq_id(dlq_id));
    }
    Server::start(service, ServerOptions::default()).unwrap()
}

fn left(server: &Server) -> BTreeSet<String> {
    server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect())
}

fn file(folder: &Path, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join("ids");
    std::fs::write(&path, text).unwrap();
    path
}

fn with_input(url: &str, args: &[&str], input: &[u8]) -> Output {
    let mut command = command(url);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// The list is longer than what is held at a time, and the file is written anew after the first request.
#[test]
fn what_was_read_first_is_what_is_sent() {
    for (ours, foreign) in [(22_000, 22_000), (10_000, 12_000), (5, 12_000)] {
        let all = (0..ours).map(|n| format!("ours-{n:0200}")).chain((0..foreign).map(|n| format!("them-{n:0200}")));
        let server = serve(all);
        let folder = tempfile::tempdir().unwrap();
        let lines = |name: &str, n: usize| (0..n).map(|n| format!("{name}-{n:0200}\n")).collect::<String>();
        let path = file(folder.path(), lines("ours", ours));
        let child = server.with_service(|_| {
            let args = ["delete", "--yes", "--json", "--ids-from", path.to_str().unwrap()];
            let child =
                command(&server.url()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // Its first request is out, and waits for its response.
            while server.connections() == 0 {
                std::thread::yield_now();
            }
            // Written over where it stands, and grown.
            std::fs::write(&path, lines("them", foreign)).unwrap();
            child
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(json(&output)["deleted"].as_u64(), Some(ours as u64));
        let left = left(&server);
        assert!(left.len() == foreign && left.iter().all(|id| id.starts_with("them-")));
    }
}

#[test]
fn a_line_that_is_no_id_is_named_and_nothing_is_sent() {
    let server = serve(["a-0", "b-0", "0", "blank-0"].map(str::to_owned).into_iter());
    let folder = tempfile::tempdir().unwrap();
    let long = |line: &str| format!("{line}{}", "x".repeat(4_097 - line.len()));
    let blanks = |blanks: usize| format!("{}blank-0", " ".repeat(blanks));
    let lines: Vec<Vec<u8>> = vec![
        // Read in two halves, either of these would be two ids.
        blanks(4_090).into(),
        blanks(4_096).into(),
        long("a").into(),
        "# a comment".into(),
        "#a".into(),
        "foo bar".into(),
        "foo\u{a0}bar".into(),
        "foo\tbar".into(),
        "a,b".into(),
        "..".into(),
        "[\"a-0\"]".into(),
        "\"a-0\"".into(),
        "[".into(),
        "{".into(),
        "{a-0}".into(),
        "{\"dlqId\":\"a-0\"".into(),
        "{\"dlqId\":\"a-0\"} b-0".into(),
        "{\"dlqId\":\"a-0\"}{\"dlqId\":\"b-0\"}".into(),
        "{\"dlqId\":7}".into(),
        "{\"dlqId\":null}".into(),
        "{\"dlqId\":\"\"}".into(),
        "{\"dlqId\":\"a b\"}".into(),
        "{\"dlqId\":\"{\\\"dlqId\\\"\"}".into(),
        "{\"dlqID\":\"a-0\"}".into(),
        "{\"run\":{\"dlqId\":\"a-0\"}}".into(),
        "\"a-0\u{1}\"".into(),
        b"a-\xff".to_vec(),
        format!("{{\"body\":\"{}\",\"dlqId\":\"a-0\"}}", "x".repeat(65 * 1024 * 1024)).into(),
    ];
    for line in lines {
        let shown = String::from_utf8_lossy(line.get(..40.min(line.len())).unwrap()).into_owned();
        for before in ["a-0\n", "\n", "{\"dlqId\":\"a-0\"}\r\n"] {
            let path = file(folder.path(), [before.as_bytes(), &line, b"\nb-0\n"].concat());
            let output = run(&server.url(), &["delete", "--yes", "--ids-from", path.to_str().unwrap()]);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{shown:?}: {error}");
            assert!(error.contains("line 2"), "{shown:?}: {error}");
            assert!(!error.chars().any(|c| c.is_control() && c != '\n') && error.len() < 800, "{shown:?}: {error}");
        }
    }
    for id in ["-", "#a", "# a", "foo bar", "\"a-0\"", "{\"dlqId\":\"a-0\"}", "[a"] {
        for subcommand in ["delete", "resume", "restart"] {
            let output = run(&server.url(), &[subcommand, "--yes", id]);
            assert_eq!(output.status.code(), Some(2), "{id}: {}", text(&output.stderr));
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn what_an_id_begins_with_is_told_first() {
    for (id, sentence) in [("# a comment", "comments are not taken"), ("\"a b\"", "use jq -r")] {
        let shown = text(&run("http://127.0.0.1:9", &["delete", "--yes", id]).stderr);
        assert!(shown.contains(sentence), "{shown}");
    }
}

/// Some editors put a mark at a file's beginning, which is no part of the first id.
#[test]
fn a_mark_at_the_beginning_is_no_part_of_an_id() {
    for lines in ["\u{feff}a-0\r\nb-0\r\n", "\u{feff}{\"dlqId\":\"a-0\"}\nb-0\n"] {
        let server = serve(["a-0", "b-0", "c-0"].map(str::to_owned).into_iter());
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), lines);
        let output = run(&server.url(), &["delete", "--yes", "--json", "--ids-from", path.to_str().unwrap()]);
        assert_eq!(json(&output)["deleted"], 2, "{}", text(&output.stderr));
        assert_eq!(left(&server), BTreeSet::from(["c-0".to_owned()]));
    }
}

#[test]
fn what_list_and_archive_write_can_be_given_back() {
    let server = emulator(300);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("runs.ndjson");
    let nightly = text(&run(&server.url(), &["list", "--json", "--label", "nightly"]).stdout);
    let ids: BTreeSet<String> = nightly
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["dlqId"].as_str().unwrap().to_owned())
        .collect();
    let kept: BTreeSet<String> = left(&server).difference(&ids).cloned().collect();
    let args = ["delete", "--ids-from", "-", "--yes", "--json", "--archive", archive.to_str().unwrap()];
    let output = with_input(&server.url(), &args, nightly.as_bytes());
    let report = json(&output);
    assert_eq!((output.status.code(), report["deleted"].as_u64()), (Some(0), Some(ids.len() as u64)), "{report}");
    assert_eq!(left(&server), kept);
    // The archive is a list of the runs that have gone. It is read whole before it is written to.
    let mut args = args;
    args[2] = archive.to_str().unwrap();
    let report = json(&run(&server.url(), &args));
    let counts = ["deleted", "archived", "missing"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [0, 0, ids.len() as u64], "{report}");
    // A message as large as a response can be, between ids; half a surrogate pair elsewhere does no harm.
    let large = format!("{{\"body\":\"{}\\ud800\", \"dlqId\" : \"large-0\"}}", "x".repeat(16 * 1024 * 1024 - 100));
    let first = kept.iter().next().unwrap();
    server.with_service(|s| s.insert(Run::default().dlq_id("large-0")));
    let input = format!("\u{feff}\n {first} \r\n{large}\n\n  {{\"dlqId\":\"nobody\",\"n\":1e999}}");
    let report = json(&with_input(&server.url(), &["delete", "--ids-from", "-", "--yes", "--json"], input.as_bytes()));
    assert_eq!((report["deleted"].as_u64(), report["missing"].as_u64()), (Some(2), Some(1)), "{report}");
    assert_eq!(left(&server).len(), kept.len() - 1);
}

#[test]
fn an_id_that_occurs_twice_counts_once() {
    let server = serve((0..15_000).map(|n| format!("id-{n}")));
    let folder = tempfile::tempdir().unwrap();
    // Twice in a row, and again far behind, beyond what is held at a time.
    let lines: String = (0..15_000).map(|n| format!("id-{n}\n{{\"dlqId\":\"id-{n}\"}}\n")).collect();
    let path = file(folder.path(), format!("{lines}nobody\n{lines}nobody\n"));
    let args = ["delete", "id-7", "nobody", "--yes", "--json", "--ids-from", path.to_str().unwrap()];
    let output = run(&server.url(), &args);
    let report = json(&output);
    let counts = ["deleted", "missing"].map(|name| report[name].as_u64());
    assert_eq!((output.status.code(), counts), (Some(0), [Some(15_000), Some(1)]), "{report}");
    let asked: usize = server.with_service(|s| s.log().map(|r| r.target.matches("dlqIds=").count()).sum());
    assert_eq!(asked, 15_001);
}

/// What is in flight comes back, and is counted. No lane asks for another run.
#[test]
#[cfg(unix)]
fn an_interrupt_of_a_look_up_stops_all_lanes() {
    for subcommand in ["delete", "restart"] {
        let server = serve((0..300).map(|n| format!("id-{n}")));
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::Slow { ms: 300 }); 300])));
        let ids: Vec<String> = left(&server).into_iter().collect();
        let folder = tempfile::tempdir().unwrap();
        let listed = file(folder.path(), ids.join("\n"));
        let args = [subcommand, "--dry-run", "--json", "--parallel", "4", "--ids-from", listed.to_str().unwrap()];
        let child = command(&server.url()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while server.with_service(|s| s.requests_total()) == 0 {
            std::thread::yield_now();
        }
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let (report, error) = (json(&output), text(&output.stderr));
        let asked = server.with_service(|s| s.requests_total());
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(130), Some("cancelled")), "{error}");
        assert_eq!((report["requests"].as_u64(), left(&server).len()), (Some(asked), 300), "{report}");
        assert!(asked <= 40, "{asked} requests");
        assert!(error.contains("interrupted; nothing was "), "{error}");
    }
}

#[test]
fn a_dry_run_looks_each_id_up() {
    for subcommand in ["delete", "resume", "restart"] {
        let server = serve(["a-0", "b-0", "c-0"].map(str::to_owned).into_iter());
        let ask = |more: &[&str]| run(&server.url(), &[&[subcommand, "--dry-run", "--json"], more].concat());
        let output = ask(&["a-0", "nobody-0", "c-0", "a-0", "nobody-1"]);
        let report = json(&output);
        let counts = ["matching", "missing", "requests"].map(|name| report[name].as_u64());
        assert_eq!((output.status.code(), counts), (Some(0), [Some(2), Some(2), Some(4)]), "{report}");
        assert_eq!((report["outcome"].as_str(), report["reason"].is_null()), (Some("dry-run"), true));
        let error = text(&output.stderr);
        assert!(error.contains("a-0") && error.contains("c-0") && !error.contains("b-0"), "{error}");
        assert!(error.contains("not found: nobody-0, nobody-1\n"), "{error}");
        // What an operation that starts runs would meet.
        assert_eq!(error.contains("take those ids out"), subcommand != "delete", "{error}");
        let shown = text(&run(&server.url(), &[subcommand, "--dry-run", "a-0", "nobody-0"]).stdout);
        assert!(shown.starts_with("Dry run: 1 run matches, 1 of the ids was not found, nothing was "), "{shown}");
        // Filters are listed.
        let output = ask(&["--all"]);
        assert_eq!((output.status.code(), json(&output)["matching"].as_u64()), (Some(0), Some(3)));
        assert!(json(&output).get("missing").is_none());
        // A busy server is asked again, and one that does not say whether a run is there is not trusted.
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503))])));
        assert_eq!(json(&ask(&["a-0"]))["matching"].as_u64(), Some(1));
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::ServerError(500))])));
        let output = ask(&["nobody-0", "a-0", "--max-attempts", "1", "--parallel", "1"]);
        let report = json(&output);
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("halted")), "{report}");
        assert_eq!(report["missing"].as_u64(), Some(1), "{report}");
        // Beside it other lanes may have seen what is there.
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::ServerError(500))])));
        let output = ask(&["a-0", "b-0", "c-0", "--max-attempts", "1", "--parallel", "3"]);
        let report = json(&output);
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("halted")), "{report}");
        assert!((2..=3).contains(&report["requests"].as_u64().unwrap()), "{report}");
        assert!(server.with_service(|s| (s.len(), s.deleted_total(), s.started().count())) == (3, 0, 0));
        assert!(server.with_service(|s| s.log().all(|request| request.method == http::Method::GET)));
    }
}

/// Whichever response comes first, the samples are the first runs of the list.
#[test]
fn a_dry_run_of_ids_shows_the_first_of_the_list() {
    let ids: Vec<String> = (0..60).map(|n| format!("run-{n:02}")).collect();
    let server = serve(ids.iter().filter(|id| *id > &"run-30".to_owned()).cloned());
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    for _ in 0..5 {
        let output = run(&server.url(), &[&["delete", "--dry-run", "--parallel", "8"], &asked[..]].concat());
        let error = text(&output.stderr);
        let (table, missing) = error.split_once("not found: ").unwrap();
        assert_eq!(missing.trim_end(), "run-00, run-01, run-02, run-03, run-04 and 26 more", "{error}");
        let shown: Vec<&str> = table.split_whitespace().filter(|word| word.starts_with("run-")).collect();
        let counted = text(&output.stdout);
        assert!(counted.starts_with("Dry run: 29 runs match, 31 of the ids were not found"), "{counted}");
        assert_eq!(shown, ["run-31", "run-32", "run-33", "run-34", "run-35"], "{error}");
    }
}

#[test]
fn a_404_that_speaks_of_the_region_or_is_no_word_of_the_services_is_no_proof() {
    for response in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 43\r\n\r\n{\"error\":\"user not found in this region..\"}",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"dlqId\":\"b-0\"}  ",
    ] {
        let (url, _) = canned(response);
        let output = run(&url, &["delete", "a-0", "--dry-run", "--json"]);
        let report = json(&output);
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("halted")), "{report}");
        assert_eq!(report["missing"].as_u64(), Some(0), "{report}");
    }
}

#[test]
fn what_was_not_there_is_counted_where_that_is_known() {
    let missing = |output: &Output| json(output)["missing"].as_u64();
    let ids = ["a-0", "b-0", "c-0"].map(str::to_owned);
    let server = serve(ids.iter().cloned());
    let delete = |more: &[&str]| run(&server.url(), &[&["delete", "--yes", "--json"], more].concat());
    let output = delete(&["a-0", "nobody-0", "nobody-1"]);
    assert_eq!((output.status.code(), missing(&output)), (Some(0), Some(2)));
    // Deleted, and the response is lost: told again that nothing was deleted, nobody knows that it was not there.
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
    let output = delete(&["b-0"]);
    assert_eq!((output.status.code(), json(&output)["unconfirmed"].as_u64()), (Some(0), Some(1)));
    assert_eq!(missing(&output), Some(0));
    let shown = text(&run(&server.url(), &["delete", "--yes", "c-0", "nobody-0"]).stdout);
    assert!(shown.starts_with("Deleted 1 run; 1 of the ids was not found. "), "{shown}");
    assert!(json(&delete(&["--all"])).get("missing").is_none());
    // Refused: nothing is known of any.
    let server = serve(ids.iter().cloned());
    let output = run(&server.url(), &["resume", "a-0", "nobody-0", "--yes", "--json"]);
    assert_eq!((output.status.code(), missing(&output)), (Some(1), Some(0)));
    let output = run(&server.url(), &["restart", "a-0", "--yes", "--json"]);
    assert_eq!((output.status.code(), missing(&output)), (Some(0), Some(0)));
}

/// What a request deleted whose response was lost, nobody knows.
#[test]
fn what_was_not_there_is_told_as_far_as_it_is_known() {
    let ids: Vec<String> = (0..300).map(|n| format!("id-{n}-{}", "x".repeat(100))).collect();
    for (missing, said) in
        [(0, "; it is unknown whether all ids were found."), (100, "; at least 100 of the ids were not found.")]
    {
        let server = serve(ids.iter().cloned());
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
        let folder = tempfile::tempdir().unwrap();
        let nobody = (0..missing).map(|n| format!("nobody-{n}"));
        let path = file(folder.path(), ids.iter().cloned().chain(nobody).collect::<Vec<_>>().join("\n"));
        let output = run(&server.url(), &["delete", "--yes", "--parallel", "1", "--ids-from", path.to_str().unwrap()]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(shown.contains(said), "{shown}");
    }
}

/// It counts over interruptions.
#[test]
fn what_was_not_there_is_counted_from_a_checkpoint_on() {
    let server = serve((0..600).map(|n| format!("id-{n}-{}", "x".repeat(100))));
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..610).map(|n| format!("id-{n}-{}\nnobody-{n}\n", "x".repeat(100))).collect();
    let path = file(folder.path(), lines);
    let position = folder.path().join("position");
    let args = [
        "delete",
        "--yes",
        "--json",
        "--parallel=1",
        "--ids-from",
        path.to_str().unwrap(),
        "--max-attempts",
        "1",
        "--checkpoint",
    ];
    let go = || run(&server.url(), &[&args[..], &[position.to_str().unwrap()]].concat());
    // A refusal, after which nothing is unconfirmed.
    let refused = || Some(Fault::TooManyRequests { retry_after_s: None });
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, None, refused(), None, refused()])));
    let mut counts = Vec::new();
    for code in [3, 3, 0] {
        let output = go();
        let report = json(&output);
        assert_eq!(output.status.code(), Some(code), "{report} {}", text(&output.stderr));
        counts.push(report["missing"].as_u64().unwrap());
    }
    assert!(counts[0] > 0 && counts[0] < counts[1] && counts[1] < counts[2], "{counts:?}");
    assert_eq!(counts[2], 620);
}

/// As many as it takes to find the samples.
#[test]
fn a_dry_run_goes_on_where_the_first_ids_are_missing() {
    let server = serve(["there-0".to_owned()].into_iter());
    let folder = tempfile::tempdir().unwrap();
    let mut ids: Vec<String> = (0..300).map(|n| format!("nobody-{n}")).collect();
    ids.push("there-0".to_owned());
    let path = file(folder.path(), ids.join("\n"));
    let output = run(&server.url(), &["delete", "--dry-run", "--json", "--ids-from", path.to_str().unwrap()]);
    let (report, error) = (json(&output), text(&output.stderr));
    assert_eq!((report["matching"].as_u64(), report["missing"].as_u64()), (Some(1), Some(300)), "{report}");
    assert!(error.contains("not found: nobody-0, nobody-1, nobody-2, nobody-3, nobody-4 and 295 more"), "{error}");
    // Where all are missing, there is nothing to take them out of.
    let error = text(&run(&server.url(), &["resume", "--dry-run", "nobody-0"]).stderr);
    assert!(error.contains("not found: nobody-0\n") && !error.contains("take those ids out"), "{error}");
}

/// Ids of the greatest length: some 4,000 of them are one part of a list.
fn long_ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:01024}")).collect()
}

#[test]
fn a_list_of_many_parts_is_gone_through_to_its_end() {
    let ids = long_ids(9_000);
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), ids.join("\n"));
    let archive = folder.path().join("kept.ndjson");
    for more in [&[][..], &["--archive", archive.to_str().unwrap()]] {
        let server = serve([&ids[0], &ids[5_000], &ids[8_999]].into_iter().cloned());
        let args = ["delete", "--yes", "--json", "--ids-from", path.to_str().unwrap()];
        let output = run(&server.url(), &[&args, more].concat());
        let report = json(&output);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!((report["deleted"].as_u64(), report["missing"].as_u64()), (Some(3), Some(8_997)), "{more:?}");
        assert!(left(&server).is_empty());
    }
    assert_eq!(std::fs::read_to_string(&archive).unwrap().lines().count(), 3);
}

/// Two lists that differ in their last id alone, which is not in the part that the checkpoint is about.
#[test]
fn a_checkpoint_belongs_to_the_whole_of_a_long_list() {
    let ids = long_ids(4_200);
    let server = serve(ids[..10].iter().cloned());
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position");
    let delete = |ids: &[String]| {
        let path = file(folder.path(), ids.join("\n"));
        let args =
            ["delete", "--yes", "--json", "--parallel=1", "--max-attempts=1", "--ids-from", path.to_str().unwrap()];
        run(&server.url(), &[&args[..], &["--checkpoint", position.to_str().unwrap()]].concat())
    };
    let refused = Fault::TooManyRequests { retry_after_s: None };
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(refused)])));
    assert_eq!(delete(&ids).status.code(), Some(3));
    let (sent, remaining) = (server.connections(), left(&server));
    let mut other = ids.clone();
    other[4_199] = "another".to_owned();
    let output = delete(&other);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!((server.connections(), left(&server)), (sent, remaining));
    assert_eq!(delete(&ids).status.code(), Some(0));
    assert!(left(&server).is_empty());
}

/// Standard input holds the ids, so the question goes to the terminal itself.
#[cfg(target_os = "linux")]
#[test]
fn ids_from_standard_input_are_asked_about_on_the_terminal() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    for subcommand in ["delete", "resume"] {
        for (keys, code, remaining) in [("y\n", 0, 1), ("n\n", 1, 3)] {
            let server = serve(["a-0", "b-0", "c-0"].map(str::to_owned).into_iter());
            let folder = tempfile::tempdir().unwrap();
            let path = file(folder.path(), "a-0\nb-0\n");
            let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&ours).unwrap();
            unlockpt(&ours).unwrap();
            let theirs = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
            // The first terminal that a session opens is its own.
            let script = "exec 3<>\"$0\" && exec \"$@\" --ids-from - <\"$IDS\"";
            let mut child = std::process::Command::new("setsid")
                .args(["--wait", "sh", "-c", script, &theirs, env!("CARGO_BIN_EXE_upstash-dlq"), subcommand, "--json"])
                .env("IDS", &path)
                .env("QSTASH_URL", server.url())
                .env("QSTASH_TOKEN", upstash_dlq_emulator::LOCAL_TOKEN)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut terminal = std::fs::File::from(ours);
            let mut shown = Vec::new();
            while !String::from_utf8_lossy(&shown).contains("[y/N] ") {
                let mut bytes = [0; 1_024];
                let read = terminal.read(&mut bytes).unwrap_or(0);
                if read == 0 {
                    panic!("it was not asked: {:?} {shown:?}", text(&child.wait_with_output().unwrap().stderr));
                }
                shown.extend(&bytes[..read]);
            }
            assert!(String::from_utf8_lossy(&shown).contains("2 ids given"));
            assert_eq!(server.connections(), 0, "asked first");
            terminal.write_all(keys.as_bytes()).unwrap();
            let status = child.wait().unwrap();
            assert_eq!((status.code(), left(&server).len()), (Some(code), remaining), "{subcommand} {keys:?}");
        }
    }
    // Without a terminal nobody can be asked.
    let server = serve(std::iter::once("a-0".to_owned()));
    let mut child = std::process::Command::new("setsid")
        .args(["--wait", env!("CARGO_BIN_EXE_upstash-dlq"), "delete", "--ids-from", "-"])
        .env("QSTASH_URL", server.url())
        .env("QSTASH_TOKEN", upstash_dlq_emulator::LOCAL_TOKEN)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a-0\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--yes"), "{}", text(&output.stderr));
    assert_eq!(server.connections(), 0);
}
