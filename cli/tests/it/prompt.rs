//! The question on a terminal, and what comes of its answers.
#![cfg(unix)]

use crate::common::{NEWEST, command, emulator, json, run, text};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Ignored, RateLimit, Server, ServerOptions, Service, sample};

const QUESTION: &str = "[y/N] ";

/// A person in front of a terminal, on which standard error is shown.
pub(crate) struct Person {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Person {
    pub(crate) fn types(url: &str, args: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child = command(url)
            .args(args)
            .env("TERM", "xterm")
            .stdin(theirs.try_clone().unwrap())
            .stderr(theirs)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = File::from(ours);
        let mut shown = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The terminal of a process that has gone is an error on some systems, and an end on others.
            while let Ok(read @ 1..) = shown.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, seen: Vec::new() }
    }

    /// Waits for the question, and gives everything up to it.
    fn is_asked(&mut self) -> String {
        self.sees(QUESTION)
    }

    /// Waits for this text, and gives everything up to it.
    fn sees(&mut self, text: &str) -> String {
        loop {
            let shown = String::from_utf8_lossy(&self.seen).into_owned();
            if shown.contains(text) {
                return shown;
            }
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(error) => panic!("{error}: {text:?} did not come: {shown}"),
            }
        }
    }

    pub(crate) fn answers(mut self, keys: &str) -> Output {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.child.wait_with_output().unwrap()
    }
}

#[test]
fn yes_deletes_and_everything_else_does_not() {
    for (keys, yes) in
        [("y\n", true), ("YES\n", true), ("n\n", false), ("\n", false), ("yess\n", false), ("\u{4}", false)]
    {
        let server = emulator(250);
        let mut person = Person::types(&server.url(), &["delete", "--all", "--json"]);
        let shown = person.is_asked();
        assert!(shown.contains("250 runs match. Delete them? This cannot be undone. [y/N] "), "{shown}");
        assert_eq!(server.with_service(|s| s.len()), 250, "asked first");
        let output = person.answers(keys);
        let report = json(&output);
        let expected = if yes { (Some(0), "complete", 250) } else { (Some(1), "cancelled", 0) };
        assert_eq!(
            (output.status.code(), report["outcome"].as_str().unwrap(), report["deleted"].as_u64().unwrap()),
            expected,
            "{keys:?}"
        );
        assert_eq!(server.with_service(|s| s.len()), if yes { 0 } else { 250 });
    }
}

/// The question says what a yes does: how many, which of them, and whether a copy is kept.
#[test]
fn the_question_says_what_a_yes_does() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy").to_str().unwrap().to_owned();
    let cases: [(&[&str], String); 9] = [
        (
            &["delete", "--all", "--archive", &copy],
            format!("250 runs match. Keep a copy of them in {copy} and delete them? T"),
        ),
        (&["delete", "--all", "--max", "5"], "250 runs match. Delete 5 of them, in the service's order? T".into()),
        (&["delete", "--all", "--max", "200"], "250 runs match. Delete 200 of them, in no particular order? T".into()),
        (&["delete", "--all", "--max", "900"], "250 runs match. Delete them? T".into()),
        (&["delete", "--all", "--max", "250"], "250 runs match. Delete them? T".into()),
        (&["resume", "--all", "--max", "60"], "250 runs match. Resume 60 of them, in the service's order? E".into()),
        (&["delete", "a-0", "b-0", "--max", "1"], "2 ids given. Delete at most 1 of these runs? T".into()),
        (&["delete", "a-0", "b-0", "--max", "2"], "2 ids given. Delete these runs? T".into()),
        (
            &["delete", "--all", "--max", "5", "--archive", &copy],
            format!("250 runs match. Keep a copy of 5 of them, in the service's order, in {copy} and delete these? T"),
        ),
    ];
    for (args, question) in cases {
        let mut person = Person::types(&server.url(), args);
        let shown = person.is_asked();
        assert!(shown.contains(&question), "{args:?}: {shown}");
        // Of given ids, no run is shown. Otherwise five are, and a sign that there are more.
        let rows = server.with_service(|s| s.runs().filter(|run| shown.contains(&run.dlq_id)).count());
        let all = args.contains(&"--all");
        assert_eq!((shown.contains('…'), rows), (all, if all { 5 } else { 0 }), "{shown}");
        assert_eq!(person.answers("n\n").status.code(), Some(1));
    }
}

