//! `check` against services that behave in every way the contract leaves open: its answers are true, and it changes nothing.

use crate::common::{NEWEST, canned, command, emulator, json, run, text};
use crate::world::{Moment, World};
use http::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use upstash_dlq_emulator::{
    Config, CursorKind, Fault, FaultPlan, Ignored, LOCAL_TOKEN, RateLimit, Run, Server, ServerOptions, Service, sample,
};

fn serve(config: Config, runs: usize) -> Server {
    let mut service = Service::new(config);
    service.extend(sample::runs(runs, 1, NEWEST));
    Server::start(service, ServerOptions::default()).unwrap()
}

/// The answers by their names. Whatever is answered, nothing was changed, and no more than 40 requests were sent.
fn answers(server: &Server) -> BTreeMap<String, String> {
    let (runs, before) = server.with_service(|s| (s.len(), s.requests_total()));
    let output = run(&server.url(), &["check", "--json"]);
    let told = json(&output);
    assert_eq!(output.status.code(), Some(0), "{told} {}", text(&output.stderr));
    let sent = server.with_service(|s| {
        assert!(s.log().all(|request| request.method == Method::GET));
        assert_eq!((s.len(), s.deleted_total(), s.started().count()), (runs, 0, 0));
        s.requests_total() - before
    });
    assert!(sent <= 40, "{sent} requests");
    assert_eq!(told["requests"].as_u64(), Some(sent));
    let answer = |(name, answer): (&String, &serde_json::Value)| {
        assert!(answer["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{name}: {answer}");
        (name.clone(), answer["answer"].as_str().unwrap().to_owned())
    };
    told["answers"].as_object().unwrap().iter().map(answer).collect()
}

/// What is answered of the emulator as it is by default.
const DEFAULT: [(&str, &str); 19] = [
    ("token", "yes"),
    ("region", "yes"),
    ("read_only", "unknown"),
    ("label", "yes"),
    ("workflowUrl", "yes"),
    ("workflowRunId", "yes"),
    ("workflowCreatedAt", "yes"),
    ("failureFunctionState", "yes"),
    ("callerIp", "yes"),
    ("flowControlKey", "yes"),
    ("from_date", "yes"),
    ("to_date", "yes"),
    ("dates_look_at_created_at", "yes"),
    ("pages_are_disjoint", "yes"),
    ("order_by_time", "yes"),
    ("cursor_is_key", "yes"),
    ("count_may_change", "yes"),
    ("refuses_over_100", "yes"),
    ("rate_limit_headers", "no"),
];

/// The default, but for these.
fn expected(others: &[(&str, &str)]) -> BTreeMap<String, String> {
    DEFAULT.iter().chain(others).map(|(name, answer)| ((*name).to_owned(), (*answer).to_owned())).collect()
}

fn ignoring(names: &[&'static str]) -> Config {
    let ignored = names.iter().map(|name| Ignored::new(None, name)).collect();
    Config::default().ignored(ignored)
}

#[test]
fn the_answers_are_true_however_the_service_behaves() {
    type Answers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Config, Answers); 10] = [
        ("default", Config::default(), &[]),
        ("offsets", Config::default().cursors(CursorKind::Offset), &[("cursor_is_key", "no")]),
        ("newest first", Config::default().newest_first(true), &[]),
        (
            "newest first by offset",
            Config::default().newest_first(true).cursors(CursorKind::Offset),
            &[("cursor_is_key", "no")],
        ),
        ("bound cursors", Config::default().bound_cursors(true), &[("cursor_is_key", "unknown")]),
        ("larger pages", Config::default().max_count(1_000), &[("refuses_over_100", "no")]),
        ("smaller pages", Config::default().max_count(50), &[]),
        (
            "dates ignored",
            Config::default().ignore_dates(true),
            &[("from_date", "no"), ("to_date", "no"), ("dates_look_at_created_at", "unknown")],
        ),
        ("one date ignored", ignoring(&["fromDate"]), &[("from_date", "no")]),
        (
            "dates ignored, and the filter that would make it clear",
            ignoring(&["workflowRunId", "fromDate", "toDate"]),
            &[("workflowRunId", "no"), ("from_date", "no"), ("to_date", "no"), ("dates_look_at_created_at", "unknown")],
        ),
    ];
    for (name, config, others) in cases {
        assert_eq!(answers(&serve(config, 230)), expected(others), "{name}");
    }
}

