//! Commands that are put together: what `list` prints for pipes and for screens, and commands that take many ids.

use crate::common::{NEWEST, command, emulator, json, run, text};
use crate::progress::Shown;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Run, Server, ServerOptions, Service, sample};

fn ids(server: &Server) -> Vec<String> {
    server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect())
}

fn lines(url: &str, args: &[&str]) -> Vec<String> {
    let output = run(url, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_list_comes_in_three_formats() {
    let server = emulator(130);
    let url = server.url();
    assert_eq!(lines(&url, &["list", "-o", "ids"]), ids(&server));
    assert_eq!(lines(&url, &["list", "--output=ids", "--limit", "7"]), ids(&server)[..7]);
    let table = lines(&url, &["list"]);
    assert_eq!((lines(&url, &["list", "-o", "table"]), table.len()), (table, 131));
    let messages = lines(&url, &["list", "--json"]);
    for args in [&["list", "-o", "json"][..], &["list", "--json", "-o", "json"], &["--json", "list", "-ojson"]] {
        assert_eq!(lines(&url, args), messages, "{args:?}");
    }
    // An error is told as the results would be.
    let refused = run(&url, &["list", "-o", "json", "--label", "a,b"]);
    let told: serde_json::Value = serde_json::from_str(&text(&refused.stderr)).unwrap();
    assert_eq!((refused.status.code(), told["error"]["code"].as_str()), (Some(2), Some("usage")));
    let connections = server.connections();
    for args in [&["list", "--json", "-o", "ids"][..], &["--json", "list", "-o", "table"]] {
        let output = run(&url, args);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--output"), "{args:?}");
    }
    assert_eq!(server.connections(), connections);
}

/// Ids that could not be given back are not printed, and do not count.
#[test]
fn a_run_without_an_id_is_left_out_of_the_ids() {
    let server = emulator(0);
    server.with_service(|s| {
        for (at, id) in (0..).zip(["a", "two words", "b"]) {
            s.insert(Run::default().dlq_id(id).created_at(at));
        }
    });
    for more in [&[][..], &["--newest-first"], &["--limit", "2"]] {
        let output = run(&server.url(), &[&["list", "-o", "ids"], more].concat());
        let newest = more.contains(&"--newest-first");
        assert_eq!(text(&output.stdout), if newest { "b\na\n" } else { "a\nb\n" });
        let note = "1 run has no id that can be used, and was left out\n";
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), note), "{more:?}");
    }
}

#[test]
fn the_newest_come_first_whatever_order_the_service_has() {
    for newest_first in [false, true] {
        let mut service = Service::new(Config::default().newest_first(newest_first));
        service.extend(sample::runs(230, 1, NEWEST));
        // Without a time, wherever the service puts it.
        for (id, at) in [("timeless-0", NEWEST - 86_400_000), ("timeless-1", NEWEST + 1)] {
            let sent = Some(format!("{{\"dlqId\":\"{id}\"}}"));
            service.insert(Run::default().dlq_id(id).created_at(at).sent(sent));
        }
        let mut sorted: Vec<(i64, String)> = service.runs().map(|run| (run.created_at, run.dlq_id.clone())).collect();
        sorted.retain(|(_, id)| !id.starts_with("timeless"));
        sorted.sort_by_key(|(at, _)| -at);
        let expected: Vec<String> = sorted.into_iter().map(|(_, id)| id).collect();
        let server = Server::start(service, ServerOptions::default()).unwrap();
        let list = |more: &[&str]| lines(&server.url(), &[&["list", "--newest-first", "-o", "ids"], more].concat());
        let all = list(&[]);
        assert_eq!(all[..230], expected[..], "{newest_first}");
        assert!(all.len() == 232 && all[230..].iter().all(|id| id.starts_with("timeless")));
        for limit in [1, 99, 100, 230] {
            let before = server.with_service(|s| s.requests_total());
            assert_eq!(list(&["--limit", &limit.to_string()]), expected[..limit], "{newest_first}, {limit}");
            // The newest may be on the last page.
            assert_eq!(server.with_service(|s| s.requests_total()), before + 3);
        }
        assert_eq!(list(&["--limit", "50", "--parallel", "4"]), expected[..50]);
        let table = lines(&server.url(), &["list", "--newest-first", "--limit", "3"]);
        assert!(table.len() == 4 && table[0].starts_with("ID ") && table[1].starts_with(&expected[0]), "{table:?}");
    }
}