/// As for the question above, of more runs than are counted before it.
#[test]
fn a_maximum_beyond_what_was_counted_is_at_most() {
    let server = emulator(2_000);
    // Whole pages are counted, until more than a thousand runs are.
    for (max, which) in [("5", "5"), ("1100", "1,100"), ("1101", "at most 1,101")] {
        let mut person = Person::types(&server.url(), &["delete", "--all", "--max", max]);
        let shown = person.is_asked();
        let question = format!("more than 1,000 runs match (--dry-run counts them all). Delete {which} of them, ");
        assert!(shown.contains(&question), "{shown}");
        assert_eq!(person.answers("n\n").status.code(), Some(1));
    }
}

#[test]
fn a_rate_is_kept_over_the_question() {
    let config = Config::default().rate_limit(Some(RateLimit::per_second(1)));
    let mut service = Service::new(config);
    sample::runs(50, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let mut person = Person::types(&server.url(), &["delete", "--all", "--max", "50", "--rate", "1", "--json"]);
    person.is_asked();
    let report = json(&person.answers("y\n"));
    assert_eq!((report["deleted"].as_u64(), report["retries"].as_u64()), (Some(50), Some(0)), "{report}");
}

/// Only a delete claims that nothing is left.
#[test]
fn where_nothing_matches_nobody_is_asked() {
    let server = emulator(0);
    for (subcommand, verified) in [("delete", true), ("resume", false)] {
        let output = Person::types(&server.url(), &[subcommand, "--all", "--json"]).child.wait_with_output().unwrap();
        let report = json(&output);
        assert_eq!((output.status.code(), report["verified"].as_bool()), (Some(0), Some(verified)), "{report}");
    }
}

#[test]
fn a_run_that_does_not_match_is_told_before_the_question() {
    let mut service = Service::new(Config::default().ignored(vec![Ignored::new(Some(http::Method::GET), "label")]));
    sample::runs(40, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let mut person = Person::types(&server.url(), &["delete", "--label", "nightly", "--quiet"]);
    let shown = person.is_asked();
    assert!(shown.contains("does not match the filter") && shown.contains("differs in label"), "{shown}");
    assert_eq!(person.answers("n\n").status.code(), Some(1));
}

#[test]
fn whoever_says_no_gets_no_file_and_keeps_the_one_that_is_there() {
    let server = emulator(25);
    let folder = tempfile::tempdir().unwrap();
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let path = folder.path().join("file");
    for option in ["--archive", "--checkpoint"] {
        let mut person = Person::types(&server.url(), &["delete", "--all", option, path.to_str().unwrap()]);
        person.is_asked();
        assert_eq!((person.answers("n\n").status.code(), names()), (Some(1), 0));
    }
    let torn = "{\"dlqId\":\"a-0\"}\n{\"dlqId\":";
    std::fs::write(&path, torn).unwrap();
    let mut person = Person::types(&server.url(), &["delete", "--all", "--archive", path.to_str().unwrap()]);
    person.is_asked();
    assert_eq!(person.answers("n\n").status.code(), Some(1));
    assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), names()), (torn, 1));
    assert_eq!(server.with_service(|s| s.len()), 25);
}

#[test]
fn where_nobody_can_be_asked_nothing_is_sent() {
    let server = emulator(3);
    for subcommand in ["delete", "resume", "restart"] {
        let output = run(&server.url(), &[subcommand, "--all"]);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--yes"), "{}", text(&output.stderr));
    }
    assert_eq!(server.connections(), 0);
}

/// Nothing will be sent before it is settled: there is nothing to ask.
#[test]
fn where_something_is_to_be_settled_nobody_is_asked() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--all", "--json", "--parallel", "2", "--checkpoint", file.to_str().unwrap()];
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    assert_eq!(run(&server.url(), &[&args[..], &["--yes"]].concat()).status.code(), Some(3));
    let requests = server.with_service(|s| s.requests_total());
    let output = Person::types(&server.url(), &args).child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), json(&output)["unconfirmed"].as_u64()), (Some(3), Some(1)));
    assert_eq!(server.with_service(|s| s.requests_total()), requests);
}

#[test]
fn what_the_server_says_does_not_steer_the_terminal() {
    let server = emulator(0);
    server.with_service(|s| {
        s.insert(
            upstash_dlq_emulator::Run::default()
                .dlq_id("a-0")
                .workflow_url("https://x/\u{1b}[2J\u{9b}31m\u{7}\u{202e}"),
        );
    });
    let mut person = Person::types(&server.url(), &["delete", "--all", "--color", "never"]);
    let shown = person.is_asked();
    assert!(shown.contains("a-0") && !shown.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{shown:?}");
    assert_eq!(person.answers("n\n").status.code(), Some(1));
}

#[test]
fn an_interrupt_at_the_question_ends_at_once() {
    for subcommand in ["delete", "resume"] {
        let server = emulator(250);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let mut person = Person::types(&server.url(), &[subcommand, "--all", "--checkpoint", file.to_str().unwrap()]);
        person.is_asked();
        let requests = server.with_service(|s| s.requests_total());
        let signal = Command::new("kill").args(["-INT", &person.child.id().to_string()]).status().unwrap();
        assert!(signal.success());
        let output = person.child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(130), ""));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "litter");
        assert_eq!(server.with_service(|s| (s.len(), s.requests_total())), (250, requests));
    }
}