#[test]
fn a_filter_that_is_ignored_is_found_out() {
    for name in [
        "label",
        "workflowUrl",
        "workflowRunId",
        "workflowCreatedAt",
        "failureFunctionState",
        "callerIp",
        "flowControlKey",
    ] {
        let mut answers = answers(&serve(ignoring(&[name]), 230));
        assert_eq!(answers.remove(name).as_deref(), Some("no"), "{name}");
        answers.retain(|_, answer| answer == "no");
        assert_eq!(answers.into_keys().collect::<Vec<_>>(), ["rate_limit_headers"], "{name}");
    }
    // All of them: no filter is left that could tell what a cursor stands for.
    let all = ignoring(&[
        "label",
        "workflowUrl",
        "workflowRunId",
        "workflowCreatedAt",
        "failureFunctionState",
        "callerIp",
        "flowControlKey",
    ]);
    assert_eq!(answers(&serve(all, 230))["cursor_is_key"], "unknown");
}

#[test]
fn few_runs_leave_answers_unknown() {
    let known = ["token", "region", "refuses_over_100", "rate_limit_headers"];
    let empty = answers(&serve(Config::default(), 0));
    assert_eq!(empty.len(), DEFAULT.len());
    for (name, answer) in &empty {
        assert_eq!(answer == "unknown", !known.contains(&name.as_str()), "{name}: {answer}");
    }
    // No answer of a few runs differs from the truth.
    let truth = expected(&[]);
    for runs in [1, 2, 3, 4, 8, 12, 30, 100] {
        for (name, answer) in answers(&serve(Config::default(), runs)) {
            assert!(answer == "unknown" || answer == truth[&name], "{runs}, {name}: {answer}");
        }
    }
    // Runs that are all the same but for their ids.
    let server = serve(Config::default(), 0);
    server.with_service(|s| {
        let label = vec!["one".to_owned()];
        let same = |n| Run::default().dlq_id(format!("same-{n:02}")).created_at(NEWEST).labels(label.clone());
        s.extend((0..20).map(same));
    });
    let same = answers(&server);
    for name in ["label", "workflowCreatedAt", "workflowRunId", "order_by_time", "cursor_is_key"] {
        assert_eq!(same[name], "unknown", "{name}");
    }
}

/// What others do to the runs while they are looked at.
#[derive(Clone, Copy, Debug)]
enum Others {
    DeleteAll,
    DeleteEverySecond,
    DeleteTheFirst,
    /// Those that are on the first small page.
    DeleteTheFirstFew,
    DeleteLabelled,
    DeleteUnlabelled,
    AddANewest,
    EndCallbacks,
}

impl Others {
    const ALL: [Self; 8] = [
        Self::DeleteAll,
        Self::DeleteEverySecond,
        Self::DeleteTheFirst,
        Self::DeleteTheFirstFew,
        Self::DeleteLabelled,
        Self::DeleteUnlabelled,
        Self::AddANewest,
        Self::EndCallbacks,
    ];

    /// What is there afterwards, the newest last.
    fn change(self, newest_first: bool, runs: Vec<Run>) -> Vec<Run> {
        let first = |place: usize, many: usize| {
            if newest_first { place + many >= RUNS } else { place < many }
        };
        let stays = |(place, run): &(usize, Run)| match self {
            Self::DeleteAll => false,
            Self::DeleteEverySecond => place % 2 == 0,
            Self::DeleteTheFirst => !first(*place, 1),
            Self::DeleteTheFirstFew => !first(*place, 5),
            Self::DeleteLabelled => run.labels.is_empty(),
            Self::DeleteUnlabelled => !run.labels.is_empty(),
            Self::AddANewest | Self::EndCallbacks => true,
        };
        let mut runs: Vec<Run> = runs.into_iter().enumerate().filter(stays).map(|(_, run)| run).collect();
        match self {
            Self::AddANewest => {
                runs.push(sample::runs(1, 77, NEWEST).remove(0).dlq_id("newest").created_at(NEWEST + 1));
            }
            Self::EndCallbacks => runs.iter_mut().for_each(|run| {
                run.failure_function_state = run.failure_function_state.take().map(|_| "CALLBACK_SUCCESS".to_owned());
            }),
            _ => {}
        }
        runs
    }
}

