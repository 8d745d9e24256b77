//! The model keeps the contract's rules, its traps included.

use http::{Method, Request, Response, StatusCode};
use std::io::{Read, Write};
use upstash_dlq_emulator::{
    Config, CursorKind, Fault, FaultPlan, Ignored, LOCAL_TOKEN, PROFILES, RateLimit, Run, Server, ServerOptions,
    Service, Wire, sample,
};

const NOW: i64 = 1_764_000_000_000;

fn service(config: Config) -> Service {
    let mut service = Service::new(config);
    for n in 0..10_i64 {
        service.insert(
            Run::default()
                .dlq_id(format!("id-{n}"))
                .workflow_run_id(format!("wfr_{}", n / 5))
                .workflow_url(if n < 3 { "https://a" } else { "https://b" })
                .created_at(n)
                .workflow_created_at(10 * n)
                .labels(vec![if n % 2 == 0 { "even" } else { "odd" }.into()]),
        );
    }
    service
}

fn ask(service: &mut Service, method: Method, target: &str) -> Response<Vec<u8>> {
    let request =
        Request::builder().method(method).uri(target).header("authorization", format!("Bearer {LOCAL_TOKEN}"));
    service.handle(NOW, request.body(Vec::new()).unwrap())
}

fn delete(service: &mut Service, query: &str) -> (u16, serde_json::Value) {
    let response = ask(service, Method::DELETE, &format!("/v2/workflows/dlq{query}"));
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

fn deleted(query: &str) -> u64 {
    let mut service = service(Config::default());
    let (status, response) = delete(&mut service, query);
    assert_eq!(status, 200, "{query}: {response}");
    assert_eq!(response["deleted"].as_u64(), Some(service.deleted_total()));
    service.deleted_total()
}

#[test]
fn filters_are_ored_within_a_name_and_anded_between_names() {
    for (query, count) in [
        ("?label=even", 5),
        ("?label=even&label=odd", 10),
        ("?label=even%2Codd", 10),
        ("?label=even&workflowUrl=https%3A%2F%2Fa", 2),
        ("?fromDate=2&toDate=4", 3),
        ("?workflowCreatedAt=30", 1),
        ("?workflowRunId=wfr_1", 5),
        ("?workflowRunId=wfr_", 10),
        ("?label=nobody", 0),
        ("?dlqIds=id-1&dlqIds=id-2,id-3&dlqIds=absent", 3),
        ("?dlqIds=id-1&label=even", 1),
        ("?label=", 10),
        ("?dlqIds=", 10),
        ("", 10),
        ("?count=3", 3),
    ] {
        assert_eq!(deleted(query), count, "{query}");
    }
}

#[test]
fn what_is_refused() {
    let mut service = service(Config::default());
    for query in ["?all=true", "?count=0", "?count=x", "?fromDate=x", "?cursor=zzz", "?source=workflow"] {
        let (status, response) = delete(&mut service, query);
        assert!(status == 400 && response["error"].is_string(), "{query}");
    }
    assert_eq!(ask(&mut service, Method::GET, "/v2/workflows/dlq?count=101").status(), 400);
    assert_eq!(ask(&mut service, Method::PUT, "/v2/workflows/dlq").status(), 405);
    assert_eq!(ask(&mut service, Method::GET, "/v2/else").status(), 404);
    let stranger = Request::delete("/v2/workflows/dlq").body(Vec::new()).unwrap();
    assert_eq!(service.handle(NOW, stranger).status(), 401);
    let in_query = Request::get(format!("/v2/dlq?source=workflow&qstash_token={}", LOCAL_TOKEN.replace('=', "%3D")));
    assert_eq!(service.handle(NOW, in_query.body(Vec::new()).unwrap()).status(), 200);
    let twice =
        Request::get(format!("/v2/dlq?qstash_token=x&qstash%5Ftoken={LOCAL_TOKEN}&source=workflow&qstash_token"));
    service.handle(NOW, twice.body(Vec::new()).unwrap());
    assert!(!format!("{:?}", service.log().collect::<Vec<_>>()).contains(LOCAL_TOKEN.trim_end_matches('=')));
    assert_eq!(
        service.log().last().unwrap().target,
        "/v2/dlq?qstash_token=…&qstash_token=…&source=workflow&qstash_token=…"
    );
    assert_eq!(service.len(), 10);
}

#[test]
fn a_key_cursor_meets_every_run_and_an_offset_cursor_skips_some() {
    for (cursors, left) in [(CursorKind::Key, 0), (CursorKind::Offset, 4)] {
        let mut service = service(Config::default().cursors(cursors));
        let mut query = "?count=3".to_owned();
        while let Some(cursor) = delete(&mut service, &query).1["cursor"].as_str() {
            query = format!("?count=3&cursor={}", cursor.replace('~', "%7E"));
        }
        assert_eq!(service.len(), left, "{cursors:?}");
    }
}

#[test]
fn listing_takes_nothing_and_ends_with_an_empty_cursor() {
    let mut service = service(Config::default());
    let response = ask(&mut service, Method::GET, "/v2/workflows/dlq?label=odd");
    let page: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((page["messages"].as_array().unwrap().len(), page["cursor"].as_str(), service.len()), (5, Some(""), 10));
}

#[test]
fn limits_say_when_they_end() {
    let mut service = service(Config::default().rate_limit(Some(RateLimit::per_second(2))));
    let statuses: Vec<u16> =
        (0..3).map(|_| ask(&mut service, Method::GET, "/v2/workflows/dlq").status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let response = ask(&mut service, Method::GET, "/v2/workflows/dlq");
    assert_eq!(response.headers()["burst-ratelimit-reset"], "1764000001");
    assert_eq!(
        (&response.headers()["retry-after"], &response.headers()["date"]),
        (&"1".parse().unwrap(), &"Mon, 24 Nov 2025 16:00:00 GMT".parse().unwrap())
    );
}

#[test]
fn a_cursor_is_refused_where_there_is_one() {
    for (query, status) in [("", StatusCode::OK), ("?cursor=x", StatusCode::GONE)] {
        let mut service = service(Config::default().faults(FaultPlan::script(vec![Some(Fault::RefuseCursor)])));
        let response = ask(&mut service, Method::DELETE, &format!("/v2/workflows/dlq{query}"));
        assert_eq!((response.status(), service.is_empty()), (status, query.is_empty()));
    }
}

#[test]
fn faults_apply_what_they_say() {
    let applied = [
        (Fault::LostRequest, false),
        (Fault::LostResponse, true),
        (Fault::ServerError(500), false),
        (Fault::AppliedServerError, true),
        (Fault::CutBody, true),
        (Fault::Html, true),
        (Fault::HtmlGateway, false),
        (Fault::NoDeleted, true),
        (Fault::NegativeDeleted, true),
        (Fault::RepeatCursor, false),
        (Fault::FreshCursor, false),
        (Fault::EndlessBody, false),
        (Fault::Redirect, false),
        (Fault::Silent, false),
        (Fault::TooManyRequests { retry_after_s: None }, false),
        (Fault::Slow { ms: 1 }, true),
        (Fault::RefuseCursor, true),
    ];
    for (fault, applied) in applied {
        let mut service = service(Config::default().faults(FaultPlan::script(vec![Some(fault)])));
        let response = ask(&mut service, Method::DELETE, "/v2/workflows/dlq");
        assert_eq!(service.is_empty(), applied, "{fault:?}");
        if let Some(Wire::CloseBeforeResponse { applied: said }) = response.extensions().get() {
            assert_eq!(*said, applied);
        }
    }
}

#[test]
fn samples_look_like_the_real_thing_and_are_the_same_each_time() {
    let runs = sample::runs(2_000, 5, NOW);
    assert_eq!(runs, sample::runs(2_000, 5, NOW));
    let with = |test: &dyn Fn(&Run) -> bool| runs.iter().filter(|run| test(run)).count();
    for state in ["CALLBACK_INPROGRESS", "CALLBACK_SUCCESS", "CALLBACK_FAIL", "CALLBACK_CANCELED"] {
        assert!(with(&|run| run.failure_function_state.as_deref() == Some(state)) > 100);
    }
    assert!(with(&|run| run.labels.is_empty()) > 100 && with(&|run| run.labels.len() > 1) > 100);
    assert!(with(&|run| run.labels.iter().any(|label| label.contains('\u{1b}'))) > 50);
    assert!(with(&|run| run.created_at <= NOW && run.created_at > NOW - 31 * 86_400_000) == 2_000);
}

#[test]
fn the_server_loses_a_response_on_request() {
    let faults = FaultPlan::script(vec![Some(Fault::LostResponse)]);
    let server = Server::start(service(Config::default().faults(faults)), ServerOptions::default()).unwrap();
    let request =
        format!("DELETE /v2/workflows/dlq HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {LOCAL_TOKEN}\r\n\r\n");
    let mut response = String::new();
    let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!((response.as_str(), server.with_service(|s| s.len())), ("", 0));
}

#[test]
fn parts_of_the_query_are_passed_over_for_one_method() {
    let ignored = vec![Ignored::new(Some(Method::GET), "label"), Ignored::new(None, "toDate")];
    let mut service = service(Config::default().ignored(ignored));
    let listed = ask(&mut service, Method::GET, "/v2/workflows/dlq?count=100&label=nobody&toDate=1");
    assert_eq!(json(&listed)["messages"].as_array().unwrap().len(), 10);
    let deleted = ask(&mut service, Method::DELETE, "/v2/workflows/dlq?count=100&label=nobody&toDate=1");
    assert_eq!(json(&deleted)["deleted"], 0);
}

#[test]
fn a_bound_cursor_is_good_for_its_own_query_alone() {
    let mut service = service(Config::default().bound_cursors(true));
    let page = ask(&mut service, Method::GET, "/v2/workflows/dlq?count=4");
    let cursor = json(&page)["cursor"].as_str().unwrap().to_owned();
    for (method, query, status) in
        [(Method::GET, "count=5&", 200), (Method::GET, "count=10&fromDate=1&", 400), (Method::DELETE, "count=10&", 400)]
    {
        let response = ask(&mut service, method.clone(), &format!("/v2/workflows/dlq?{query}cursor={cursor}"));
        assert_eq!(response.status(), status, "{method} {query}");
    }
}

#[test]
fn a_listing_lags_behind_a_deletion() {
    let mut service = service(Config::default().listing_lag(1));
    ask(&mut service, Method::DELETE, "/v2/workflows/dlq?count=2");
    for listed in [10, 8] {
        let page = ask(&mut service, Method::GET, "/v2/workflows/dlq?count=10");
        assert_eq!(json(&page)["messages"].as_array().unwrap().len(), listed);
    }
}

fn json(response: &Response<Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// What a listing of messages may be asked for is unknown to a delete.
#[test]
fn a_name_of_another_operation_is_refused() {
    for query in ["?responseStatus=500", "?url=https%3A%2F%2Fa", "?source=workflow", "?labels=even"] {
        let mut service = service(Config::default());
        assert_eq!((delete(&mut service, query).0, service.deleted_total()), (400, 0), "{query}");
    }
}

/// One seed gives the same samples everywhere, so that what was measured can be measured again. Whoever changes them on purpose
/// changes this number.
#[test]
fn a_seed_gives_the_same_samples_everywhere() {
    let text: String = sample::runs(400, 7, NOW).iter().map(Run::to_json).collect();
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    assert_eq!(format!("{hash:016x}"), "359548a554a48a70");
}

#[test]
fn every_profile_has_a_plan() {
    for name in PROFILES {
        assert!(FaultPlan::profile(name, 1).is_some(), "{name}");
    }
    assert!(FaultPlan::profile("unheard-of", 1).is_none());
    assert_eq!(Run::default().with_body_len(300).body.len(), 300);
}