/// It is told in one line, as what it is, without the time that the person took.
#[test]
fn a_no_is_no_error() {
    let server = emulator(250);
    for (subcommand, done) in [("delete", "deleted"), ("resume", "resumed")] {
        let mut person = Person::types(&server.url(), &[subcommand, "--all"]);
        person.is_asked();
        let screen = std::mem::replace(&mut person.screen, channel().1);
        let output = person.answers("n\n");
        let after: Vec<u8> = screen.iter().flatten().collect();
        assert!(!text(&after).contains("error"), "{}", text(&after));
        let expected = format!("Cancelled; nothing was {done}.\n");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), expected));
    }
}

/// The lock keeps out only those who ask for one: what was seen before the question is old when it is answered.
#[test]
fn an_archive_that_grew_during_the_question_is_measured_anew() {
    let torn = "{\"dlqId\":\"a-0\"}\n{\"dlqId\":\"torn\",\"body\":\"xxxxxxxxxxxxxxxxxxxx";
    let foreign = "{\"dlqId\":\"foreign\",\"body\":\"written by somebody else meanwhile\"}";
    let whole = "{\"dlqId\":\"a-0\"}\n";
    for (before, meanwhile, kept) in [
        (torn, format!("\"}}\n{foreign}\n"), format!("{torn}\"}}\n{foreign}\n")),
        (torn, format!("\"}}\n{foreign}"), format!("{torn}\"}}\n{foreign}\n")),
        (torn, format!("\"}}\n{foreign}\n{{\"dlqId\""), format!("{torn}\"}}\n{foreign}\n")),
        (whole, format!("{foreign}\n"), format!("{whole}{foreign}\n")),
        (whole, foreign.to_owned(), format!("{whole}{foreign}\n")),
        (whole, foreign[..30].to_owned(), whole.to_owned()),
    ] {
        let server = emulator(25);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, before).unwrap();
        let args = ["delete", "--all", "--max", "3", "--json", "--archive", path.to_str().unwrap()];
        let runs: String = server.with_service(|s| s.runs().take(3).map(|run| run.to_json() + "\n").collect());
        let mut person = Person::types(&server.url(), &args);
        person.is_asked();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(meanwhile.as_bytes()).unwrap();
        let output = person.answers("y\n");
        assert_eq!((output.status.code(), json(&output)["archived"].as_u64()), (Some(0), Some(3)), "{meanwhile}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept + &runs, "{meanwhile}");
        assert_eq!(server.with_service(|s| s.len()), 22);
    }
}

#[test]
fn an_archive_that_is_none_any_more_after_the_question_is_refused() {
    type Change = fn(&std::path::Path);
    let changes: [(&str, Change); 3] = [
        ("a last line that is no message", |path| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(b"notes").unwrap();
        }),
        ("a first line that is no message", |path| std::fs::write(path, "notes\n").unwrap()),
        ("another file at its place", |path| {
            std::fs::copy(path, path.with_extension("copy")).unwrap();
            std::fs::rename(path.with_extension("copy"), path).unwrap();
        }),
    ];
    for (how, change) in changes {
        let server = emulator(25);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "{\"dlqId\":\"a-0\"}\n{\"dlqId\":\"torn\"").unwrap();
        let args = ["delete", "--all", "--json", "--archive", path.to_str().unwrap()];
        let mut person = Person::types(&server.url(), &args);
        person.is_asked();
        change(&path);
        let changed = std::fs::read(&path).unwrap();
        let output = person.answers("y\n");
        let report = json(&output);
        assert_eq!((output.status.code(), report["deleted"].as_u64()), (Some(1), Some(0)), "{how}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.starts_with("--archive: ") && reason.ends_with("; nothing was deleted"), "{how}: {reason}");
        assert_eq!(std::fs::read(&path).unwrap(), changed, "{how}");
        assert_eq!(server.with_service(|s| s.len()), 25, "{how}");
    }
}