/// On a screen of 50 lines. A pipe gets everything, which the other tests show.
#[test]
fn a_table_on_a_terminal_is_one_screen() {
    let how = "; --limit N shows N of them, a pipe such as `| less` shows all";
    let cases: [(usize, &[&str], usize, &str); 9] = [
        (250, &["list"], 46, "at least 54 more runs match"),
        (60, &["list"], 46, "14 more runs match"),
        (46, &["list"], 46, ""),
        (250, &["list", "--newest-first"], 46, "204 more runs match"),
        (60, &["list", "--limit", "55"], 55, ""),
        (60, &["list", "-o", "table", "--newest-first", "--limit", "50"], 50, ""),
        (120, &["list", "-o", "ids"], 120, ""),
        (60, &["list", "--json"], 60, ""),
        (60, &["list", "--quiet"], 46, ""),
    ];
    for (runs, args, rows, more) in cases {
        let server = emulator(runs);
        let mut shown = Shown::start(&server.url(), args);
        let (status, left) = shown.end();
        let ids = ids(&server);
        let listed =
            |line: &&String| ids.iter().any(|id| line.starts_with(id.as_str()) || line.contains(&format!("\"{id}\"")));
        assert_eq!((status, left.iter().filter(listed).count()), (Some(0), rows), "{args:?}: {left:?}");
        let told: Vec<&String> = left.iter().filter(|line| line.contains("match")).collect();
        let expected = if more.is_empty() { vec![] } else { vec![format!("{more}{how}")] };
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{args:?}");
        if args == ["list"] {
            assert_eq!(server.with_service(|s| s.requests_total()), 1, "it asks for no more than it shows");
        }
    }
    let server = emulator(60);
    let mut small = command(&server.url());
    small.arg("list").env("LINES", "5");
    let (_, left) = Shown::spawn(small).end();
    assert_eq!(left.len(), 12, "a header, ten rows and a sentence: {left:?}");
}

/// `list | choose | delete`, whose question goes to the terminal, since the pipe is its standard input.
#[cfg(target_os = "linux")]
#[test]
fn what_was_chosen_from_a_list_is_deleted_after_a_yes() {
    for (keys, yes) in [("y\n", true), ("n\n", false)] {
        let server = emulator(300);
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("kept.ndjson");
        let binary = env!("CARGO_BIN_EXE_upstash-dlq");
        // Chosen by what no filter knows.
        let script = format!(
            "{binary} list --json | grep '\"responseStatus\":504' | {binary} delete --ids-from - --archive {}",
            archive.display()
        );
        let chosen: Vec<String> =
            server.with_service(|s| s.runs().filter(|r| r.response_status == 504).map(Run::to_json).collect());
        let mut pipeline = Command::new("setsid");
        pipeline.args(["--ctty", "sh", "-c", &script]);
        pipeline.env("QSTASH_URL", server.url()).env("QSTASH_TOKEN", LOCAL_TOKEN);
        let mut shown = Shown::spawn(pipeline);
        shown.until(|shown| shown.contains("[y/N] "));
        let question = format!("{} ids given. Keep a copy of these runs in ", chosen.len());
        assert!(shown.text().contains(&question), "{}", shown.text());
        assert_eq!(server.with_service(|s| s.len()), 300, "asked first");
        // Neither is in it any more, and both are acted on as it was asked.
        shown.keyboard.write_all(keys.as_bytes()).unwrap();
        let (status, left) = shown.end();
        let kept = std::fs::read_to_string(&archive).unwrap_or_default();
        let mut kept: Vec<&str> = kept.lines().collect();
        kept.sort_unstable();
        let mut expected: Vec<&str> = if yes { chosen.iter().map(String::as_str).collect() } else { vec![] };
        expected.sort_unstable();
        assert_eq!((status, kept), (Some(if yes { 0 } else { 1 }), expected), "{left:?}");
        assert_eq!(server.with_service(|s| s.len()), if yes { 300 - chosen.len() } else { 300 });
        assert!(server.with_service(|s| s.runs().all(|run| !yes || run.response_status != 504)));
    }
}

#[test]
fn many_runs_are_shown_in_the_order_of_their_ids() {
    let server = emulator(90);
    let all = ids(&server);
    // Newest first, so that it is not the server's order; one twice; more than are fetched at a time.
    let mut given: Vec<&str> = all.iter().rev().map(String::as_str).collect();
    given.push(&all[5]);
    let shown = lines(&server.url(), &[&["get", "--json"], &given[..]].concat());
    let mut sent: Vec<String> = server.with_service(|s| s.runs().map(Run::to_json).collect());
    sent.reverse();
    assert_eq!(shown, sent);
    // For people: separated, and in the same order.
    let shown = text(&run(&server.url(), &["get", &all[3], &all[1]]).stdout);
    let (first, second) = shown.split_once("\n\n").unwrap();
    assert!(first.starts_with("DLQ id") && first.contains(&all[3]), "{shown}");
    assert!(second.starts_with("DLQ id") && second.contains(&all[1]) && !second.contains("\n\n"), "{shown}");
}

