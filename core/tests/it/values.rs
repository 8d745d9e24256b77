//! Values that callers give: which are refused, and how an error says so.

use crate::world::endpoint;
use http::Response;
use std::error::Error;
use upstash_dlq_core::client::transport::into_origin_form;
use upstash_dlq_core::model::{Cursor, EndpointError, FailureFunctionState, FieldError, Period};
use upstash_dlq_core::selection::{Ids, Match, Refined, Refinement, Shard};
use upstash_dlq_core::wire::{BulkOperation, BulkPage, Call, Delete, List, Overrides, Restart, RestartOne, Resume};
use upstash_dlq_core::{DlqId, DlqMessage, Endpoint, Filter, Selection, Token, UnixMillis};

#[test]
fn an_error_of_the_endpoint_names_what_is_wrong_and_shows_no_token() {
    let of_url = |url: &str| Endpoint::new(url, Token::new("s3cret").unwrap()).unwrap_err();
    let in_query = |token: String| Endpoint::builder().token_in_query().build("https://h", Token::new(token).unwrap());
    let errors: [(EndpointError, &str, &str); 9] = [
        (of_url("h"), "url", "is not a URL: give one such as https://qstash.upstash.io"),
        (of_url("https://"), "url", "has no host: give one such as https://qstash.upstash.io"),
        (of_url("https://[::1::]"), "url", "has an IPv6 address that cannot be read"),
        (of_url("https://0x7f.0x1"), "url", "has a host that ends in a number: write an IPv4 address"),
        (of_url(&format!("https://h/{}", "a".repeat(2_000))), "url", "is longer than 2,000 bytes"),
        (of_url("http://h"), "url", "is http to another machine, which would send the token in the clear: use https"),
        (Token::new("").unwrap_err(), "token", "is empty: give the token that the Upstash console shows"),
        (Token::new("s3cret".repeat(400)).unwrap_err(), "token", "is longer than 2,000 bytes: copy it again, alone"),
        (in_query("s3cret%".repeat(280)).unwrap_err(), "token", "is too long for a query parameter: send it in"),
    ];
    for (error, field, problem) in errors {
        assert_eq!(error.field(), field);
        assert!(error.problem().starts_with(problem), "{error}");
        assert_eq!(error.to_string(), format!("{field}: {}", error.problem()));
        assert!(!format!("{error:?} {error}").contains("s3cret"));
    }
    // As long as they may be.
    assert!(in_query("a".repeat(2_000)).is_ok());
    assert_eq!(format!("{:?}", Token::new("s3cret").unwrap()), "Token(…)");
}

#[test]
fn an_error_of_a_field_says_which_value_and_why() {
    let told = |error: &FieldError| {
        assert!(error.source().is_none());
        (error.field(), error.value().map(str::to_owned), error.to_string())
    };
    let error = DlqId::new("a,\u{1b}[2J").unwrap_err();
    let (field, value, sentence) = told(&error);
    assert_eq!((field, value.as_deref()), ("dlqIds", Some("a,\u{1b}[2J")));
    assert_eq!(sentence, format!("dlqIds: \"a,\\u{{1b}}[2J\" {}", error.problem()), "it must not steer a terminal");
    let error = Ids::new(Vec::new()).unwrap_err();
    let (field, value, sentence) = told(&error);
    assert_eq!((field, value), ("dlqIds", None));
    assert_eq!(sentence, format!("dlqIds: {}", error.problem()));
}

#[test]
fn a_period_is_a_whole_number_of_a_unit() {
    let period = Period::from_secs(90).unwrap();
    assert_eq!((period.as_str(), period.to_string().as_str()), ("90s", "90s"));
    for unit in ["s", "m", "h", "d"] {
        assert_eq!(format!("4294967295{unit}").parse::<Period>().unwrap().as_str(), format!("4294967295{unit}"));
    }
    assert!(Period::from_secs(0).unwrap_err().to_string().starts_with("period: \"0s\" is not a span of time"));
    for text in ["", "s", "10", "10w", "-1s", "+1s", "1 s", "4294967296s", "1ms"] {
        assert_eq!(text.parse::<Period>().unwrap_err().value(), Some(text));
    }
}