/// Begins it, and lets the server refuse the second request that changes something. Gives what the report says was done.
fn begun(server: &Server, args: &[&str], done: &str) -> u64 {
    let faults = FaultPlan::script(vec![None, Some(Fault::ServerError(403))]);
    let method = if done == "deleted" { http::Method::DELETE } else { http::Method::POST };
    server.with_service(|s| s.set_faults(faults.only(method)));
    let output = run(&server.url(), &[args, &["--yes"]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    json(&output)[done].as_u64().filter(|runs| *runs > 0).unwrap()
}

#[test]
fn a_no_to_going_on_tells_what_was_done_before_and_keeps_the_position() {
    let server = emulator(700);
    let folder = tempfile::tempdir().unwrap();
    let (file, ids) = (folder.path().join("position"), folder.path().join("ids"));
    let lines: Vec<String> = server.with_service(|s| s.runs().skip(300).map(|run| run.dlq_id.clone()).collect());
    std::fs::write(&ids, lines.join("\n")).unwrap();
    let (path, ids) = (file.to_str().unwrap(), ids.to_str().unwrap());
    for (args, done) in [
        (vec!["delete", "--all", "--parallel", "1", "--page-size", "10"], "deleted"),
        (vec!["resume", "--all", "--parallel", "1"], "resumed"),
        (vec!["resume", "--all", "--parallel", "2"], "resumed"),
        (vec!["restart", "--ids-from", ids], "restarted"),
    ] {
        let args = [&args[..], &["--checkpoint", path, "--json"]].concat();
        let before = begun(&server, &args, done);
        let (left, saved) = (server.with_service(|s| s.len()), std::fs::read_to_string(&file).unwrap());
        let mut person = Person::types(&server.url(), &args);
        let shown = person.is_asked();
        assert!(!args.contains(&"--all") || shown.contains(&format!("{left} runs match. ")), "{left}: {shown}");
        let output = person.answers("n\n");
        let report = json(&output);
        // Something was changed, if not by this process.
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(3), Some("cancelled")), "{report}");
        assert_eq!((report[done].as_u64(), report["checkpoint"].as_str()), (Some(before), Some(path)), "{report}");
        assert_eq!(report["reason"].as_str(), Some(&*format!("cancelled; nothing further was {done}")));

        let mut person = Person::types(&server.url(), &args[..args.len() - 1]);
        person.is_asked();
        let screen = std::mem::replace(&mut person.screen, channel().1);
        let output = person.answers("n\n");
        let after: Vec<u8> = screen.iter().flatten().collect();
        let summary = format!("Cancelled; nothing further was {done}. Before that, {before} runs were {done}.\n");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), summary));
        assert!(text(&after).contains(&format!("position saved in {path}")), "{}", text(&after));
        assert_eq!(server.with_service(|s| s.len()), left);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), saved);
        std::fs::remove_file(&file).unwrap();
    }
}

/// What happened to a lost request is found out once: it is on disk before the question.
#[test]
fn a_settlement_is_kept_whatever_the_question_brings() {
    let server = emulator(200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--all", "--json", "--checkpoint", file.to_str().unwrap()];
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    assert_eq!(run(&server.url(), &[&args[..], &["--yes"]].concat()).status.code(), Some(3));
    let mut person = Person::types(&server.url(), &[&args[..], &["--settle", "not-applied"]].concat());
    person.is_asked();
    person.keyboard.write_all(b"n\n").unwrap();
    person.sees("run the same command again without --settle to continue");
    person.child.wait().unwrap();
    let left = server.with_service(|s| s.len());
    let output = run(&server.url(), &[&args[..], &["--yes"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json(&output)["resumed"].as_u64(), Some(left as u64));
}

#[test]
fn where_nothing_matches_any_more_going_on_is_complete() {
    for (subcommand, done) in [("delete", "deleted"), ("resume", "resumed"), ("restart", "restarted")] {
        for json_too in [true, false] {
            let server = emulator(450);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("position");
            let args = [subcommand, "--all", "--parallel", "1", "--json", "--checkpoint", file.to_str().unwrap()];
            let before = begun(&server, &args, done);
            assert!(file.exists());
            assert_eq!(run(&server.url(), &["delete", "--all", "--yes"]).status.code(), Some(0));
            let args: Vec<&str> = args.into_iter().filter(|arg| json_too || *arg != "--json").collect();
            let output = Person::types(&server.url(), &args).child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0));
            if json_too {
                let report = json(&output);
                assert_eq!((&report["outcome"], &report[done]), (&"complete".into(), &before.into()), "{report}");
                // Two of the process before, and one look.
                assert_eq!((&report["requests"], &report["checkpoint"]), (&3.into(), &().into()), "{report}");
            } else {
                let summary = text(&output.stdout);
                assert!(summary.contains(&format!(" {before} runs; nothing matches any more. ")), "{summary}");
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the position is left");
        }
    }
}
