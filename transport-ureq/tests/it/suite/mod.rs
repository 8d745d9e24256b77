//! What every transport must do, whichever library is behind it. A transport's test file names its driver and invokes
//! [`suite!`].

mod bounds;
mod emulator;
pub(crate) mod environment;
mod faults;
mod namespace;
mod phases;
mod setup;
mod sizes;
pub(crate) mod tls;
mod twice;
pub(crate) mod wire;
mod world;

pub(crate) use bounds::*;
pub(crate) use emulator::*;
pub(crate) use environment::*;
pub(crate) use namespace::*;
pub(crate) use phases::each_phase_and_its_delivery;
pub(crate) use setup::{Driver, LONG, Setup, fast};
pub(crate) use sizes::*;
pub(crate) use twice::*;

use std::time::Duration;
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::model::{Cursor, FailureFunctionState};
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::selection::{FilterBuilder, Ids};
use upstash_dlq_core::wire::BulkPage as _;
use upstash_dlq_core::wire::{
    BulkOperation, ErrorBody, FlowControl, List, Overrides, ResponseError, Restart, RestartOne, Resume, ResumeOne,
    RetryCallback,
};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Delivery, DlqId, Endpoint, Filter, Halt, Operation, Outcome, Selection, Settlement, Step,
    Token, UnixMillis,
};
use upstash_dlq_emulator::LOCAL_TOKEN;
use wire::{Reply, Wire, ok, status};

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Token::new(LOCAL_TOKEN).unwrap()).unwrap()
}

fn everything<D: Driver>(wire: &Wire, attempts: u32) -> Outcome {
    D::delete(&endpoint(&wire.url()), LONG, Selection::Everything, fast(attempts))
}

/// The first request of each selection, as it must stand on the wire.
fn golden() -> Vec<(Selection, &'static str)> {
    let filter = |builder: FilterBuilder| Selection::Filter(builder.build().unwrap());
    let time = |millis| UnixMillis::new(millis);
    vec![
        (Selection::Everything, "?count=100"),
        (Selection::Ids(Ids::parse(["1752829295505-0"]).unwrap()), "?dlqIds=1752829295505-0"),
        (
            Selection::Ids(Ids::parse(["a", "dlq-ü", "a", "b+c&d"]).unwrap()),
            "?dlqIds=a&dlqIds=dlq-%C3%BC&dlqIds=b%2Bc%26d",
        ),
        (filter(Filter::builder().label("red & white")), "?label=red+%26+white&count=100"),
        (
            filter(Filter::builder().label("b").label("größe").label("a")),
            "?label=b&label=gr%C3%B6%C3%9Fe&label=a&count=100",
        ),
        (filter(Filter::builder().label("*-._~ a+b%/?#='\"")), "?label=*-._%7E+a%2Bb%25%2F%3F%23%3D%27%22&count=100"),
        (filter(Filter::builder().label("\u{0}\r\n\u{1f980}")), "?label=%00%0D%0A%F0%9F%A6%80&count=100"),
        (
            filter(Filter::builder().workflow_url("https://x.example/a?b=c&d=é#f")),
            "?workflowUrl=https%3A%2F%2Fx.example%2Fa%3Fb%3Dc%26d%3D%C3%A9%23f&count=100",
        ),
        (
            filter(Filter::builder().from(time(i64::MIN)).to(time(i64::MAX))),
            "?fromDate=-9223372036854775808&toDate=9223372036854775807&count=100",
        ),
        (
            filter(
                Filter::builder()
                    .flow_control_key("k")
                    .caller_ip("2001:db8::1")
                    .failure_function_state(&FailureFunctionState::Fail)
                    .failure_function_state(&FailureFunctionState::Other("CALLBACK_NEW".into()))
                    .label("l")
                    .workflow_created_at(time(3))
                    .workflow_run_id("wfr_1")
                    .workflow_url("u")
                    .to(time(2))
                    .from(time(1)),
            ),
            "?fromDate=1&toDate=2&workflowUrl=u&workflowRunId=wfr_1&workflowCreatedAt=3&label=l&failureFunctionState=CALLBACK_FAIL\
             &failureFunctionState=CALLBACK_NEW&callerIp=2001%3Adb8%3A%3A1&flowControlKey=k&count=100",
        ),
    ]
}

