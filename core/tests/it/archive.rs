//! An archived delete trusts no listing: what it lists is checked against what was asked for.

use http::{Method, Response};
use proptest::prelude::*;
use serde_json::Value;
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::engine::InvalidState;
use upstash_dlq_core::operation::{ArchiveOutcome, BulkBuilder};
use upstash_dlq_core::selection::Match;
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{
    ArchivedDelete, BulkDelete, DlqMessage, Endpoint, Event, Filter, Halt, Operation, RetryPolicy, Selection, Step,
    Token, UnixMillis,
};
use upstash_dlq_emulator::{Config, Ignored, Service, sample};

use crate::cases::cases;
use crate::one_lane::{ArchiveStep, One, OneArchive, Respond};
use crate::world::scenario::{Target, scenario};

const NOW: i64 = 1_764_000_000_000;

fn endpoint() -> Endpoint {
    Endpoint::new("http://127.0.0.1:1", Token::new("token").unwrap()).unwrap()
}

fn labelled(label: &str) -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), Selection::Filter(Filter::builder().label(label).build().unwrap()))
}

/// To the end against the emulator's model; what was stored comes back, too.
fn run(mut archived: OneArchive, service: &mut Service) -> (ArchiveOutcome, Vec<String>) {
    let mut stored = Vec::new();
    for _ in 0..10_000 {
        match archived.poll() {
            ArchiveStep::Done(outcome) => return (outcome, stored),
            ArchiveStep::Wait => {}
            ArchiveStep::Store(messages) => {
                stored.extend(messages.iter().map(|message| message.dlq_id().unwrap().to_string()));
                archived.stored().unwrap();
            }
            ArchiveStep::Send(request) => {
                let mut arriving = http::Request::new(Vec::new());
                *arriving.method_mut() = request.method().clone();
                *arriving.uri_mut() = request.uri().clone();
                *arriving.headers_mut() = request.headers().clone();
                archived.on_response(&service.handle(NOW, arriving)).unwrap();
            }
        }
    }
    panic!("it does not end");
}

/// A server that passes over `label=` when it lists.
#[test]
fn a_run_that_does_not_match_is_left_alone() {
    let service = || {
        let ignored = vec![Ignored { method: Some(Method::GET), name: "label" }];
        let mut service = Service::new(Config { token: "token".into(), ignored, ..Config::default() });
        sample::runs(300, 9, NOW).into_iter().for_each(|run| service.insert(run));
        service
    };
    let mut world = service();
    let (outcome, stored) = run(labelled("nightly").build_archived().one(), &mut world);
    let Some(Halt::Mismatch { id, field: "label" }) = outcome.halted else { panic!("{:?}", outcome.halted) };
    assert!(world.runs().any(|run| run.dlq_id == id.as_str() && !run.labels.contains(&"nightly".to_owned())));
    assert_eq!((stored.len(), world.len(), outcome.totals.affected), (0, 300, 0));
    // Somebody who knows better may say so.
    let mut world = service();
    let (outcome, stored) = run(labelled("nightly").trust_server(true).build_archived().one(), &mut world);
    assert!(outcome.halted.is_none() && outcome.verified && stored.len() == 300 && world.is_empty(), "{outcome:?}");
}

/// What cannot be checked against the filter is taken, and counted.
#[test]
fn fields_that_a_message_lacks_are_counted() {
    let filter = Filter::builder().flow_control_key("k").build().unwrap();
    let mut archived = BulkDelete::builder(endpoint(), Selection::Filter(filter)).build_archived().one();
    let ArchiveStep::Send(_) = archived.poll() else { panic!() };
    let page = r#"{"messages":[{"dlqId":"a","flowControlKey":"k"},{"dlqId":"b"}]}"#;
    archived.on_response(&Response::new(page)).unwrap();
    let ArchiveStep::Store(messages) = archived.poll() else { panic!() };
    assert_eq!(messages.len(), 2);
    assert_eq!(archived.outcome_so_far().unchecked, 1);
}

/// A listing may show runs for a while after they were deleted: it is looked at again, within the attempts.
#[test]
fn a_listing_that_lags_is_looked_at_again() {
    let attempts = |n| RetryPolicy { max_attempts: NonZeroU32::new(n).unwrap(), ..RetryPolicy::default() };
    for (lag, tries, ends) in [(0, 2, true), (1, 2, true), (3, 4, true), (4, 4, false), (9, 9, false)] {
        let mut service = Service::new(Config { token: "token".into(), listing_lag: lag, ..Config::default() });
        sample::runs(70, 9, NOW).into_iter().for_each(|run| service.insert(run));
        let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(attempts(tries), 1);
        let (outcome, stored) = run(delete.build_archived().one(), &mut service);
        assert_eq!(stored.len(), 70, "archived twice, or not");
        assert!(service.is_empty() && outcome.totals.affected == 70, "{outcome:?}");
        assert_eq!(outcome.halted, (!ends).then_some(Halt::StillListed), "a lag of {lag}, {tries} attempts");
        assert_eq!(outcome.verified, ends);
    }
}