#[test]
fn a_run_that_is_not_there_is_named_and_the_others_are_shown() {
    let server = emulator(5);
    let all = ids(&server);
    let args = ["get", &all[0], "nobody-0", &all[1], "nobody-1"];
    let output = run(&server.url(), &args);
    let shown = text(&output.stdout);
    assert!(output.status.code() == Some(1) && shown.contains(&all[0]) && shown.contains(&all[1]), "{shown}");
    assert_eq!(text(&output.stderr), "error: nobody-0 is not in the DLQ\nerror: nobody-1 is not in the DLQ\n");
    let output = run(&server.url(), &[&args[..], &["--json"]].concat());
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 2));
    for line in text(&output.stderr).lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (told["error"]["code"].as_str(), told["error"]["http_status"].as_u64()),
            (Some("not_found"), Some(404))
        );
    }
    // One that cannot be an id: nothing is sent.
    let before = server.connections();
    assert_eq!(run(&server.url(), &["get", &all[0], ".."]).status.code(), Some(2));
    assert_eq!(server.connections(), before);
    // A failure is not an absence. What came before it is shown.
    let fault = FaultPlan::script(vec![None, Some(Fault::ServerError(403))]);
    server.with_service(|s| s.set_faults(fault));
    let output = run(&server.url(), &["get", &all[0], &all[1], "--json"]);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(1), 1), "{}", text(&output.stderr));
}

/// Each response waits until both requests have come.
#[test]
fn several_runs_are_fetched_side_by_side() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let both = Arc::new(Barrier::new(2));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, both) = (stream.unwrap(), Arc::clone(&both));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                both.wait();
                let id = head.split(' ').nth(1).unwrap().rsplit('/').next().unwrap();
                let body = format!("{{\"dlqId\":\"{id}\"}}");
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            });
        }
    });
    let args = ["get", "a", "b", "--json", "--timeout", "10s", "--max-attempts", "1"];
    assert_eq!(lines(&url, &args), ["{\"dlqId\":\"a\"}", "{\"dlqId\":\"b\"}"]);
}

/// Runs with a failure callback that has failed.
fn with_callbacks(ids: &[&str]) -> Server {
    let mut service = Service::new(Config::default());
    service.extend(ids.iter().map(|id| {
        Run::default()
            .dlq_id((*id).to_owned())
            .workflow_run_id(format!("run-of-{id}"))
            .failure_callback(Some("https://x.example/failed".into()))
            .failure_function_state(Some("CALLBACK_FAIL".into()))
    }));
    Server::start(service, ServerOptions::default()).unwrap()
}

#[test]
fn callbacks_of_many_runs_are_handled_one_after_another() {
    let server = with_callbacks(&["a", "b", "c"]);
    let shown = lines(&server.url(), &["callback", "retry", "c", "a", "c", "--json"]);
    let runs: Vec<_> = shown.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
    assert_eq!(
        runs.iter().map(|run| run["workflowRunId"].as_str().unwrap()).collect::<Vec<_>>(),
        ["run-of-c", "run-of-a"]
    );
    let output = run(&server.url(), &["callback", "cancel", "a", "nobody", "b", "c"]);
    assert_eq!(text(&output.stdout), "The failure callback was canceled.\n".repeat(2));
    let error = text(&output.stderr);
    // Refused ones do not keep others from their turn; something was changed.
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(
        error.lines().count() == 2
            && error.contains("error: nobody is not in the DLQ\n")
            && error.contains("error: b: "),
        "{error}"
    );
    let output = run(&server.url(), &["callback", "cancel", "nobody", "b"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[test]
fn a_callback_whose_fate_is_unknown_ends_the_command() {
    let cases = [
        (Fault::LostResponse, 3, "unknown whether", "; the last 2 ids were not sent"),
        // Nothing is wrong with this run: the next ones would be refused, too.
        (Fault::ServerError(401), 3, "b: ", "; the last 2 ids were not sent"),
    ];
    for (fault, code, part, left) in cases {
        let server = with_callbacks(&["a", "b", "c", "d"]);
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(fault)])));
        let output = run(&server.url(), &["callback", "retry", "a", "b", "c", "d", "--json"]);
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), json(&output)["workflowRunId"].as_str()), (Some(code), Some("run-of-a")));
        assert!(error.contains(part) && error.contains("b: ") && error.contains(left), "{error}");
        assert_eq!(server.with_service(|s| s.requests_total()), 2);
    }
    // At the first, nothing was changed.
    let server = with_callbacks(&["a", "b"]);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(401))])));
    let output = run(&server.url(), &["callback", "retry", "a", "b"]);
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("; the last id was not sent"));
}

/// The first interrupt lets the callback in flight finish. No other one is sent, and each of those counts.
#[cfg(unix)]
#[test]
fn callbacks_after_an_interrupt_are_counted() {
    let server = with_callbacks(&["a", "b", "c"]);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::Slow { ms: 1_500 })])));
    let mut child = command(&server.url());
    let child = child.args(["callback", "retry", "a", "b", "c"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    while server.with_service(|s| s.requests_total()) == 0 {
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(130), 1), "{error}");
    assert!(error.ends_with("\ninterrupted; the last 2 ids were not sent\n"), "{error}");
    assert_eq!(server.with_service(|s| s.requests_total()), 1);
}