fn expected_head(wire: &Wire, method: &str, target: &str, authorization: Option<&str>) -> Vec<String> {
    let mut headers = vec![
        "accept: application/json".to_owned(),
        format!("host: {}", wire.addr),
        format!("user-agent: upstash-dlq/{}", env!("CARGO_PKG_VERSION")),
    ];
    headers.extend(authorization.map(|token| format!("authorization: Bearer {token}")));
    headers.sort();
    [vec![format!("{method} {target} HTTP/1.1")], headers].concat()
}

pub(crate) fn golden_wire_bytes<D: Driver>() {
    for (selection, query) in golden() {
        let wire = Wire::start(vec![ok("{\"deleted\":0}")]);
        let outcome = D::delete(&endpoint(&wire.url()), LONG, selection, fast(1));
        assert!(outcome.halted.is_none() && outcome.verified, "{query}: {outcome:?}");
        let expected = expected_head(&wire, "DELETE", &format!("/v2/workflows/dlq{query}"), Some(LOCAL_TOKEN));
        assert_eq!(wire.requests(), [expected]);
    }
}

pub(crate) fn cursors_base_paths_and_listing_on_the_wire<D: Driver>() {
    let wire = Wire::start(vec![ok("{\"deleted\":1,\"cursor\":\"a/b+c=\\u00e9\"}"), ok("{\"deleted\":0}")]);
    let base = endpoint(&format!("{}/base/", wire.url()));
    let outcome = D::delete(&base, LONG, Selection::Everything, fast(1));
    assert_eq!((outcome.totals.affected, outcome.totals.requests), (1, 3));
    let lines: Vec<String> = wire.requests().into_iter().map(|head| head[0].clone()).collect();
    let first = "DELETE /base/v2/workflows/dlq?count=100 HTTP/1.1";
    assert_eq!(lines, [first, "DELETE /base/v2/workflows/dlq?count=100&cursor=a%2Fb%2Bc%3D%C3%A9 HTTP/1.1", first]);

    let wire = Wire::start(vec![ok("{\"messages\":[],\"cursor\":\"\"}")]);
    D::list(&endpoint(&wire.url()), List::everything().page_size(7)).unwrap();
    assert_eq!(wire.requests(), [expected_head(&wire, "GET", "/v2/workflows/dlq?count=7", Some(LOCAL_TOKEN))]);
}

/// The request of each single call on a run, and the reply it wants.
fn singles(id: &str) -> Vec<(&'static str, &'static str, Reply)> {
    let started = || ok("{\"workflowRunId\":\"wfr_new\",\"workflowCreatedAt\":7}");
    vec![
        ("GET", "", ok(&format!("{{ \"dlqId\" : \"{id}\" }}"))),
        ("DELETE", "", status("200 OK", "", "")),
        ("POST", "/resume", started()),
        ("POST", "/restart", started()),
        ("POST", "/callback", started()),
        ("DELETE", "/callback", status("302 Found", "location: http://127.0.0.1:9/\r\n", "")),
    ]
}

pub(crate) fn golden_wire_bytes_of_every_operation_on_one_run<D: Driver>() {
    let overrides = Overrides::builder().retries(3).label("second try").build().unwrap();
    for (raw, encoded) in [("1752829295505-0", "1752829295505-0"), ("a/../b+ü%2e?#", "a%2F..%2Fb%2B%C3%BC%252e%3F%23")]
    {
        let wire = Wire::start(singles(raw).into_iter().map(|(_, _, reply)| reply).collect());
        let results = D::each(&endpoint(&wire.url()), &DlqId::new(raw).unwrap(), &overrides);
        let shown: Vec<&str> = results.iter().map(|result| result.as_deref().unwrap()).collect();
        assert_eq!(shown, [&*format!("{{\"dlqId\":\"{raw}\"}}"), "()", "wfr_new", "wfr_new", "wfr_new", "()"]);
        let expected: Vec<Vec<String>> = singles(raw)
            .into_iter()
            .map(|(method, under, _)| {
                let target = format!("/v2/workflows/dlq{under}/{encoded}");
                let mut head = expected_head(&wire, method, &target, Some(LOCAL_TOKEN));
                if matches!(under, "/resume" | "/restart") {
                    head.push("upstash-label: second try".into());
                    head.push("upstash-retries: 3".into());
                }
                with_length(&mut head, method);
                head
            })
            .collect();
        assert_eq!(wire.requests(), expected);
    }
}