#[test]
fn a_state_of_the_callback_is_what_the_wire_says() {
    for name in ["CALLBACK_INPROGRESS", "CALLBACK_SUCCESS", "CALLBACK_FAIL", "CALLBACK_CANCELED", "CALLBACK_NEW"] {
        let state = FailureFunctionState::from(name);
        assert_eq!((state.to_string().as_str(), state.as_str()), (name, name));
        assert_eq!(matches!(state, FailureFunctionState::Other(_)), name == "CALLBACK_NEW");
    }
}

fn message(id: &str) -> DlqMessage {
    DlqMessage::parse(&format!(r#"{{"dlqId":"{id}","createdAt":1764000000000}}"#)).unwrap()
}

#[test]
fn ids_select_the_runs_with_these_ids() {
    let ids = Selection::Ids(Ids::parse(["a", "b"]).unwrap());
    assert_eq!(ids.matches(&message("b")), Match::Yes);
    assert_eq!(ids.matches(&message("c")), Match::No("dlqIds"));
    assert_eq!(ids.matches(&DlqMessage::parse("{}").unwrap()), Match::No("dlqIds"), "it has no id");
    assert_eq!(Selection::Everything.matches(&message("c")), Match::Yes);
}

/// The service knows nothing of a refinement, so a listing may show what is not selected.
#[test]
fn a_refinement_leaves_out_what_its_filter_lists() {
    let run = |label: &str, status: u16| {
        let json = format!(r#"{{"dlqId":"a","labels":["{label}"],"responseStatus":{status}}}"#);
        DlqMessage::parse(&json).unwrap()
    };
    let nightly = Filter::builder().label("nightly").build().unwrap();
    let refined = |filter| Selection::Refined(Refined::new(filter, Refinement::builder().status(502).build().unwrap()));
    let (beside, alone) = (refined(Some(nightly)), refined(None));
    for (run, as_listed, of_both, of_one) in [
        (run("nightly", 502), Match::Yes, Match::Yes, Match::Yes),
        (run("nightly", 500), Match::Yes, Match::No("refinement"), Match::No("refinement")),
        (run("weekly", 502), Match::No("label"), Match::No("label"), Match::Yes),
        (run("weekly", 500), Match::No("label"), Match::No("label"), Match::No("refinement")),
    ] {
        assert_eq!((beside.matches_as_listed(&run), beside.matches(&run)), (as_listed, of_both), "{run:?}");
        assert_eq!((alone.matches_as_listed(&run), alone.matches(&run)), (Match::Yes, of_one), "{run:?}");
    }
}

#[test]
fn an_upper_end_is_given_once() {
    let at = UnixMillis::new;
    let filter = || Filter::builder().label("x");
    let until = |selection: Selection| selection.until(at(2_000_000_000_000));
    let ends = |selection: Selection| until(selection).unwrap().filter().and_then(Filter::to).map(UnixMillis::get);
    let refined = |filter| Refined::new(filter, Refinement::builder().status(502).build().unwrap());
    for (filter, end) in [(None, 2_000_000_000_000), (Some(filter().to(at(7)).build().unwrap()), 7)] {
        let ended = until(Selection::Refined(refined(filter.clone()))).unwrap();
        assert_eq!(ended.filter().and_then(Filter::to).map(UnixMillis::get), Some(end));
        assert_eq!(ended.refinement(), Some(refined(None).refinement()), "a refinement is not lost on the way");
    }
    assert_eq!(ends(Selection::Everything), Some(2_000_000_000_000));
    assert_eq!(ends(Selection::Filter(filter().build().unwrap())), Some(2_000_000_000_000));
    assert_eq!(ends(Selection::Filter(filter().to(at(7)).build().unwrap())), Some(7), "it has one already");
    let ids = Selection::Ids(Ids::parse(["a"]).unwrap());
    assert_eq!(until(ids.clone()).unwrap(), ids);
    let late = Selection::Filter(filter().from(at(2_000_000_000_001)).build().unwrap());
    assert_eq!(until(late).unwrap_err().field(), "fromDate");
}

/// A body comes as text, with JSON's escapes or without, or as Base64. What is neither is no body.
#[test]
fn a_body_is_its_bytes() {
    let body = |json: &str| DlqMessage::parse(json).unwrap().body().map(|body| body.into_owned());
    assert_eq!(body(r#"{"body":"plain"}"#).as_deref(), Some(b"plain" as &[u8]));
    assert_eq!(body(r#"{"body":"a\n\u00e4"}"#).as_deref(), Some("a\nä".as_bytes()));
    assert_eq!(body(r#"{"bodyBase64":"/wD+"}"#).as_deref(), Some(b"\xff\0\xfe" as &[u8]));
    assert_eq!(body(r#"{"body":"","bodyBase64":"YQ=="}"#).as_deref(), Some(b"a" as &[u8]));
    for json in ["{}", r#"{"body":7}"#, r#"{"bodyBase64":7}"#, r#"{"bodyBase64":"*"}"#] {
        assert_eq!(body(json), None, "{json}");
    }
}

/// What is shown of a run and of its callback is short, and holds none of its data.
#[test]
fn a_message_shows_none_of_its_data() {
    let json =
        r#"{"dlqId":"a","body":"s3cret","failureCallbackInfo":{"state":"CALLBACK_FAIL","responseBody":"s3cret"}}"#;
    let message = DlqMessage::parse(json).unwrap();
    let info = message.failure_callback_info().unwrap();
    let shown = format!("{message:?}");
    assert!(shown.contains("DlqMessage") && shown.contains("\"a\"") && !shown.contains("s3cret"), "{shown}");
    let shown = format!("{info:?}");
    assert!(shown.contains("FailureCallbackInfo") && shown.contains("Fail") && !shown.contains("s3cret"), "{shown}");
    assert_eq!(info.state(), Some(FailureFunctionState::Fail));
    assert!(endpoint().base_url().starts_with("http"), "and an endpoint has no secret in its address");
    let shown = format!("{:?}", Endpoint::new("https://h/p", Token::new("s3cret").unwrap()).unwrap());
    assert!(shown.contains("Endpoint") && shown.contains("https://h/p") && !shown.contains("s3cret"), "{shown}");
}

/// With a name that nobody can read, the fields may not be what their names say.
#[test]
fn an_object_with_an_unreadable_name_has_no_fields() {
    let object = r#"{"state":"NEW","dlqId":"x","responseStatus":500,"\ud800":1}"#;
    let message = DlqMessage::parse(object).unwrap();
    assert_eq!((message.dlq_id(), message.response_status(), message.get("dlqId")), (None, None, None));
    assert_eq!(message.as_json(), object, "the text stays");
    let message = DlqMessage::parse(&format!(r#"{{"failureCallbackInfo":{object}}}"#)).unwrap();
    let info = message.failure_callback_info().unwrap();
    assert_eq!((info.state(), info.response_status(), info.response_body()), (None, None, None));
}

#[test]
fn a_callback_may_lack_each_of_its_fields() {
    let other_types = r#"{"state":7,"responseStatus":"500","responseBody":[],"responseHeaders":["a"]}"#;
    for object in ["{}", other_types] {
        let message = DlqMessage::parse(&format!(r#"{{"failureCallbackInfo":{object}}}"#)).unwrap();
        let info = message.failure_callback_info().unwrap();
        assert_eq!((info.state(), info.response_status(), info.response_body()), (None, None, None), "{object}");
        assert!(info.response_headers().is_empty(), "{object}");
    }
    assert!(DlqMessage::parse(r#"{"failureCallbackInfo":["state"]}"#).unwrap().failure_callback_info().is_none());
}

/// What is no message says so, and does not steer a terminal.
#[test]
fn an_error_of_a_message_says_what_it_is_not() {
    let told = |json: &str| DlqMessage::parse(json).unwrap_err().to_string();
    assert_eq!(told("[]"), "not a message, which is one JSON object: another kind of JSON");
    assert!(told("{").starts_with("not a message, which is one JSON object: EOF while parsing"));
}

/// Any field can be read by the name that the API has for it.
#[test]
fn a_field_is_read_by_its_name() {
    let message = DlqMessage::parse(r#"{"dlqId":"a","new":{"n":[1,null]},"new":7,"odd":1e999}"#).unwrap();
    assert_eq!(message.get("dlqId"), Some("a".into()));
    assert_eq!(message.get("new"), Some(7.into()), "the last of two counts");
    assert_eq!((message.get("odd"), message.get("none")), (None, None));
}

/// What cannot be a cursor is refused where one is read.
#[test]
fn a_cursor_has_a_length() {
    let read = |text: &str| serde_json::from_value::<Cursor>(text.into()).map_err(|error| error.to_string());
    assert_eq!(read(&"c".repeat(Cursor::MAX_LEN)).unwrap().as_str().len(), 4_096);
    assert_eq!(read("").unwrap_err(), "the cursor is empty");
    assert_eq!(read(&"c".repeat(4_097)).unwrap_err(), "the cursor is longer than 4,096 bytes");
}

/// A transport goes around its proxy for these hosts, and for no others.
#[test]
fn a_loopback_host_is_known_as_one() {
    let is_loopback = |url: &str| Endpoint::new(url, Token::new("t").unwrap()).unwrap().is_loopback();
    for url in ["http://localhost", "http://127.0.0.1:8080", "https://127.8.9.1", "http://[::1]:9"] {
        assert!(is_loopback(url), "{url}");
    }
    for url in ["https://qstash.upstash.io", "https://localhost.example.com", "https://128.0.0.1", "https://[::2]"] {
        assert!(!is_loopback(url), "{url}");
    }
}

/// A request for a transport over a connection of its own: the path alone, and the host in its header.
#[test]
fn a_request_names_its_host_once() {
    let whole = http::Request::get("http://me.invalid:81/v2/dlq?count=1").body(()).unwrap();
    let request = into_origin_form(whole);
    assert_eq!(request.uri(), "/v2/dlq?count=1");
    assert_eq!(request.headers()["host"], "me.invalid:81");
    let own = http::Request::get("http://me.invalid/").header("host", "other.invalid").body(()).unwrap();
    let request = into_origin_form(own);
    assert_eq!(request.headers().get_all("host").iter().collect::<Vec<_>>(), ["other.invalid"]);
    // A proxy is asked for a connection by the authority alone.
    let request = into_origin_form(http::Request::connect("me.invalid:81").body(()).unwrap());
    assert_eq!(request.uri(), "me.invalid:81");
    assert_eq!(request.headers()["host"], "me.invalid:81");
    let relative = into_origin_form(http::Request::get("/x").body(()).unwrap());
    assert_eq!((relative.uri().path(), relative.headers().len()), ("/x", 0));
}

/// What was set can be read again, and is sent.
#[test]
fn what_was_set_is_read_again() {
    assert_eq!(List::everything().filter(), None);
    let filter = Filter::builder().label("x").build().unwrap();
    assert_eq!(List::matching(filter.clone()).filter(), Some(&filter));
    let overrides = Overrides::builder().retries(3).build().unwrap();
    assert!(Overrides::default().is_empty() && !overrides.is_empty());
    let restart = RestartOne::new(DlqId::new("a").unwrap(), overrides.clone());
    let request = restart.to_request(&endpoint()).unwrap();
    assert_eq!(overrides.pairs().count(), 1);
    for (name, value) in overrides.pairs() {
        assert_eq!(request.headers()[name], value);
    }
}

#[test]
fn a_shard_is_written_as_it_is_read() {
    assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
    for text in ["0/8", "9/8", "3", "3/", "/8", "a/8", "3/8/9", "-1/8"] {
        assert!(text.parse::<Shard>().unwrap_err().to_string().contains("is not one of N parts"), "{text}");
    }
}

/// Code over any bulk operation asks the page itself what was started.
#[test]
fn a_page_of_any_operation_says_what_was_started() {
    fn started<O: BulkOperation>(body: &str) -> Vec<String> {
        let page = O::parse(&Response::new(body)).unwrap();
        page.started().iter().map(|run| run.workflow_run_id.clone()).collect()
    }
    let body = r#"{"workflowRuns":[{"workflowRunId":"w1"},{"workflowRunId":"w2"}],"deleted":2}"#;
    assert_eq!(started::<Resume>(body), ["w1", "w2"]);
    assert_eq!(started::<Restart>(body), ["w1", "w2"]);
    assert!(started::<Delete>(body).is_empty());
}
