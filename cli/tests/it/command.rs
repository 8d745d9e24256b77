//! The command as a real process, against the emulator or a server that says what the test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use upstash_dlq_emulator::{Fault, FaultPlan, LOCAL_TOKEN};

use crate::common::{canned, command, emulator, json, run, stderr_after, text};

#[test]
fn deletes_exactly_what_matches_and_says_so() {
    let server = emulator(1_000);
    let matches = |run: &&upstash_dlq_emulator::Run| run.labels.iter().any(|l| l == "nightly" || l == "red & white");
    let matching = server.with_service(|s| s.runs().filter(matches).count() as u64);
    let args = ["delete", "--label", "nightly", "--label", "red & white", "--yes", "--json"];
    let output = run(&server.url(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = json(&output);
    let keys = "outcome deleted unconfirmed verified pages requests retries elapsed_ms from to reason checkpoint";
    for key in keys.split(' ') {
        assert!(report.get(key).is_some(), "{key} is missing in {report}");
    }
    assert_eq!(
        (report["outcome"].as_str(), report["deleted"].as_u64(), report["verified"].as_bool()),
        (Some("complete"), Some(matching), Some(true))
    );
    assert_eq!(report["requests"].as_u64(), Some(server.with_service(|s| s.requests_total())));
    assert!(report["to"].is_i64() && report["from"].is_null() && report["reason"].is_null());
    server.with_service(|s| {
        assert_eq!(s.len() as u64, 1_000 - matching);
        assert_eq!(s.runs().filter(matches).count(), 0);
    });
    let again = run(&server.url(), &args);
    assert_eq!((json(&again)["deleted"].as_u64(), again.status.code()), (Some(0), Some(0)));
}

#[test]
fn ids_from_the_line_a_file_and_standard_input() {
    let server = emulator(50);
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ids");
    std::fs::write(&file, format!("{}\r\n\n  {}\n", ids[1], ids[2])).unwrap();
    let output =
        run(&server.url(), &["delete", &ids[0], "nobody-0", "--ids-from", file.to_str().unwrap(), "--yes", "--json"]);
    let report = json(&output);
    assert_eq!(
        (report["deleted"].as_u64(), report["requests"].as_u64(), output.status.code()),
        (Some(3), Some(1), Some(0))
    );
    assert!(report["to"].is_null());
    let mut child = command(&server.url())
        .args(["delete", "--ids-from", "-", "--yes"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ids[3].as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).starts_with("Deleted 1 run; all ids found"), "{}", text(&output.stdout));
    assert_eq!(server.with_service(|s| s.len()), 46);
}

#[test]
fn wrong_usage_sends_nothing_and_names_the_fix() {
    let server = emulator(20);
    let folder = tempfile::tempdir().unwrap();
    let bad_ids = folder.path().join("bad");
    std::fs::write(&bad_ids, "a-0\nb,c\n").unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n\n").unwrap();
    let (bad_ids, empty) = (bad_ids.to_str().unwrap(), empty.to_str().unwrap());
    let cases: &[(&[&str], &str)] = &[
        (&[], "nothing is selected"),
        (&[""], "id: \"\" is empty"),
        (&["a,b"], "comma"),
        (&[".."], "dot segment"),
        (&["%2E"], "dot segment"),
        (&["--label", ""], "--label: \"\" is empty"),
        (&["--label", "a,b"], "--label: \"a,b\" holds a comma"),
        (&["--workflow-url", " "], "--workflow-url"),
        (&["--from", "1752829295"], "--from: \"1752829295\" is too small"),
        (&["--from", "-1"], "too small"),
        (&["--to", "yesterday"], "--to: \"yesterday\" is not a time"),
        (&["--from", "2026-01-02", "--to", "2026-01-01"], "--from"),
        (&["a-0", "--label", "x"], "ids and --label cannot be combined"),
        (&["a-0", "--all"], "ids and --all cannot be combined"),
        (&["--all", "--label", "x"], "--all and --label cannot be combined"),
        (&["--all", "--to", "2026-01-01"], "--all and --to cannot be combined"),
        (&["--ids-from", bad_ids], "line 2: id: \"b,c\" holds a comma"),
        (&["--ids-from", empty], "no ids found"),
        (&["--ids-from", "/nowhere/at/all"], "cannot be read"),
        (&["--all", "--max", "0"], "--max"),
        (&["--all", "--parallel", "0"], "from 1 to 256"),
        (&["--all", "--rate", "0"], "--rate"),
        (&["--all", "--shard", "1/2"], "--shard: needs --from and --to"),
        (&["--from", "7d", "--to", "2099-01-01", "--shard", "1/2"], "--shard: needs --from and --to as absolute times"),
        (&["--from", "2026-01-01", "--shard", "1/2"], "--shard"),
        (&["--from", "2026-01-01", "--to", "2026-02-01", "--shard", "0/2"], "I from 1 to N"),
        (&["--from", "2026-01-01", "--to", "2026-02-01", "--shard", "3/2"], "I from 1 to N"),
        (&["--from", "1764000000000", "--to", "1764000000001", "--shard", "1/3"], "take fewer"),
        (&["--all", "--url", "nonsense"], "--url is not a URL"),
        (&["--all", "--url", "http://example.com"], "use https"),
        (&["--all", "--url", "https://u:p@example.com"], "user name"),
        (&["--all", "--token-file", "/nowhere/at/all"], "--token-file"),
        (&["--all", "--region", "mars"], "--region"),
    ];
    for (args, sentence) in cases {
        let output = run(&server.url(), &[&["delete", "--yes", "--json"], *args].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(sentence), "{args:?}: {error}");
    }
    let output = run(&server.url(), &["delete", "--all"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--yes"));
    let output = command(&server.url()).env_remove("QSTASH_TOKEN").args(["delete", "--all", "--yes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("QSTASH_TOKEN"));
    assert_eq!(server.connections(), 0, "something was sent");
}

#[test]
fn a_dry_run_counts_and_deletes_nothing() {
    let server = emulator(1_234);
    let output = run(&server.url(), &["delete", "--all", "--dry-run", "--json"]);
    let report = json(&output);
    assert_eq!(
        (output.status.code(), report["matching"].as_u64(), report["outcome"].as_str()),
        (Some(0), Some(1_234), Some("dry-run"))
    );
    assert_eq!(server.with_service(|s| s.len()), 1_234);
    assert!(
        !text(&output.stderr).chars().any(|c| c.is_control() && c != '\n'),
        "control characters reach the terminal"
    );
}

#[test]
fn a_maximum_is_kept() {
    let server = emulator(500);
    let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--max", "123", "--page-size", "50"]);
    let report = json(&output);
    assert_eq!(
        (report["outcome"].as_str(), report["deleted"].as_u64(), report["verified"].as_bool()),
        (Some("complete"), Some(123), Some(false))
    );
    assert_eq!(server.with_service(|s| s.len()), 377);
}

#[test]
fn a_no_is_told_in_the_servers_words_after_one_request() {
    let server = emulator(5);
    let output = command(&server.url())
        .env("QSTASH_TOKEN", "wr0ng-token")
        .args(["delete", "--all", "--yes", "--json"])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), server.with_service(|s| s.requests_total())), (Some(1), 1));
    let error = text(&output.stderr);
    assert!(error.contains("401") && error.contains("invalid token"), "{error}");
    assert!(!error.contains("wr0ng-token") && !text(&output.stdout).contains("wr0ng-token"));
    assert_eq!(json(&output)["outcome"], "halted");

    let (url, requests) =
        canned("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let output = run(&url, &["delete", "--all", "--yes", "--json"]);
    assert_eq!((output.status.code(), requests.try_iter().count()), (Some(1), 1));
}

#[test]
fn what_may_have_been_done_is_exit_3() {
    let (url, requests) = canned("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>");
    let output = run(&url, &["delete", "--all", "--yes", "--json", "--max-attempts", "2"]);
    let report = json(&output);
    assert_eq!(
        (output.status.code(), report["unconfirmed"].as_u64(), requests.try_iter().count()),
        (Some(3), Some(2), 2)
    );
    assert!(report["reason"].as_str().unwrap().contains("gave up after 2 attempts"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = run(&format!("http://{nobody}"), &["delete", "--all", "--yes", "--json", "--max-attempts", "1"]);
    assert_eq!((output.status.code(), json(&output)["requests"].as_u64()), (Some(1), Some(0)));
}

#[test]
fn a_checkpoint_goes_on_where_it_stopped_and_is_removed_at_the_end() {
    let server = emulator(400);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, None, Some(Fault::ServerError(500))])));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let matching = server.with_service(|s| s.runs().count());
    let args = |n: &'static str| {
        [
            "delete",
            "--label",
            n,
            "--label",
            "urgent",
            "--yes",
            "--json",
            "--parallel",
            "1",
            "--max-attempts",
            "1",
            "--page-size",
            "10",
            "--checkpoint",
        ]
    };
    let go = |n| run(&server.url(), &[&args(n)[..], &[file.to_str().unwrap()]].concat());
    let first = go("nightly");
    let report = json(&first);
    assert_eq!(
        (first.status.code(), report["deleted"].as_u64(), report["checkpoint"].as_str()),
        (Some(3), Some(20), file.to_str())
    );
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(!saved.contains(LOCAL_TOKEN));
    // Another selection, and other options, are refused before anything is sent.
    let requests = server.with_service(|s| s.requests_total());
    assert_eq!(go("größe").status.code(), Some(2));
    let other = run(&server.url(), &[&args("nightly")[..], &[file.to_str().unwrap(), "--max", "7"]].concat());
    assert!(other.status.code() == Some(2) && text(&other.stderr).contains("maximum"));
    assert_eq!(server.with_service(|s| s.requests_total()), requests);
    let second = go("nightly");
    let report = json(&second);
    assert_eq!(
        (second.status.code(), report["outcome"].as_str(), report["verified"].as_bool()),
        (Some(0), Some("complete"), Some(true))
    );
    let truth = server.with_service(|s| s.deleted_total());
    assert_eq!((report["deleted"].as_u64(), report["unconfirmed"].as_u64()), (Some(truth), Some(1)));
    assert_eq!(server.with_service(|s| s.len() as u64) + truth, matching as u64);
    assert!(!file.exists());
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(go("nightly").status.code(), Some(2), "a damaged checkpoint");
}

#[test]
fn no_checkpoint_on_disk_no_request() {
    let server = emulator(10);
    let output =
        run(&server.url(), &["delete", "--all", "--yes", "--json", "--checkpoint", "/nowhere/at/all/position"]);
    assert_eq!((output.status.code(), server.connections()), (Some(2), 0));
    assert!(text(&output.stderr).contains("cannot be written"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_lets_the_request_finish_and_keeps_the_position() {
    // The first response comes; the second request gets a wait of 30 s, in which the signal arrives.
    let server = emulator(300);
    server.with_service(|s| {
        s.set_faults(FaultPlan::script(vec![None, Some(Fault::TooManyRequests { retry_after_s: Some(30) })]));
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let mut child = command(&server.url())
        .args(["delete", "--all", "--yes", "--json", "--checkpoint", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = stderr_after(&mut child, "trying again");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{rest}");
    let report = json(&output);
    assert_eq!((report["outcome"].as_str(), report["deleted"].as_u64()), (Some("cancelled"), Some(100)));
    assert!(rest.contains("run the same command again to continue") && Path::new(&file).exists());
}

#[test]
fn the_emulator_says_where_it_listens_first() {
    let mut child = command("")
        .args(["emulator", "--listen", "127.0.0.1:0", "--runs", "30", "-q"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let output = run(&url, &["delete", "--all", "--yes", "--json"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(json(&output)["deleted"].as_u64(), Some(30));
}

#[test]
fn help_and_completions_work() {
    let help = text(&run("", &["delete", "--help"]).stdout);
    for word in ["--ids-from", "--label", "--dry-run", "--checkpoint", "Exit status", "Examples"] {
        assert!(help.contains(word), "{word}");
    }
    assert!(text(&run("", &["completions", "bash"]).stdout).contains("upstash-dlq"));
}

#[test]
fn an_archive_holds_what_was_deleted_and_can_be_continued() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.ndjson");
    let sent: Vec<String> = server.with_service(|s| s.runs().map(upstash_dlq_emulator::Run::to_json).collect());
    let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let archive = file.to_str().unwrap();
    let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--max", "30", "--archive", archive]);
    let report = json(&output);
    assert_eq!(
        (output.status.code(), report["deleted"].as_u64(), report["archived"].as_u64()),
        (Some(0), Some(30), Some(30))
    );
    // By hand; one that is not there is said. On one lane, so that the order is certain.
    let output =
        run(&server.url(), &["delete", &ids[249], &ids[0], &ids[248], "--yes", "--parallel=1", "--archive", archive]);
    let shown = text(&output.stdout);
    assert!(
        output.status.success() && shown.contains("Deleted 2 runs; 2 archived in") && shown.contains("1 of the ids"),
        "{shown}"
    );
    let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--parallel=1", "--archive", archive]);
    let report = json(&output);
    assert_eq!(
        (report["deleted"].as_u64(), report["verified"].as_bool(), report["to"].is_i64()),
        (Some(218), Some(true), true)
    );
    let mut expected: Vec<&String> = sent[..30].iter().collect();
    expected.extend([&sent[249], &sent[248]]);
    expected.extend(&sent[30..248]);
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.lines().collect::<Vec<_>>(), expected);
    assert_eq!(server.with_service(|s| s.len()), 0);
}

#[test]
fn what_cannot_be_archived_is_not_deleted() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "my notes").unwrap();
    for (path, sentence) in [
        ("/nowhere/at/all", "cannot be written"),
        ("/", "cannot be written"),
        (notes.to_str().unwrap(), "not an archive"),
    ] {
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", path]);
        assert_eq!((output.status.code(), json(&output)["deleted"].as_u64()), (Some(2), Some(0)), "{path}");
        assert!(text(&output.stderr).contains(sentence), "{path}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "my notes");
    #[cfg(target_os = "linux")]
    {
        let output = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", "/dev/full"]);
        assert_eq!((output.status.code(), json(&output)["deleted"].as_u64()), (Some(1), Some(0)));
        assert!(text(&output.stderr).contains("nothing that is not in it was deleted"), "{}", text(&output.stderr));
    }
    assert_eq!(server.with_service(|s| (s.len(), s.deleted_total())), (250, 0));
    for with in [["--checkpoint", "x"], ["--dry-run", "--quiet"]] {
        let output = run(&server.url(), &[&["delete", "--all", "--yes", "--archive", "x"][..], &with].concat());
        assert_eq!(output.status.code(), Some(2));
    }
}

/// The disk is full after some pages: a bound on file sizes stands in for it.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_stops_the_deleting() {
    let server = emulator(250);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.ndjson");
    let mut delete = Command::new("sh");
    // In units of 512 bytes; the signal that comes with it is ignored, as a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" delete --all --yes --json --parallel 1 --page-size 20 --archive \"$1\"";
    delete.args(["-c", script, env!("CARGO_BIN_EXE_upstash-dlq")]).arg(&file);
    delete.env("QSTASH_URL", server.url()).env("QSTASH_TOKEN", LOCAL_TOKEN).stdin(Stdio::null());
    let output = delete.output().unwrap();
    let report = json(&output);
    let deleted = report["deleted"].as_u64().unwrap();
    assert!(output.status.code() == Some(3) && deleted > 0, "{report} {}", text(&output.stderr));
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.ends_with('\n') && kept.lines().count() as u64 == deleted);
    assert_eq!(server.with_service(|s| s.deleted_total()), deleted);
    let again = run(&server.url(), &["delete", "--all", "--yes", "--json", "--archive", file.to_str().unwrap()]);
    assert_eq!((again.status.code(), std::fs::read_to_string(&file).unwrap().lines().count()), (Some(0), 250));
}

#[test]
fn a_long_list_of_ids_is_sent_part_by_part_and_goes_on_in_the_right_one() {
    let server = emulator(0);
    let id = |n: usize| format!("id-{n:0200}");
    server.with_service(|s| {
        for n in 0..24_000 {
            let run = upstash_dlq_emulator::Run::default().dlq_id(id(n));
            s.insert(run);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (ids, file) = (folder.path().join("ids"), folder.path().join("position"));
    let mut lines: Vec<String> = (0..24_000).map(id).collect();
    lines.push("nobody".into());
    std::fs::write(&ids, lines.join("\n")).unwrap();
    let bad = folder.path().join("bad");
    std::fs::write(&bad, format!("{}\nx,y\n", lines.join("\n"))).unwrap();
    let output = run(&server.url(), &["delete", "--yes", "--ids-from", bad.to_str().unwrap()]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("line 24002"), "{}", text(&output.stderr));
    assert_eq!(server.connections(), 0);
    let args = [
        "delete",
        "--yes",
        "--json",
        "--max-attempts",
        "1",
        "--ids-from",
        ids.to_str().unwrap(),
        "--checkpoint",
        file.to_str().unwrap(),
    ];
    // In the second part something goes wrong.
    server.with_service(|s| {
        s.set_faults(FaultPlan::script([vec![None; 550], vec![Some(Fault::ServerError(500))]].concat()));
    });
    let first = run(&server.url(), &args);
    let deleted = json(&first)["deleted"].as_u64().unwrap();
    assert!(
        first.status.code() == Some(3) && deleted > 19_500 && deleted < 24_000,
        "{deleted} {}",
        text(&first.stderr)
    );
    let second = run(&server.url(), &args);
    let report = json(&second);
    assert_eq!(
        (second.status.code(), report["deleted"].as_u64(), report["verified"].as_bool()),
        (Some(0), Some(24_000), Some(true)),
        "{}",
        text(&second.stderr)
    );
    assert_eq!((server.with_service(|s| s.len()), file.exists()), (0, false));
    assert_eq!(server.with_service(|s| s.deleted_total()), 24_000);
    let max = run(&server.url(), &["delete", "--yes", "--json", "--max", "10001", "--ids-from", ids.to_str().unwrap()]);
    let asked: usize = server.with_service(|s| {
        s.log()
            .skip_while(|r| !r.target.contains(&format!("dlqIds={}&", id(0))))
            .map(|r| r.target.matches("dlqIds=").count())
            .sum()
    });
    assert!(max.status.success() && json(&max)["verified"] == false && asked > 0, "{asked}");
}

#[test]
fn a_long_list_of_ids_is_archived_part_by_part() {
    let server = emulator(0);
    // A part holds 4 MiB of ids.
    let id = |n: usize| format!("id-{n:01000}");
    server.with_service(|s| {
        for n in 0..4_300 {
            s.insert(upstash_dlq_emulator::Run::default().dlq_id(id(n)));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (ids, archive) = (folder.path().join("ids"), folder.path().join("archive"));
    std::fs::write(&ids, (0..4_310).map(|n| id(n) + "\n").collect::<String>()).unwrap();
    let args =
        ["delete", "--yes", "--json", "--ids-from", ids.to_str().unwrap(), "--archive", archive.to_str().unwrap()];
    let report = json(&run(&server.url(), &args));
    assert_eq!(
        (report["deleted"].as_u64(), report["archived"].as_u64(), report["verified"].as_bool()),
        (Some(4_300), Some(4_300), Some(true))
    );
    assert_eq!(std::fs::read_to_string(&archive).unwrap().lines().count(), 4_300);
    assert_eq!(server.with_service(|s| (s.len(), s.requests_total())).0, 0);
}