/// A POST states that it has no body; nothing else does.
fn with_length(head: &mut Vec<String>, method: &str) {
    if method == "POST" {
        head.push("content-length: 0".into());
    }
    head[1..].sort();
}

pub(crate) fn golden_wire_bytes_of_resume_and_restart<D: Driver>() {
    fn check<D: Driver, O: BulkOperation>(under: &str, build: impl Fn(Endpoint, Selection) -> BulkBuilder<O>) {
        let all = Overrides::builder()
            .retries(5)
            .delay("10s".parse().unwrap())
            .retry_delay("1000 * retried")
            .flow_control(FlowControl::key("k").parallelism(3).rate(10, "1m".parse().unwrap()))
            .label("a")
            .label("b c")
            .failure_callback("https://x.example/failed")
            .build()
            .unwrap();
        let page = "{\"workflowRuns\":[{\"workflowRunId\":\"w1\",\"workflowCreatedAt\":1}],\"cursor\":\"c/1\"}";
        let wire = Wire::start(vec![ok(page), ok("{\"workflowRuns\":[],\"cursor\":\"\"}")]);
        let endpoint = endpoint(&wire.url());
        let filter = Filter::builder().label("l").build().unwrap();
        let mut bulk = build(endpoint.clone(), Selection::Filter(filter)).build();
        let (pages, outcome) = D::run(&endpoint, &mut bulk);
        assert!(outcome.halted.is_none() && outcome.totals.affected == 1 && !outcome.verified, "{outcome:?}");
        assert_eq!(pages.iter().map(|page| page.started().len()).collect::<Vec<_>>(), [1, 0]);
        let head = |query: &str| {
            let mut head =
                expected_head(&wire, "POST", &format!("/v2/workflows/dlq/{under}{query}"), Some(LOCAL_TOKEN));
            with_length(&mut head, "POST");
            head
        };
        assert_eq!(wire.requests(), [head("?label=l&count=50"), head("?label=l&count=50&cursor=c%2F1")]);

        let wire = Wire::start(vec![ok("{\"workflowRuns\":[],\"cursor\":\"\"}")]);
        let ids = Selection::Ids(Ids::parse(["x", "y"]).unwrap());
        let endpoint = Endpoint::new(&wire.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
        let mut bulk = with_overrides::<O>(build(endpoint.clone(), ids), all).build();
        let _ = D::run(&endpoint, &mut bulk);
        let mut head =
            expected_head(&wire, "POST", &format!("/v2/workflows/dlq/{under}?dlqIds=x&dlqIds=y"), Some(LOCAL_TOKEN));
        head.extend(
            [
                "upstash-delay: 10s",
                "upstash-failure-callback: https://x.example/failed",
                "upstash-flow-control-key: k",
                "upstash-flow-control-value: parallelism=3, rate=10, period=1m",
                "upstash-label: a,b c",
                "upstash-retries: 5",
                "upstash-retry-delay: 1000 * retried",
            ]
            .map(str::to_owned),
        );
        with_length(&mut head, "POST");
        assert_eq!(wire.requests(), [head]);
    }
    check::<D, Resume>("resume", Bulk::builder);
    check::<D, Restart>("restart", Bulk::builder);
}

/// `overrides` exists for both verbs that start runs, but not for all.
fn with_overrides<O: BulkOperation>(builder: BulkBuilder<O>, overrides: Overrides) -> BulkBuilder<O> {
    let mut builder: Box<dyn std::any::Any> = Box::new(builder);
    if let Some(resume) = builder.downcast_mut::<BulkBuilder<Resume>>() {
        *resume = resume.clone().overrides(overrides);
    } else if let Some(restart) = builder.downcast_mut::<BulkBuilder<Restart>>() {
        *restart = restart.clone().overrides(overrides);
    }
    *builder.downcast().unwrap()
}

/// A filter, a cursor, a token and settings that are all as long as they may be.
pub(crate) fn the_longest_request_is_sent_whole<D: Driver>() {
    let cursor = "é".repeat(Cursor::MAX_LEN / 2);
    let wire = Wire::start(vec![
        ok(&format!(r#"{{"workflowRuns":[],"cursor":"{cursor}"}}"#)),
        ok(r#"{"workflowRuns":[],"cursor":""}"#),
    ]);
    let long = "x".repeat(4_096);
    let overrides = Overrides::builder()
        .retry_delay(&long)
        .flow_control(FlowControl::key(&long).parallelism(1))
        .label(&long)
        .failure_callback(format!("https://x/{}", &long[10..]));
    let ends = (UnixMillis::new(i64::MIN), UnixMillis::new(i64::MIN + 1));
    let dates = "fromDate=-9223372036854775808&toDate=-9223372036854775807&".len();
    let label = "y".repeat(Filter::MAX_ENCODED_LEN - dates - "label=&".len());
    let filter = Filter::builder().label(label).from(ends.0).to(ends.1).build().unwrap();
    let endpoint = Endpoint::new(&wire.url(), Token::new("t".repeat(2_000)).unwrap()).unwrap();
    let builder =
        BulkResume::builder(endpoint.clone(), Selection::Filter(filter)).overrides(overrides.build().unwrap());
    let (_, outcome) = D::run(&endpoint, &mut builder.retry(fast(1), 1).build());
    assert!(outcome.halted.is_none(), "{outcome:?}");
    let requests = wire.requests();
    let length: usize = requests[1].iter().map(|line| line.len() + 2).sum();
    assert!(requests.len() == 2 && length > 62_000, "{length}");
}

pub(crate) fn nothing_that_starts_runs_is_repeated_by_itself<D: Driver>() {
    let lost = [
        ok("<html>"),
        ok("{}"),
        Reply::Short,
        Reply::Close,
        status("500 Oops", "", ""),
        status("503 Busy", "retry-after: 1\r\n", ""),
    ];
    for reply in lost {
        let wire = Wire::start(vec![reply.clone()]);
        let endpoint = endpoint(&wire.url());
        let mut bulk = BulkResume::builder(endpoint.clone(), Selection::Everything).retry(fast(5), 0).build();
        let (_, outcome) = D::run(&endpoint, &mut bulk);
        assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })), "{reply:?}: {outcome:?}");
        assert_eq!((wire.requests().len(), outcome.totals.unconfirmed), (1, 1), "{reply:?}");
        bulk.settle(Settlement::NotApplied).unwrap();
        let (_, outcome) = D::run(&endpoint, &mut bulk);
        assert_eq!((wire.requests().len(), outcome.totals.unconfirmed), (2, 1));
        let before = wire.requests().len();
        let id = || DlqId::new("a").unwrap();
        for result in [
            D::call(&endpoint, RetryCallback(id())).map(|_| ()),
            D::call(&endpoint, ResumeOne::new(id(), Overrides::default())).map(|_| ()),
            D::call(&endpoint, RestartOne::new(id(), Overrides::default())).map(|_| ()),
        ] {
            assert!(matches!(result, Err(Halt::InDoubt { asked: 1, .. })), "{reply:?}: {result:?}");
        }
        assert_eq!(wire.requests().len(), before + 3, "{reply:?}");
    }
    // A 429 was not carried out, and is repeated.
    let busy = || status("429 Too Many Requests", "retry-after: 0\r\n", "");
    let wire = Wire::start(vec![busy(), ok("{\"workflowRunId\":\"w\"}")]);
    let run = D::call(&endpoint(&wire.url()), RetryCallback(DlqId::new("a").unwrap())).unwrap();
    assert_eq!((run.workflow_run_id.as_str(), wire.requests().len()), ("w", 2));
}

