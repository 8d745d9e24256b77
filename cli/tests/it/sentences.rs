//! What the command says about how it ended and how to go on.
#![cfg(unix)]

use crate::common::{canned, command, emulator, json, run, text};
use crate::going_on::serve_two_in_doubt;
use std::process::{Command, Output, Stdio};
use upstash_dlq_emulator::{Fault, FaultPlan, Server};

/// Interrupts it when it waits for the server, which is busy once the first request has got its response.
fn interrupted(server: &Server, args: &[&str]) -> Output {
    let busy = Some(Fault::TooManyRequests { retry_after_s: Some(30) });
    let plan = [vec![None; if args.contains(&"--archive") { 2 } else { 1 }], vec![busy]].concat();
    let faults = plan.len() as u64;
    server.with_service(|s| s.set_faults(FaultPlan::script(plan)));
    let before = server.with_service(|s| s.requests_total());
    let mut run = command(&server.url());
    run.args(args).args(["--yes", "--page-size", "100"].iter().take(if args[0] == "delete" { 3 } else { 1 }));
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.with_service(|s| s.requests_total()) < before + faults {
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupt_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (archive, position) = (path("runs.ndjson"), path("position"));
    let appended = format!("run the same command again to continue: it appends to {archive}");
    for (args, how) in [
        (&["delete", "--all", "--parallel", "1"][..], "run the same command again to continue"),
        (&["delete", "--all", "--archive", &archive], &appended),
        // Without an end of its own the same command would take what failed since.
        (&["delete", "--all", "--parallel", "1"], "Z in place of --all leaves alone what failed since"),
        (&["delete", "--to", "0s", "--parallel", "1"], "Z leaves alone what failed since"),
        // An age begins later next time.
        (&["delete", "--from", "3000d", "--parallel", "1"], "Z it keeps to the same time"),
        (&["delete", "--from", "3000d", "--to", "2099-01-01", "--parallel", "1"], "Z it begins where this one did"),
        (&["delete", "--from", "2015-01-01", "--parallel", "1"], "Z leaves alone what failed since"),
        (&["delete", "--all", "--parallel", "1", "--checkpoint", &position], "run the same command again to continue"),
        (&["delete", "--to", "2099-01-01", "--parallel", "1"], "run the same command again to continue"),
        (&["resume", "--all"], "the remaining runs are still in the DLQ"),
        (&["restart", "--all"], "the remaining runs are still in the DLQ"),
    ] {
        let server = emulator(1_000);
        let output = interrupted(&server, args);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{args:?}: {shown}");
        assert!(shown.lines().last().unwrap().contains(how), "{args:?}: {shown}");
        let (has_end, said) =
            (args.contains(&"2099-01-01") || args[0] != "delete", shown.contains("what failed since"));
        assert!(!(has_end && said), "{args:?}: {shown}");
        // As the reading commands say it.
        assert!(shown.lines().any(|line| line == "interrupted"), "{args:?}: {shown}");
    }
}

/// The first line of the result.
fn told(server: &Server, args: &[&str]) -> String {
    let output = run(&server.url(), args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().last().unwrap().to_owned()
}

#[test]
fn the_end_is_told_as_it_was() {
    let server = emulator(999);
    for (args, sentence) in [
        (&["delete", "--label", "no such", "--yes"][..], "Deleted 0 runs; nothing matched."),
        (&["resume", "--label", "no such", "--yes"], "Resumed 0 runs; nothing matched."),
        (
            &["delete", "--all", "--dry-run", "--max", "10"],
            "Dry run: 999 runs match; at most 10 of them would be deleted; nothing was deleted.",
        ),
        (&["restart", "--all", "--dry-run", "--max", "1000"], "Dry run: 999 runs match, nothing was restarted."),
        (&["delete", "--all", "--yes", "--max", "10"], "Deleted 10 runs; the maximum was reached."),
        (&["resume", "--all", "--yes", "--max", "2"], "Resumed 2 runs; the maximum was reached."),
        (&["delete", "no-such", "--yes"], "Deleted 0 runs; 1 of the ids was not found."),
        (&["delete", "--all", "--yes"], "; the verification pass found nothing left."),
    ] {
        let shown = told(&server, args);
        assert!(shown.contains(sentence), "{args:?}: {shown}");
    }
}

#[test]
fn what_is_not_known_is_told_before_the_counts() {
    let server = emulator(20);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    let output = run(&server.url(), &["resume", "--all", "--yes"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("upstash-dlq stats") && error.contains("the total is up to 50 lower than just before it"),
        "{error}"
    );
    let shown = text(&output.stdout);
    assert!(shown.starts_with("Stopped: at least 0 runs were resumed; 1 request is unconfirmed. "), "{shown}");
}

/// Of ids, one can be looked up, which stands for all of them.
#[test]
fn the_first_of_many_ids_is_told_as_such() {
    let server = emulator(20);
    let ids: Vec<String> = server.with_service(|s| s.runs().take(3).map(|run| run.dlq_id.clone()).collect());
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    let args: Vec<&str> = ["resume", "--yes"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    let error = text(&run(&server.url(), &args).stderr);
    assert!(error.contains(&format!("`upstash-dlq get {}`, the first of the 3", ids[0])), "{error}");
    // A single one stands for itself.
    let id = server.with_service(|s| s.runs().next().unwrap().dlq_id.clone());
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    let error = text(&run(&server.url(), &["resume", "--yes", &id]).stderr);
    assert!(error.contains(&format!("Check with `upstash-dlq get {id}`. Then ")), "{error}");
}

#[test]
fn a_number_that_is_none_is_told_in_plain_words() {
    for (args, sentence) in [
        (&["delete", "--all", "--yes", "--max", "0"][..], "must be at least 1"),
        (&["delete", "--all", "--yes", "--page-size", "0"], "must be at least 1"),
        (&["list", "--limit", "0"], "must be at least 1"),
        (&["stats", "--rate", "x"], "must be a whole number"),
        (&["list", "--max-attempts", "99999999999"], "is too large"),
        (&["resume", "--all", "--yes", "--set-retries", "x"], "must be a whole number"),
        (&["list", "--timeout", "0s"], "must be more than 0"),
        (&["list", "--status", "500,502"], "holds a comma: give --status once for each of them"),
        (&["list", "--error", "e1-4k7q0zbd,e1-4k7q0zbe"], "holds a comma: give --error once for each of them"),
        (&["list", "--from", "7"], "--from: \"7\" has no unit: give an age such as 7d or 12h"),
        (
            &["list", "--url", "localhost:8080"],
            "--url has to begin with https://, or with http:// if it is this machine",
        ),
        (&["list", "--max", "3"], "a similar argument exists: '--limit'"),
        (&["list", "--max=3"], "a similar argument exists: '--limit'"),
        (&["list", "--all"], "list shows every run unless a filter is given: leave out --all"),
        (&["list", "a-0"], "list takes no ids: use `upstash-dlq get ID`"),
        (&["list", "--labels=x"], "a similar argument exists: '--label'"),
        (&["delete", "-"], "\"-\" is no id: for ids from standard input, give --ids-from -"),
        (&["delete", "--all", "--from", "7d"], "leave out --all: --from alone selects what matches"),
        (&["emulator", "--listen", "localhost:8080"], "give an IP address and a port, such as 127.0.0.1:8080"),
        (&["delete", "--all", "--force"], "a similar argument exists: '--yes'"),
        (&["restart", "--all", "--limit", "3"], "a similar argument exists: '--max'"),
    ] {
        let output = run("http://127.0.0.1:9", args);
        let shown = text(&output.stderr);
        assert!(output.status.code() == Some(2) && shown.contains(sentence), "{args:?}: {shown}");
        assert!(!shown.contains("as a value"), "{args:?}: {shown}");
    }
}

/// The service may know more states than this version.
#[test]
fn a_state_that_is_not_known_is_noted_and_asked_for() {
    let server = emulator(10);
    for (args, is_noted) in [
        (&["list", "--failure-function-state", "CALLBACK_FAILED"][..], true),
        (&["delete", "--dry-run", "--failure-function-state", "fail"], true),
        (&["stats", "--failure-function-state", "CALLBACK_FAIL"], false),
    ] {
        let before = server.with_service(|s| s.requests_total());
        let output = run(&server.url(), args);
        let shown = text(&output.stderr);
        let known = "is not one of CALLBACK_INPROGRESS, CALLBACK_SUCCESS, CALLBACK_FAIL, CALLBACK_CANCELED";
        assert_eq!((output.status.code(), shown.contains(known)), (Some(0), is_noted), "{args:?}: {shown}");
        assert!(server.with_service(|s| s.requests_total()) > before, "{args:?}");
    }
}

#[test]
fn where_nothing_could_be_sent_that_is_all_there_is_to_tell() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    for args in [&["delete", "--all", "--yes"][..], &["delete", "--all", "--dry-run"], &["resume", "a-0", "--yes"]] {
        for (attempts, told) in [("1", "1 attempt"), ("2", "2 attempts")] {
            let output = run(&url, &[args, &["--max-attempts", attempts]].concat());
            let expected = format!("Nothing was sent: {told} to connect failed.\n");
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), expected), "{args:?}");
        }
    }
}