#[test]
fn pages_of_deleted_runs_hide_none_that_is_new() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived().one();
    let mut asked = Vec::new();
    // Each listing, and what is stored of it.
    for (page, stored) in [
        (r#"{"messages":[{"dlqId":"a"},{"dlqId":"b"}],"cursor":"1"}"#, vec!["a", "b"]),
        (r#"{"messages":[{"dlqId":"a"},{"dlqId":"b"}],"cursor":"2"}"#, vec![]),
        (r#"{"messages":[{"dlqId":"b"},{"dlqId":"c"}]}"#, vec!["c"]),
    ] {
        let ArchiveStep::Send(request) = archived.poll() else { panic!() };
        asked.push(request.uri().query().unwrap().to_owned());
        archived.on_response(&Response::new(page)).unwrap();
        if stored.is_empty() {
            continue;
        }
        let ArchiveStep::Store(messages) = archived.poll() else { panic!() };
        let ids: Vec<String> = messages.iter().map(|message| message.dlq_id().unwrap().to_string()).collect();
        assert_eq!(ids, stored);
        archived.stored().unwrap();
        let ArchiveStep::Send(request) = archived.poll() else { panic!() };
        assert_eq!(request.method(), "DELETE");
        archived.on_response(&Response::new(r#"{"deleted":1}"#)).unwrap();
    }
    assert_eq!(asked, ["count=100", "count=100", "count=100&cursor=2"]);
}

#[test]
fn a_run_that_is_listed_twice_is_archived_once() {
    let mut archived =
        BulkDelete::builder(endpoint(), Selection::Everything).max(std::num::NonZeroU64::new(2)).build_archived().one();
    let ArchiveStep::Send(_) = archived.poll() else { panic!() };
    let page = r#"{"messages":[{"dlqId":"a"},{"dlqId":"a"},{"dlqId":"b"},{"dlqId":"c"}],"cursor":"c"}"#;
    archived.on_response(&Response::new(page)).unwrap();
    let ArchiveStep::Store(messages) = archived.poll() else { panic!() };
    let ids: Vec<String> = messages.iter().map(|message| message.dlq_id().unwrap().to_string()).collect();
    assert_eq!(ids, ["a", "b"]);
}

/// Always another run, and none is ever deleted.
#[test]
fn an_archive_ends_against_a_server_that_deletes_nothing() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived().one();
    let mut listed = 0;
    let outcome = loop {
        match archived.poll() {
            ArchiveStep::Done(outcome) => break outcome,
            ArchiveStep::Wait => {}
            ArchiveStep::Store(_) => archived.stored().unwrap(),
            ArchiveStep::Send(request) if request.method() == "GET" => {
                listed += 1;
                assert!(listed <= 1_000, "it does not end");
                archived.on_response(&Response::new(format!(r#"{{"messages":[{{"dlqId":"x{listed}"}}]}}"#))).unwrap();
            }
            ArchiveStep::Send(_) => archived.on_response(&Response::new(r#"{"deleted":0}"#)).unwrap(),
        }
    };
    assert_eq!(outcome.halted, Some(Halt::NoProgress));
}

/// Reads a message as naively as it can be read.
fn naive(target: &Target, message: &Value) -> Match {
    let Target::Filter(wanted) = target else { return Match::Yes };
    let mut unknown = None;
    let pairs = wanted.pairs();
    let values = |name: &str| pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    let times: Vec<i64> =
        ["createdAt", "workflowCreatedAt", "notBefore"].iter().filter_map(|name| message[*name].as_i64()).collect();
    let from = values("fromDate").first().map_or(i64::MIN, |from| from.parse().unwrap());
    let to = values("toDate").first().map_or(i64::MAX, |to| to.parse().unwrap());
    let dated = from > i64::MIN || to < i64::MAX;
    if dated && times.is_empty() {
        unknown = Some("a date");
    } else if dated && !times.iter().any(|time| (from..=to).contains(time)) {
        return Match::No("a date");
    }
    for (name, field) in [("label", "labels"), ("workflowUrl", "workflowUrl"), ("workflowRunId", "workflowRunId")] {
        let wanted = values(name);
        let has: Vec<&str> = match &message[field] {
            Value::Array(has) => has.iter().filter_map(Value::as_str).collect(),
            has => has.as_str().into_iter().collect(),
        };
        let same = |w: &str, h: &str| if name == "workflowRunId" { h.starts_with(w) } else { w == h };
        if !wanted.is_empty() && !wanted.iter().any(|w| has.iter().any(|h| same(w, h))) {
            return Match::No("a name");
        }
    }
    for (name, field) in [
        ("workflowCreatedAt", "workflowCreatedAt"),
        ("failureFunctionState", "failureFunctionState"),
        ("callerIp", "callerIP"),
        ("flowControlKey", "flowControlKey"),
    ] {
        let wanted = values(name);
        let has = match &message[field] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match has {
            _ if wanted.is_empty() => {}
            None => unknown = unknown.or(Some("a field")),
            Some(has) if !wanted.contains(&has.as_str()) => return Match::No("a value"),
            Some(_) => {}
        }
    }
    unknown.map_or(Match::Yes, Match::Unknown)
}

proptest! {
    #![proptest_config(cases(150, 15_000))]

    #[test]
    fn a_filter_matches_as_the_contract_says(scenario in scenario(), gone in prop::collection::vec(0_usize..9, 0..4)) {
        let Selection::Filter(filter) = scenario.target.selection() else { return Ok(()) };
        for run in sample::runs(scenario.runs, scenario.seed, crate::world::NOW) {
            let mut message: Value = serde_json::from_str(&run.to_json()).unwrap();
            let names = ["labels", "workflowUrl", "workflowRunId", "workflowCreatedAt", "createdAt", "notBefore",
                "callerIP", "flowControlKey", "failureFunctionState"];
            for name in gone.iter().map(|at| names[*at]) {
                message.as_object_mut().unwrap().remove(name);
                // Where these are read instead.
                let other = match name { "labels" => "label", "workflowUrl" => "url", _ => continue };
                message.as_object_mut().unwrap().remove(other);
            }
            let read = filter.matches(&DlqMessage::parse(&message.to_string()).unwrap());
            let same = std::mem::discriminant(&read) == std::mem::discriminant(&naive(&scenario.target, &message));
            prop_assert!(same, "{read:?} of {filter:?} for {message}");
            // And what the service matches is never said not to.
            prop_assert!(!scenario.target.wants(&run) || !gone.is_empty() || !matches!(read, Match::No(_)), "{read:?}");
        }
    }
}

#[test]
fn a_date_is_missed_only_if_every_time_misses_it() {
    let at = UnixMillis::new;
    let filter = Filter::builder().from(at(10)).to(at(20)).build().unwrap();
    for (message, expected) in [
        (r#"{"createdAt":15}"#, Match::Yes),
        (r#"{"createdAt":5,"workflowCreatedAt":15}"#, Match::Yes),
        (r#"{"createdAt":25,"notBefore":20}"#, Match::Yes),
        (r#"{"createdAt":5}"#, Match::No("fromDate")),
        (r#"{"createdAt":25}"#, Match::No("toDate")),
        (r#"{"createdAt":25,"workflowCreatedAt":5}"#, Match::No("fromDate")),
        (r#"{"createdAt":"soon"}"#, Match::Unknown("fromDate")),
        ("{}", Match::Unknown("fromDate")),
    ] {
        assert_eq!(filter.matches(&DlqMessage::parse(message).unwrap()), expected, "{message}");
    }
}

/// The batch that the next listing brings. The operation's time is `now`.
fn listed(archived: &mut ArchivedDelete, now: Duration) -> u64 {
    let Step::Send(id, request) = archived.poll(now) else { panic!("a listing was expected") };
    assert_eq!(request.method(), Method::GET);
    let page = r#"{"messages":[{"dlqId":"a-0","createdAt":1}]}"#;
    let Ok(Event::Page(page)) = archived.respond(id, &Response::new(page)) else { panic!() };
    page.batch.unwrap().number
}

/// A batch that nobody will store is listed again. Nothing of it is deleted.
#[test]
fn a_batch_that_is_not_stored_is_asked_for_again() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    assert_eq!(archived.selection(), &Selection::Everything);
    assert_eq!(archived.not_stored(0), Err(InvalidState), "there is no batch yet");
    let first = listed(&mut archived, Duration::ZERO);
    assert!(matches!(archived.poll(Duration::ZERO), Step::AwaitResponse), "it waits for the caller");
    assert_eq!(archived.not_stored(first + 1), Err(InvalidState));
    assert_eq!(archived.not_stored(first), Ok(()));
    let second = listed(&mut archived, Duration::ZERO);
    assert_eq!(archived.stored(first), Err(InvalidState), "that batch was given up");
    let told = InvalidState.to_string();
    assert!(told.contains("not in flight"), "{told}");
    archived.stored(second).unwrap();
    let Step::Send(_, request) = archived.poll(Duration::ZERO) else { panic!() };
    assert_eq!((request.method(), request.uri().query()), (&Method::DELETE, Some("dlqIds=a-0")));
    assert_eq!(archived.outcome_so_far().archived, 1);
}

#[test]
fn an_archived_delete_keeps_its_rate_and_its_retries() {
    let once = RetryPolicy { max_attempts: NonZeroU32::MIN, ..RetryPolicy::default() };
    let builder = BulkDelete::builder(endpoint(), Selection::Everything).archived();
    let mut archived = builder.max_requests_per_second(NonZeroU32::new(1)).retry(once, 1).build();
    let batch = listed(&mut archived, Duration::ZERO);
    archived.stored(batch).unwrap();
    let second = Duration::from_secs(1);
    assert!(matches!(archived.poll(Duration::ZERO), Step::WaitUntil(at) if at == second));
    let Step::Send(id, _) = archived.poll(second) else { panic!() };
    archived.respond(id, &Response::builder().status(503).body("").unwrap()).unwrap();
    let Step::Done(outcome) = archived.poll(second) else { panic!() };
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 1, .. })), "{outcome:?}");
    let error = outcome.into_result().unwrap_err();
    assert!(error.may_have_changed() && error.checkpoint().is_none(), "{error}");
}