pub(crate) fn the_token_in_the_query_when_asked_for<D: Driver>() {
    let wire = Wire::start(vec![ok("{\"deleted\":0}")]);
    let endpoint = Endpoint::builder().token_in_query().build(&wire.url(), Token::new("a+b=").unwrap()).unwrap();
    let outcome = D::delete(&endpoint, LONG, Selection::Everything, fast(1));
    assert!(outcome.halted.is_none());
    assert_eq!(
        wire.requests(),
        [expected_head(&wire, "DELETE", "/v2/workflows/dlq?count=100&qstash_token=a%2Bb%3D", None)]
    );
    // And not in what a failure says.
    let nobody =
        Endpoint::builder().token_in_query().build("http://127.0.0.1:1", Token::new("s3cret").unwrap()).unwrap();
    let outcome = D::delete(&nobody, LONG, Selection::Everything, fast(1));
    assert!(!format!("{outcome:?} {}", outcome.halted.as_ref().unwrap()).contains("s3cret"));
}

pub(crate) fn a_redirect_is_an_error_and_not_followed<D: Driver>() {
    for code in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let elsewhere = Wire::start(vec![ok("{\"deleted\":5}")]);
        let location = format!("location: {}/x\r\n", elsewhere.url());
        let wire = Wire::start(vec![status(code, &location, "")]);
        let outcome = everything::<D>(&wire, 5);
        assert!(
            matches!(outcome.halted, Some(Halt::Refused { error: ResponseError::Redirect { .. }, .. })),
            "{outcome:?}"
        );
        assert_eq!((wire.requests().len(), elsewhere.connections()), (1, 0));
        assert_eq!((outcome.totals.requests, outcome.totals.unconfirmed), (1, 0));
    }
}