/// The service refuses a start as a whole, and does not say because of which run.
#[test]
fn an_id_that_is_not_there_stops_a_start_which_says_how_to_find_it() {
    let server = emulator(20);
    let ids: Vec<String> = server.with_service(|s| s.runs().take(3).map(|run| run.dlq_id.clone()).collect());
    for subcommand in ["resume", "restart"] {
        let args: Vec<&str> = [subcommand, "--yes", "nope"].into_iter().chain(ids.iter().map(String::as_str)).collect();
        let error = text(&run(&server.url(), &args).stderr);
        let sentence = "; at least one of these ids is not in the DLQ, so the service started none of the runs of that request; `upstash-dlq get ID…` names it; take it out and run again\n";
        assert!(error.ends_with(sentence), "{error}");
        let one = text(&run(&server.url(), &[subcommand, "--yes", "nope"]).stderr);
        assert!(one.ends_with("; the id is not in the DLQ, so nothing was started\n"), "{one}");
    }
    assert_eq!(server.with_service(|s| (s.len(), s.started().count())), (20, 0));
    let args: Vec<&str> = ["get", "nope"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    assert_eq!(text(&run(&server.url(), &args).stderr), "error: nope is not in the DLQ\n");
    for args in [&["get", "nope"][..], &["callback", "retry", "nope"], &["callback", "cancel", "nope"]] {
        assert_eq!(text(&run(&server.url(), args).stderr), "error: nope is not in the DLQ\n", "{args:?}");
    }
}

/// The same response to a delete, or to a start of what matches, is about no id.
#[test]
fn a_404_to_anything_else_speaks_of_no_id() {
    let (url, _) =
        canned("HTTP/1.1 404 Not Found\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{\"error\":\"not there\"}");
    for args in [&["delete", "a-0"][..], &["delete", "--all"], &["resume", "--all"]] {
        let error = text(&run(&url, &[args, &["--yes"]].concat()).stderr);
        assert!(error.contains("not there") && !error.contains("not in the DLQ"), "{args:?}: {error}");
    }
}

/// An error of the core about a field names the flag that it came from.
#[test]
fn a_filter_that_cannot_be_used_is_told_by_its_flag() {
    for (flag, value) in [
        ("--label", ""),
        ("--workflow-url", ""),
        ("--workflow-run-id", ""),
        ("--failure-function-state", ""),
        ("--caller-ip", ""),
        ("--flow-control-key", ""),
        ("--workflow-created-at", "yesterday"),
        ("--from", "99999999999999d"),
    ] {
        let output = run("http://127.0.0.1:9", &["list", flag, value]);
        let shown = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flag}: {shown}");
        assert!(shown.starts_with(&format!("error: {flag}: \"{value}\" is ")), "{flag}: {shown}");
    }
}

