//! Every operation and each refusal, through the model.

use http::{Method, Request, Response};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Run, Service, StartedBy, Wire, load, sample};

const NOW: i64 = 1_764_000_000_000;

fn service(config: Config) -> Service {
    let mut service = Service::new(config);
    sample::runs(120, 3, NOW).into_iter().for_each(|run| service.insert(run));
    service
}

fn ask(service: &mut Service, method: Method, target: &str, headers: &[(&str, &str)]) -> Response<Vec<u8>> {
    let mut request =
        Request::builder().method(method).uri(target).header("authorization", format!("Bearer {LOCAL_TOKEN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    service.handle(NOW, request.body(Vec::new()).unwrap())
}

fn post(service: &mut Service, target: &str) -> Response<Vec<u8>> {
    ask(service, Method::POST, &format!("/v2/workflows/dlq/{target}"), &[])
}

fn json(response: &Response<Vec<u8>>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn first(service: &Service) -> Run {
    service.runs().next().unwrap().clone()
}

#[test]
fn one_run_is_shown_and_deleted() {
    let mut service = service(Config::default());
    let id = first(&service).dlq_id;
    let target = format!("/v2/workflows/dlq/{id}");
    assert_eq!(json(&ask(&mut service, Method::GET, &target, &[]))["dlqId"], id.as_str());
    let deleted = ask(&mut service, Method::DELETE, &target, &[]);
    assert_eq!((deleted.status().as_u16(), deleted.body().len(), service.len()), (200, 0, 119));
    for method in [Method::GET, Method::DELETE] {
        let gone = ask(&mut service, method, &target, &[]);
        assert!(gone.status() == 404 && json(&gone)["error"].is_string());
    }
}

#[test]
fn a_page_is_started_and_leaves() {
    for (started_by, name) in [(StartedBy::Resume, "resume"), (StartedBy::Restart, "restart")] {
        let mut service = service(Config::default());
        let mut started = 0;
        let mut query = String::new();
        loop {
            let page = json(&post(&mut service, &format!("{name}?count=50{query}")));
            started += page["workflowRuns"].as_array().unwrap().len();
            match page["cursor"].as_str().unwrap() {
                "" => break,
                cursor => query = format!("&cursor={cursor}"),
            }
        }
        assert_eq!((started, service.len(), service.started().count()), (120, 0, 120));
        assert!(service.started().all(|run| run.started_by == started_by && run.workflow_created_at == NOW));
        let ids: std::collections::BTreeSet<&str> = service.started().map(|run| run.workflow_run_id.as_str()).collect();
        assert_eq!((ids.len(), service.deleted_total()), (120, 0));
    }
    let mut stays = service(Config::default().started_runs_stay(true));
    let id = first(&stays).dlq_id;
    for _ in 0..2 {
        assert_eq!(post(&mut stays, &format!("resume/{id}")).status(), 200);
    }
    assert_eq!((stays.len(), stays.started().filter(|run| run.dlq_id == id).count()), (120, 2));
}

#[test]
fn starting_by_ids_is_all_or_nothing() {
    let mut service = service(Config::default());
    let ids: Vec<String> = service.runs().take(51).map(|run| format!("dlqIds={}", run.dlq_id)).collect();
    for (target, status) in [
        (format!("resume?{}&dlqIds=nobody", ids[0]), 404),
        (format!("resume?{}", ids.join("&")), 400),
        ("restart?count=51".into(), 400),
        ("restart?unknown=1".into(), 400),
        ("restart/nobody".into(), 404),
    ] {
        assert_eq!(post(&mut service, &target).status(), status, "{target}");
        assert_eq!((service.len(), service.started().count()), (120, 0));
    }
    assert_eq!(post(&mut service, &format!("restart?{}", ids[..50].join("&"))).status(), 200);
    assert_eq!(service.started().count(), 50);
}

#[test]
fn overrides_are_kept_and_bad_ones_refused() {
    let mut service = service(Config::default());
    let id = first(&service).dlq_id;
    let target = format!("/v2/workflows/dlq/restart/{id}");
    assert_eq!(ask(&mut service, Method::POST, &target, &[("Upstash-Delay", "soon")]).status(), 400);
    let headers = [("Upstash-Retries", "2"), ("Upstash-Label", "a,b"), ("x-other", "1")];
    assert_eq!(ask(&mut service, Method::POST, &target, &headers).status(), 200);
    let overrides = &service.started().next().unwrap().overrides;
    assert_eq!((overrides.len(), overrides["upstash-label"].as_str()), (2, "a,b"));
}

#[test]
fn a_failure_callback_goes_through_its_states() {
    let mut service = service(Config::default());
    let with = |service: &Service, state: Option<&str>| {
        service.runs().find(|run| run.failure_function_state.as_deref() == state).unwrap().dlq_id.clone()
    };
    let failed = with(&service, Some("CALLBACK_FAIL"));
    let target = format!("/v2/workflows/dlq/callback/{failed}");
    assert_eq!(ask(&mut service, Method::DELETE, &target, &[]).status(), 400);
    let retried = json(&ask(&mut service, Method::POST, &target, &[]));
    let run = service.runs().find(|run| run.dlq_id == failed).unwrap();
    assert_eq!(retried["workflowRunId"], run.workflow_run_id.as_str());
    assert_eq!(run.failure_function_state.as_deref(), Some("CALLBACK_INPROGRESS"));
    assert_eq!(run.failure_callback_info.as_ref().unwrap().state, "CALLBACK_INPROGRESS");
    assert_eq!(ask(&mut service, Method::POST, &target, &[]).status(), 400);
    let canceled = ask(&mut service, Method::DELETE, &target, &[]);
    assert_eq!((canceled.status().as_u16(), canceled.body().len()), (302, 0));
    assert_eq!(
        service.runs().find(|run| run.dlq_id == failed).unwrap().failure_function_state.as_deref(),
        Some("CALLBACK_CANCELED")
    );
    for state in [None, Some("CALLBACK_SUCCESS")] {
        let target = format!("callback/{}", with(&service, state));
        assert_eq!(post(&mut service, &target).status(), 400);
    }
    assert_eq!(post(&mut service, "callback/nobody").status(), 404);
}

#[test]
fn wrong_methods_and_paths() {
    let mut service = service(Config::default());
    let id = first(&service).dlq_id;
    for (method, target, status) in [
        (Method::PUT, format!("/v2/workflows/dlq/{id}"), 405),
        (Method::GET, "/v2/workflows/dlq/callback/x".into(), 405),
        (Method::DELETE, "/v2/dlq?source=workflow".into(), 405),
        (Method::DELETE, "/v2/workflows/dlq/".into(), 404),
        (Method::DELETE, "/v2/workflows/dlq/%2e".into(), 404),
        (Method::GET, "/v2/dlq".into(), 400),
        (Method::GET, "/v2/workflows/dlq?dlqIds=x".into(), 400),
    ] {
        assert_eq!(ask(&mut service, method.clone(), &target, &[]).status(), status, "{method} {target}");
    }
    assert_eq!(service.len(), 120);
}

#[test]
fn the_list_of_the_official_client_knows_more_filters() {
    let mut service = service(Config::default());
    let run = first(&service);
    let url = form_urlencoded::byte_serialize(run.url.as_bytes()).collect::<String>();
    let target = format!("/v2/dlq?source=workflow&count=100&url={url}&responseStatus={}", run.response_status);
    let listed = json(&ask(&mut service, Method::GET, &target, &[]));
    let expected = service.runs().filter(|r| r.url == run.url && r.response_status == run.response_status).count();
    assert_eq!(listed["messages"].as_array().unwrap().len(), expected);
}

#[test]
fn a_request_whose_response_is_lost_has_started_its_runs() {
    let mut service = service(Config::default());
    let plan = vec![Some(Fault::LostResponse), Some(Fault::LostRequest), Some(Fault::FreshCursor)];
    service.set_faults(FaultPlan::script(plan));
    let lost = post(&mut service, "resume?count=10");
    assert_eq!(lost.extensions().get(), Some(&Wire::CloseBeforeResponse { applied: true }));
    post(&mut service, "resume?count=10");
    assert_eq!(service.started().count(), 10);
    assert_eq!(json(&post(&mut service, "resume"))["workflowRuns"], serde_json::json!([]));
}

#[test]
fn what_was_archived_can_be_loaded_and_is_served_as_it_was() {
    let lines = [
        r#"{"dlqId":"a","createdAt":5,"labels":["x"],"new":{"n":1.0000000000000000001,"b":1e999}}"#,
        r#"{"dlqId":"b","createdAt":"soon","label":"old","labels":7,"header":[]}"#,
        r#"{"dlqId":"a","createdAt":6,"failureCallback":"https://x","failureFunctionState":"CALLBACK_FAIL","big":9007199254740993}"#,
    ];
    let mut service = Service::new(Config::default());
    let file = format!("{}\n\n{}\r\n{}", lines[0], lines[1], lines[2]);
    load(file.as_bytes()).unwrap().into_iter().for_each(|run| service.insert(run));
    let list = ask(&mut service, Method::GET, "/v2/workflows/dlq", &[]);
    let body = String::from_utf8(list.into_body()).unwrap();
    assert_eq!(body, format!("{{\"messages\":[{},{}],\"cursor\":\"\"}}", lines[1], lines[2]));
    let by_label = json(&ask(&mut service, Method::GET, "/v2/workflows/dlq?label=old", &[]));
    assert_eq!(by_label["messages"][0]["dlqId"], "b");
    assert_eq!(post(&mut service, "callback/a").status(), 200);
    let shown = json(&ask(&mut service, Method::GET, "/v2/workflows/dlq/a", &[]));
    assert_eq!(
        (shown["failureFunctionState"].as_str(), shown["big"].as_i64()),
        (Some("CALLBACK_INPROGRESS"), Some(9_007_199_254_740_993))
    );
    // What cannot be read as a number, or not without loss, stays as it stands.
    let sent = r#"{"big":1e999,"dlqId":"c","failureCallbackInfo":{"n":1.00,"state":"CALLBACK_INPROGRESS"},"failureFunctionState":"CALLBACK_INPROGRESS"}"#;
    service.extend(load(sent.as_bytes()).unwrap());
    assert_eq!(ask(&mut service, Method::DELETE, "/v2/workflows/dlq/callback/c", &[]).status(), 302);
    let shown = ask(&mut service, Method::GET, "/v2/workflows/dlq/c", &[]).into_body();
    assert_eq!(String::from_utf8(shown).unwrap(), sent.replace("CALLBACK_INPROGRESS", "CALLBACK_CANCELED"));
    for (file, line) in [("[]", 1), ("{\"dlqId\":\"a\"}\n{}", 2), ("\n\n{\"dlqId\":", 3), ("{\"dlqId\":7}", 1)] {
        let error = load(file.as_bytes()).unwrap_err();
        assert!(error.line == line && error.to_string().starts_with(&format!("line {line}: ")), "{file}: {error}");
    }
    assert!(load(&b"\xff"[..]).is_err());
}