pub(crate) fn a_no_is_final_and_keeps_its_words<D: Driver>() {
    for (code, body) in
        [("400 Bad Request", "bad filter"), ("401 Unauthorized", "no such token"), ("404 Not Found", "no such user")]
    {
        let wire = Wire::start(vec![status(code, "", &format!("{{\"error\":\"{body}\"}}"))]);
        let outcome = everything::<D>(&wire, 5);
        let Some(Halt::Refused { error: ResponseError::Status { body: ErrorBody::Message(words), .. }, .. }) =
            outcome.halted
        else {
            panic!("{outcome:?}")
        };
        assert_eq!((words.as_str(), wire.requests().len(), outcome.totals.unconfirmed), (body, 1, 0));
    }
}

pub(crate) fn unreadable_responses_are_requested_again_and_given_up<D: Driver>() {
    let replies = [
        ok("<html>hello</html>"),
        ok("{\"deleted\":1"),
        ok("{}"),
        ok("{\"deleted\":-1}"),
        ok(""),
        Reply::Short,
        Reply::Close,
        status("204 No Content", "", ""),
        status("500 Oops", "", "{\"error\":\"x\"}"),
        status("502 Bad Gateway", "", "<html>"),
    ];
    for reply in replies {
        let wire = Wire::start(vec![reply.clone()]);
        let outcome = everything::<D>(&wire, 3);
        assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 3, .. })), "{reply:?}: {outcome:?}");
        assert_eq!(
            (outcome.totals.unconfirmed, outcome.totals.requests, outcome.totals.affected),
            (3, 3, 0),
            "{reply:?}"
        );
        assert_eq!(wire.requests().len(), 3, "{reply:?}: the library repeats requests by itself");
        // And when the trouble passes, the count is a lower bound.
        let wire = Wire::start(vec![reply, ok("{\"deleted\":2}"), ok("{\"deleted\":0}")]);
        let outcome = everything::<D>(&wire, 3);
        assert!(outcome.halted.is_none() && outcome.verified, "{outcome:?}");
        assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed, outcome.totals.retries), (2, 1, 1));
    }
}

pub(crate) fn an_endless_body_is_bounded<D: Driver>() {
    let wire = Wire::start(vec![Reply::Endless]);
    let outcome = everything::<D>(&wire, 1);
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { last: Cause::Transport(_), .. })), "{outcome:?}");
    assert_eq!(outcome.totals.unconfirmed, 1);
    // The bound, and what sockets on both sides hold.
    assert!(wire.written() < 40 << 20, "{} bytes were taken", wire.written());
}

pub(crate) fn silence_ends_in_time<D: Driver>() {
    let wire = Wire::start(vec![Reply::Silence]);
    let outcome = D::delete(&endpoint(&wire.url()), Duration::from_secs(1), Selection::Everything, fast(2));
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 2, .. })), "{outcome:?}");
    // The client has gone when the server may not have looked yet.
    wire.wait_for_requests(2);
    assert_eq!((outcome.totals.unconfirmed, wire.requests().len()), (2, 2));
}