const RUNS: usize = 60;

/// The answers if others change the runs before request `at`, and how many requests there were.
fn answers_beside(config: &Config, newest_first: bool, others: Others, at: usize) -> (BTreeMap<String, String>, usize) {
    let service = |runs: Vec<Run>| {
        let mut service = Service::new(config.clone());
        service.extend(runs);
        service
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let (number, empty) = (Arc::clone(&asked), Service::new(config.clone()));
    let world = World::start(service(sample::runs(RUNS, 1, NEWEST)), move |world, moment, _| {
        if moment == Moment::Arrived && number.fetch_add(1, Ordering::SeqCst) + 1 == at {
            world.with_service(|service| {
                let runs = others.change(newest_first, service.runs().cloned().collect());
                *service = empty.clone();
                service.extend(runs);
            });
        }
        None
    });
    let output = run(&world.url(), &["check", "--json"]);
    world.down();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answers = json(&output)["answers"].as_object().unwrap().clone();
    let answer = |(name, answer): (String, serde_json::Value)| (name, answer["answer"].as_str().unwrap().to_owned());
    (answers.into_iter().map(answer).collect(), asked.load(Ordering::SeqCst))
}

/// It says then that it does not know, rather than what is wrong. `DLQ_DEEP=1` tries each moment, instead of some.
#[test]
fn what_others_do_meanwhile_makes_no_answer_wrong() {
    let every = if std::env::var_os("DLQ_DEEP").is_some() { 1 } else { 5 };
    let base = || Config::default().max_count(20);
    let ignores = |names: &[&'static str]| base().ignored(names.iter().map(|name| Ignored::new(None, name)).collect());
    let configs = [
        (base(), false),
        (base().cursors(CursorKind::Offset), false),
        (base().newest_first(true), true),
        (base().newest_first(true).cursors(CursorKind::Offset), true),
        (ignores(&["label", "failureFunctionState", "fromDate", "toDate"]), false),
    ];
    let work = |(case, (config, newest_first)): (usize, (Config, bool))| {
        // Nobody disturbs it: this is the truth, where it can be known.
        let (truth, requests) = answers_beside(&config, newest_first, Others::DeleteAll, usize::MAX);
        assert!(truth.values().filter(|answer| *answer == "unknown").count() <= 2, "{truth:?}");
        for (number, others) in Others::ALL.into_iter().enumerate() {
            for at in (1 + (case + number) % every..=requests).step_by(every) {
                let (answers, requests) = answers_beside(&config, newest_first, others, at);
                for (name, answer) in &answers {
                    let place = format!("{config:?}, {others:?} before request {at}, {name}: {answer}");
                    assert!(answer == "unknown" || *answer == truth[name] || truth[name] == "unknown", "{place}");
                    // What arrives behind all that was looked at changes nothing.
                    let is_far = matches!(others, Others::AddANewest) && !newest_first;
                    assert!(!is_far || *answer == truth[name], "{place}");
                }
                assert!(requests <= 40, "{requests} requests");
            }
        }
    };
    std::thread::scope(|scope| configs.into_iter().enumerate().for_each(|one| drop(scope.spawn(move || work(one)))));
}

#[test]
fn what_it_measures_is_told() {
    let server = serve(Config::default().rate_limit(Some(RateLimit::per_second(1_000))), 230);
    let told = json(&run(&server.url(), &["check", "--json"]));
    assert_eq!(told["http_version"], "HTTP/1.1");
    let (least, median) = (&told["latency"]["least_ms"], &told["latency"]["median_ms"]);
    assert!(least.as_f64() <= median.as_f64() && least.as_f64().is_some(), "{told}");
    let mut sizes: Vec<usize> = server.with_service(|s| s.runs().take(100).map(|run| run.to_json().len()).collect());
    sizes.sort_unstable();
    let bytes = serde_json::json!({ "median": sizes[50], "largest": sizes[99], "messages": 100 });
    assert_eq!(told["message_bytes"], bytes);
    // For people, in a table.
    let shown = text(&run(&server.url(), &["check"]).stdout);
    for part in ["QUESTION", "keeps to label", "dates look at createdAt", "latency", "HTTP/1.1", "all GET"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_fails_first_is_told() {
    let server = serve(Config::default(), 230);
    let refused = |more: &[&str], code: &str| {
        let output = command(&server.url()).env("QSTASH_TOKEN", "wr0ng").args(["check"]).args(more).output().unwrap();
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(code) && output.stdout.is_empty(), "{error}");
    };
    refused(&[], "401");
    refused(&["--json"], "\"code\":\"unauthorized\"");
    let nobody = run("http://127.0.0.1:9", &["check", "--max-attempts", "1"]);
    assert!(nobody.status.code() == Some(1) && text(&nobody.stderr).contains("127.0.0.1:9"));
    // Later, the answers so far are there, but for those that the first page has not confirmed.
    let faults = [vec![None; 5], vec![Some(Fault::ServerError(401))]].concat();
    server.with_service(|s| s.set_faults(FaultPlan::script(faults)));
    let output = run(&server.url(), &["check", "--json"]);
    let told = json(&output);
    assert_eq!((output.status.code(), told["requests"].as_u64()), (Some(1), Some(6)), "{told}");
    let answers = &told["answers"];
    assert_eq!((&answers["token"]["answer"], &answers["order_by_time"]), (&"yes".into(), &serde_json::Value::Null));
    assert_eq!(answers["label"]["reason"], "the check ended before this was confirmed");
    assert!(text(&output.stderr).contains("unauthorized"), "{}", text(&output.stderr));
}

/// Retries count, too.
#[test]
fn a_busy_service_is_not_asked_more_often() {
    let server = serve(Config::default(), 0);
    // A third time, which takes more requests to tell from the others.
    let delayed = |run: Run| {
        let created_at = run.created_at;
        run.not_before(Some(created_at - 700))
    };
    server.with_service(|s| s.extend(sample::runs(230, 1, NEWEST).into_iter().map(delayed)));
    assert_eq!(answers(&server), expected(&[]));
    let before = server.with_service(|s| s.requests_total());
    let busy = || Some(Fault::TooManyRequests { retry_after_s: Some(0) });
    server.with_service(|s| s.set_faults(FaultPlan::script((0..100).map(|n| busy().filter(|_| n % 5 == 0)).collect())));
    let output = run(&server.url(), &["check", "--json", "--quiet"]);
    let (told, error) = (json(&output), text(&output.stderr));
    assert_eq!((output.status.code(), told["requests"].as_u64()), (Some(1), Some(40)), "{told} {error}");
    assert_eq!(server.with_service(|s| s.requests_total()) - before, 40);
    assert!(told["answers"]["label"]["answer"] == "yes" && error.contains("40 requests were sent"), "{told} {error}");
}

/// Headers are text of others, too.
#[test]
fn headers_that_tell_limits_are_shown_and_steer_nothing() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 29\r\n";
    let limits = "Burst-RateLimit-Limit: 100\r\nretry-after: 7\u{202e}8\r\n";
    let (url, _) = canned(format!("{head}{limits}\r\n{{\"messages\": [],\"cursor\": \"\"}}"));
    let told = json(&run(&url, &["check", "--json"]));
    assert_eq!(told["answers"]["rate_limit_headers"]["answer"], "yes");
    assert_eq!(told["rate_limits"]["burst-ratelimit-limit"], "100");
    let shown = text(&run(&url, &["check"]).stdout);
    assert!(shown.contains("burst-ratelimit-limit: 100") && shown.contains("7\\u{202e}8"), "{shown}");
    assert!(!shown.contains('\u{202e}'), "{shown}");
}

/// With `-v` each of its requests is told, and none holds the token.
#[test]
fn its_requests_can_be_seen() {
    let server = emulator(230);
    let stderr = text(&run(&server.url(), &["check", "-v"]).stderr);
    let told = stderr.lines().filter(|line| line.starts_with("GET /v2/workflows/dlq?")).count();
    assert_eq!(told as u64, server.with_service(|s| s.requests_total()));
    assert!(!stderr.contains(LOCAL_TOKEN));
}