/// What was taken with one request at a time goes on like that, and a settlement needs a request to settle.
#[test]
fn a_resume_goes_on_as_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let args = ["resume", "--all", "--yes", "--checkpoint", path.to_str().unwrap()];
    let server = emulator(120);
    let posts = |plan| server.with_service(|s| s.set_faults(FaultPlan::script(plan).only(http::Method::POST)));
    let settle = run(&server.url(), &[&args[..], &["--parallel", "4", "--settle", "applied"]].concat());
    let shown = text(&settle.stderr);
    assert!(
        settle.status.code() == Some(2) && shown.contains("there is no request to settle: leave it out"),
        "{shown}"
    );
    posts(vec![None, Some(Fault::Redirect)]);
    let stopped = run(&server.url(), &[&args[..], &["--parallel", "1"]].concat());
    assert_eq!((stopped.status.code(), path.exists()), (Some(3), true), "{}", text(&stopped.stderr));
    let done = run(&server.url(), &[&args[..], &["--parallel", "4"]].concat());
    let shown = text(&done.stderr);
    assert_eq!((done.status.code(), path.exists()), (Some(0), false), "{shown}");
    assert!(shown.contains("--parallel is ignored: the checkpoint was taken with one request at a time"), "{shown}");
    assert_eq!(server.with_service(|s| s.started().count()), 120, "each run once");
}