pub(crate) fn only_what_was_surely_not_sent_is_called_so<D: Driver>() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint_of_nobody = endpoint(&format!("http://127.0.0.1:{port}"));
    let outcome = D::delete(&endpoint_of_nobody, LONG, Selection::Everything, fast(3));
    let Some(Halt::GaveUp { last: Cause::Transport(failure), .. }) = outcome.halted else { panic!("{outcome:?}") };
    assert_eq!(failure.delivery, Delivery::NotSent);
    assert_eq!((outcome.totals.unconfirmed, outcome.totals.requests), (0, 0));

    let wire = Wire::start(vec![Reply::Close]);
    let mut bulk = BulkDelete::builder(endpoint(&wire.url()), Selection::Everything).build();
    let Step::Send(_, request) = bulk.poll(std::time::Duration::ZERO) else { panic!() };
    assert_eq!(D::send(&endpoint(&wire.url()), LONG, request).unwrap_err().delivery, Delivery::Unknown);
}

pub(crate) fn cursors_that_lead_nowhere_end<D: Driver>() {
    let page = |cursor: &str| ok(&format!("{{\"deleted\":0,\"cursor\":\"{cursor}\"}}"));
    for replies in [vec![page("A")], (0..50).flat_map(|_| [page("A"), page("B")]).collect()] {
        let wire = Wire::start(replies);
        let outcome = everything::<D>(&wire, 3);
        assert_eq!(outcome.halted, Some(Halt::NoProgress));
        assert!(wire.requests().len() < 12);
    }
    let gone = || status("410 Gone", "", "{\"error\":\"cursor expired\"}");
    let wire =
        Wire::start(vec![ok("{\"deleted\":3,\"cursor\":\"A\"}"), gone(), ok("{\"deleted\":1}"), ok("{\"deleted\":0}")]);
    let outcome = everything::<D>(&wire, 3);
    assert!(outcome.halted.is_none() && outcome.verified && outcome.totals.affected == 4, "{outcome:?}");
    let wire = Wire::start(vec![page("A"), gone(), page("A"), gone()]);
    let outcome = everything::<D>(&wire, 3);
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })) && wire.requests().len() == 4, "{outcome:?}");
}

pub(crate) fn one_connection_serves_many_pages<D: Driver>() {
    let wire = Wire::start(vec![
        ok("{\"deleted\":1,\"cursor\":\"a\"}"),
        ok("{\"deleted\":1,\"cursor\":\"b\"}"),
        ok("{\"deleted\":1}"),
        ok("{\"deleted\":0}"),
    ]);
    assert_eq!(everything::<D>(&wire, 1).totals.affected, 3);
    assert_eq!((wire.requests().len(), wire.connections()), (4, 1));
}

macro_rules! suite {
    ($driver:ty: $($test:ident)*) => {
        $(#[test] fn $test() { crate::suite::$test::<$driver>(); })*
    };
    ($driver:ty) => {
        suite!($driver:
            golden_wire_bytes golden_wire_bytes_of_every_operation_on_one_run golden_wire_bytes_of_resume_and_restart
            nothing_that_starts_runs_is_repeated_by_itself the_longest_request_is_sent_whole
            cursors_base_paths_and_listing_on_the_wire the_token_in_the_query_when_asked_for
            a_redirect_is_an_error_and_not_followed a_no_is_final_and_keeps_its_words
            unreadable_responses_are_requested_again_and_given_up an_endless_body_is_bounded silence_ends_in_time
            only_what_was_surely_not_sent_is_called_so cursors_that_lead_nowhere_end one_connection_serves_many_pages
            against_the_emulator_whatever_goes_wrong many_lanes_delete_everything_once
            many_lanes_count_and_start_each_run_once a_page_after_a_cursor_lists_on each_phase_and_its_delivery
            a_body_may_be_as_large_as_the_bound_and_no_larger a_length_beyond_the_bound_ends_the_request_at_once
            one_message_may_be_larger_than_a_page lanes_share_a_budget_and_all_come_to_their_end
            a_change_is_never_kept_waiting a_head_of_sixty_kilobytes_is_taken for_ever_is_a_timeout_too no_token_is_shown a_proxy_is_never_used_to_this_machine
            a_proxy_that_cannot_be_used_is_refused a_connection_that_stands_can_be_refused_and_proves_nothing
            a_response_that_comes_twice_answers_one_request);
    };
}
