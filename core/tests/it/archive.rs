//! An archived delete trusts no listing: what it lists is checked against what was asked for.

use http::{Method, Response};
use proptest::prelude::*;
use serde_json::Value;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::InvalidState;
use upstash_dlq_core::operation::{ArchiveOutcome, BulkBuilder};
use upstash_dlq_core::selection::{Ids, Match};
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
        let ignored = vec![Ignored::new(Some(Method::GET), "label")];
        let mut service = Service::new(Config::default().token("token").ignored(ignored));
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
    let attempts = |n| RetryPolicy::default().max_attempts(NonZeroU32::new(n).unwrap());
    for (lag, tries, ends) in [(0, 2, true), (1, 2, true), (3, 4, true), (4, 4, false), (9, 9, false)] {
        let mut service = Service::new(Config::default().token("token").listing_lag(lag));
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
    assert_eq!(asked, ["count=100", "count=100&cursor=1", "count=100&cursor=2"]);
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
    #![proptest_config(cases(300, 15_000))]

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
    let once = RetryPolicy::default().max_attempts(NonZeroU32::MIN);
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

/// A message of exactly so many bytes.
fn message(id: &str, len: usize) -> String {
    let head = format!(r#"{{"dlqId":"{id}","body":""#);
    format!("{head}{}\"}}", "x".repeat(len - head.len() - 2))
}

/// What the service has of a run: nothing, if its name says so.
fn fetched(id: &str, len: usize) -> Response<String> {
    if id.starts_with("gone") {
        return Response::builder().status(404).body(r#"{"error":"DLQ message not found"}"#.into()).unwrap();
    }
    Response::new(message(id, len))
}

/// Archives runs by their ids to the end. Returns how many messages each batch held.
fn archive_ids(archived: &BulkBuilder<Delete>, len: usize) -> (Vec<usize>, ArchiveOutcome) {
    let mut archived = archived.clone().build_archived().one();
    let mut batches = Vec::new();
    loop {
        match archived.poll() {
            ArchiveStep::Done(outcome) => return (batches, outcome),
            ArchiveStep::Wait => panic!("nothing failed"),
            ArchiveStep::Store(messages) => {
                batches.push(messages.len());
                archived.stored().unwrap();
            }
            ArchiveStep::Send(request) if request.method() == Method::DELETE => {
                archived.on_response(&Response::new(r#"{"deleted":1}"#)).unwrap();
            }
            ArchiveStep::Send(request) => {
                let id = request.uri().path().rsplit('/').next().unwrap();
                archived.on_response(&fetched(id, len)).unwrap();
            }
        }
    }
}

fn of_ids(ids: impl IntoIterator<Item = String>) -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), Selection::Ids(Ids::parse(ids).unwrap()))
}

/// A batch has a bound in runs and one in bytes, whichever is reached first. The last batch has what is left.
#[test]
fn a_batch_of_ids_is_bounded() {
    let ids = |n: usize| of_ids((0..n).map(|n| format!("id-{n}")));
    for (n, len, expected) in
        [(250, 100, vec![100, 100, 50]), (100, 100, vec![100]), (1, 100, vec![1]), (9, 1 << 20, vec![4, 4, 1])]
    {
        let (batches, outcome) = archive_ids(&ids(n), len);
        assert_eq!(batches, expected, "{n} messages of {len} bytes");
        assert!(outcome.verified && outcome.halted.is_none(), "{outcome:?}");
        assert_eq!((outcome.archived, outcome.totals.missing), (n as u64, 0));
    }
}

/// Ids that are not there are counted, and a maximum leaves the rest of the list alone.
#[test]
fn an_archive_of_ids_tells_which_were_there() {
    let ids = || of_ids(["gone-1", "a", "gone-2", "b", "c"].map(str::to_owned));
    let (batches, outcome) = archive_ids(&ids(), 100);
    assert_eq!((batches, outcome.archived, outcome.totals.missing, outcome.verified), (vec![3], 3, 2, true));
    let (batches, outcome) = archive_ids(&ids().max(NonZeroU64::new(4)), 100);
    assert_eq!((batches, outcome.archived, outcome.totals.missing, outcome.verified), (vec![2], 2, 2, false));
    assert!(outcome.halted.is_none(), "{outcome:?}");
    let (batches, outcome) = archive_ids(&of_ids(["gone".into()]), 100);
    assert_eq!((batches.len(), outcome.archived, outcome.totals.missing, outcome.verified), (0, 0, 1, true));
}

/// Fetches until a batch is there. Returns the ids that were asked for, and the number of the batch.
fn next_batch(archived: &mut ArchivedDelete) -> (Vec<String>, u64) {
    let mut asked = Vec::new();
    loop {
        let Step::Send(sent, request) = archived.poll(Duration::ZERO) else { panic!("a request was expected") };
        let id = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let response = if request.method() == Method::DELETE {
            Response::new(r#"{"deleted":1}"#.into())
        } else {
            asked.push(id.clone());
            fetched(&id, 100)
        };
        let Ok(Event::Page(page)) = archived.respond(sent, &response) else { panic!() };
        if let Some(batch) = page.batch {
            return (asked, batch.number);
        }
    }
}

/// Ids of a batch that was not stored are fetched again, and those of no other batch.
#[test]
fn ids_that_were_not_stored_are_fetched_again() {
    let ids = (0..100).map(|n| format!("id-{n}")).chain(["a".into(), "gone".into(), "b".into()]);
    let mut archived = of_ids(ids).build_archived();
    let (asked, first) = next_batch(&mut archived);
    assert_eq!(asked.len(), 100);
    archived.stored(first).unwrap();
    for expected in [&["a", "gone", "b"][..], &["a", "b"]] {
        let (asked, number) = next_batch(&mut archived);
        assert_eq!(asked, expected, "what is not there is not asked for again");
        assert_eq!(archived.outcome_so_far().totals.missing, 1);
        archived.not_stored(number).unwrap();
    }
    assert_eq!(archived.outcome_so_far().archived, 100);
}

/// The requests that an archived delete makes for these pages of a listing, and how it ends.
fn of_pages(delete: BulkBuilder<Delete>, pages: impl IntoIterator<Item = String>) -> (String, ArchiveOutcome) {
    let mut archived = delete.build_archived().one();
    let (mut pages, mut made) = (pages.into_iter(), String::new());
    loop {
        match archived.poll() {
            ArchiveStep::Done(outcome) => return (made, outcome),
            ArchiveStep::Wait => made.push('w'),
            ArchiveStep::Store(_) => archived.stored().unwrap(),
            ArchiveStep::Send(request) if request.method() == Method::GET => {
                made.push('l');
                archived.on_response(&Response::new(pages.next().expect("it lists on"))).unwrap();
            }
            ArchiveStep::Send(_) => {
                made.push('d');
                archived.on_response(&Response::new(r#"{"deleted":1}"#)).unwrap();
            }
        }
    }
}

/// Without a last look, an archived delete ends with the page that ends the listing, and not before.
#[test]
fn without_verification_the_last_page_is_the_end() {
    let pages =
        || [r#"{"messages":[{"dlqId":"a"}],"cursor":"1"}"#, r#"{"messages":[{"dlqId":"b"}]}"#, r#"{"messages":[]}"#];
    let delete = |verify| BulkDelete::builder(endpoint(), Selection::Everything).verify(verify);
    let (made, outcome) = of_pages(delete(false), pages().map(str::to_owned));
    assert_eq!((made.as_str(), outcome.verified, outcome.archived), ("ldld", false, 2));
    let (made, outcome) = of_pages(delete(true), pages().map(str::to_owned));
    assert_eq!((made.as_str(), outcome.verified, outcome.archived), ("ldldl", true, 2));
}

/// Page after page of a run that was deleted: a listing that lags does not lag for ever.
#[test]
fn a_listing_without_an_end_shows_nothing_new_only_so_long() {
    let delete = || BulkDelete::builder(endpoint(), Selection::Everything);
    let pages = (0..10_000).map(|n| format!(r#"{{"messages":[{{"dlqId":"a"}}],"cursor":"{n}"}}"#));
    let (made, outcome) = of_pages(delete(), pages);
    assert_eq!(outcome.halted, Some(Halt::StillListed));
    assert_eq!((made.len(), outcome.archived), (2 + 1_000, 1));
}

/// Pages of deleted runs, and batches that delete nothing, count only until the server deletes something again.
#[test]
fn progress_counts_again_from_its_start() {
    let page = |n: u32| format!(r#"{{"messages":[{{"dlqId":"x{n}"}}]}}"#);
    let stale = |n: u32| format!(r#"{{"messages":[{{"dlqId":"x{n}"}}],"cursor":"{n}"}}"#);
    let pages = (1..=1_001).flat_map(|n| [stale(n - 1), page(n)]);
    let pages = std::iter::once(page(0)).chain(pages).chain([r#"{"messages":[]}"#.to_owned()]);
    let (_, outcome) = of_pages(BulkDelete::builder(endpoint(), Selection::Everything), pages);
    assert_eq!((outcome.halted, outcome.archived, outcome.verified), (None, 1_002, true));
}