#[test]
fn files_that_cannot_be_kept_together_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = path.to_str().unwrap();
    for args in [
        &["delete", "--checkpoint", file, "--dry-run"][..],
        &["delete", "--archive", file, "--dry-run"],
        &["delete", "--archive", file, "--checkpoint", file],
        &["resume", "--checkpoint", file, "--dry-run"],
        &["restart", "--checkpoint", file, "--dry-run"],
    ] {
        let output = run("http://127.0.0.1:9", &[args, &["--all", "--json"]].concat());
        let reason = json(&output)["reason"].as_str().unwrap_or_default().to_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {reason}");
        assert!(reason.contains("cannot be combined: ") && !path.exists(), "{args:?}: {reason}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_told_to_programs_too() {
    for args in [
        &["list", "--json", "--lable", "x"][..],
        &["--json", "nothing"],
        &["--json"],
        &["get", "--json"],
        &["stats", "--parallel=0", "--json"],
        &["delete", "--json", "--all", "--max", "\u{1b}[2J"],
        &["list", "-o", "json", "--lable", "x"],
        &["list", "--output=json", "--lable", "x"],
    ] {
        let output = run("http://127.0.0.1:9", args);
        let shown = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {shown}");
        let told: serde_json::Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        let message = told["error"]["message"].as_str().unwrap();
        assert!(told["error"]["code"] == "usage" && told["error"]["http_status"].is_null(), "{shown}");
        assert!(!message.is_empty() && !message.starts_with("error") && !message.contains("Usage:"), "{message}");
        assert!(!shown.contains('\u{1b}') && shown.lines().count() == 1, "{shown}");
    }
    // For people it is as it was, also where the word is somebody's value.
    for args in [&["list", "--lable", "x"][..], &["stats", "a", "--", "--json"]] {
        let shown = text(&run("http://127.0.0.1:9", args).stderr);
        assert!(shown.starts_with("error: ") && shown.contains("Usage:"), "{shown}");
    }
}

#[test]
fn a_listing_of_nothing_says_so_to_people() {
    let server = emulator(3);
    for (args, sentence) in [(&["list"][..], "no failed runs match\n"), (&["list", "--json"], "")] {
        let output = run(&server.url(), &[args, &["--label", "no such"]].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
        assert_eq!(text(&output.stderr), sentence, "{args:?}");
    }
}

#[test]
fn an_emulator_that_cannot_listen_names_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run("", &["emulator", "--listen", &address, "--runs", "1", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text(&output.stderr)).unwrap();
    let message = told["error"]["message"].as_str().unwrap();
    assert_eq!((output.status.code(), told["error"]["code"].as_str()), (Some(1), Some("listen")));
    assert!(message.contains(&address) && message.ends_with("give another address"), "{message}");
}

/// The help is one paragraph a thought, whatever the terminal's width.
#[test]
fn the_help_is_not_wrapped_twice() {
    let output = command("").args(["resume", "--help"]).env("COLUMNS", "60").output().unwrap();
    let shown = text(&output.stdout);
    let lines: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("Starting a run twice")).collect();
    let paragraph: Vec<&str> = lines.into_iter().take_while(|line| !line.is_empty()).collect();
    assert!(paragraph.len() > 4, "{paragraph:?}");
    let (last, whole) = paragraph.split_last().unwrap();
    assert!(last.len() <= 60 && whole.iter().all(|line| (40..=60).contains(&line.len())), "{paragraph:?}");
}

/// A run that was started may still be listed, so nobody is told to start it again.
#[test]
fn what_was_started_is_left_out_of_the_advice() {
    let folder = tempfile::tempdir().unwrap();
    let (list, position) = (folder.path().join("ids"), folder.path().join("position"));
    let position = ["--checkpoint", position.to_str().unwrap()];
    for (before, with_position, expected) in [
        (0, false, "names it; take it out and run again"),
        (50, false, "so run again only with the ids of runs that were not started"),
        (0, true, "is kept, and leads nowhere: remove it, or give another file"),
        (50, true, "is kept, and leads nowhere: give another file"),
    ] {
        let server = emulator(80);
        let mut ids: Vec<String> =
            server.with_service(|s| s.runs().take(before + 10).map(|run| run.dlq_id.clone()).collect());
        ids.push("nobody-0".to_owned());
        std::fs::write(&list, ids.join("\n")).unwrap();
        let args = ["resume", "--yes", "--parallel", "1", "--ids-from", list.to_str().unwrap()];
        let args = if with_position { [&args[..], &position].concat() } else { args.to_vec() };
        let error = text(&run(&server.url(), &args).stderr);
        assert!(error.contains(expected), "{before}: {error}");
        assert_eq!(server.with_service(|s| s.started().count()), before);
        std::fs::remove_file(position[1]).ok();
    }
}

/// Without a checkpoint nothing keeps the requests in doubt but the first, which is shown.
#[test]
fn requests_in_doubt_that_nobody_can_settle_are_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let position = folder.path().join("position");
    let position = ["--checkpoint", position.to_str().unwrap()];
    for (position, expected) in [
        (&position[..], "each is named and settled by itself, and this is the first"),
        (&[], "and this is the first; without --checkpoint the others cannot be named"),
    ] {
        let server = serve_two_in_doubt();
        let args = [&["resume", "--all", "--yes", "--parallel", "3"][..], position].concat();
        let error = text(&run(&server.url(), &args).stderr);
        assert!(error.contains("2 requests are in doubt") && error.contains(expected), "{error}");
    }
}
