//! Archived deletes, and the one pass of resume and restart: any sequence of steps, and whole operations against a faulty
//! service.

use crate::cases::cases;
use crate::one_lane::{ArchiveStep, One, OneArchive, OneStep};
use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::operation::{ArchiveOutcome, Bulk, InDoubt};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Delete, Restart, Resume};
use upstash_dlq_core::{
    BulkDelete, Checkpoint, Delivery, Endpoint, Filter, Halt, Operation, Outcome, RetryPolicy, Selection, Settlement,
    Step, Token, UnixMillis,
};

use upstash_dlq_emulator::{Config, CursorKind, Fault, FaultPlan, Run, Service, Wire, sample};

const NOW: i64 = 1_764_000_000_000;
const TOKEN: &str = "token";

proptest! {
    #![proptest_config(cases(2_000, 100_000))]

    /// No sequence of steps deletes an id that was not said to be stored.
    #[test]
    fn nothing_is_deleted_that_was_not_stored(bytes in prop::collection::vec(any::<u8>(), 3..300)) {
        crate::fuzz::archive::archive(&bytes);
    }

    /// No sequence of steps sends anything while a request waits to be settled.
    #[test]
    fn nothing_is_sent_before_it_is_settled(bytes in prop::collection::vec(any::<u8>(), 3..300)) {
        crate::fuzz::one_pass::one_pass(&bytes);
    }

    /// No sequence of steps makes lanes ask for more than they may.
    #[test]
    fn lanes_keep_within_their_bounds(bytes in prop::collection::vec(any::<u8>(), 4..500)) {
        crate::fuzz::lanes::lanes(&bytes);
    }

    /// No sequence of steps puts an id into two batches, or sends one again that was dealt with.
    #[test]
    fn batches_share_no_id(bytes in prop::collection::vec(any::<u8>(), 5..500)) {
        crate::fuzz::batches::batches(&bytes);
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new("http://127.0.0.1:1", Token::new(TOKEN).unwrap()).unwrap()
}

fn policy() -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::new(30).unwrap())
}

fn service(runs: usize, cursors: CursorKind, stay: bool) -> Service {
    let config = Config::default().token(TOKEN).cursors(cursors).started_runs_stay(stay);
    let mut service = Service::new(config);
    sample::runs(runs, 9, NOW).into_iter().for_each(|run| service.insert(run));
    service
}

fn deliver(service: &mut Service, request: &Request<()>) -> Option<Response<Vec<u8>>> {
    let mut arriving = Request::new(Vec::new());
    *arriving.method_mut() = request.method().clone();
    *arriving.uri_mut() = request.uri().clone();
    *arriving.headers_mut() = request.headers().clone();
    let mut response = service.handle(NOW, arriving);
    match response.extensions().get::<Wire>() {
        None | Some(Wire::Delay(_)) => Some(response),
        Some(Wire::CutBody) => {
            let half = response.body().len() / 2;
            response.body_mut().truncate(half);
            Some(response)
        }
        Some(_) => None,
    }
}

fn selection(kind: u8, service: &Service) -> Selection {
    match kind % 3 {
        0 => Selection::Everything,
        1 => Selection::Filter(Filter::builder().label("nightly").label("größe").build().unwrap()),
        _ => Selection::Ids(
            Ids::parse(service.runs().step_by(3).map(|run| run.dlq_id.clone()).chain(["nobody".into()])).unwrap(),
        ),
    }
}

fn matches(kind: u8, run: &Run, at: usize) -> bool {
    match kind % 3 {
        0 => true,
        1 => run.labels.iter().any(|label| label == "nightly" || label == "größe"),
        _ => at % 3 == 0,
    }
}

fn faults() -> impl Strategy<Value = FaultPlan> {
    let any_fault = prop_oneof![
        Just(Fault::LostRequest),
        Just(Fault::LostResponse),
        Just(Fault::TooManyRequests { retry_after_s: Some(1) }),
        Just(Fault::ServerError(503)),
        Just(Fault::AppliedServerError),
        Just(Fault::CutBody),
        Just(Fault::Html),
    ];
    let one = prop_oneof![3 => Just(None), 1 => any_fault.prop_map(Some)];
    prop::collection::vec(one, 0..40).prop_map(FaultPlan::script)
}

fn archive(operation: &mut OneArchive, service: &mut Service) -> (ArchiveOutcome, Vec<String>) {
    let mut lines = Vec::new();
    for _ in 0..100_000 {
        match operation.poll() {
            ArchiveStep::Done(outcome) => return (outcome, lines),
            ArchiveStep::Wait => {}
            ArchiveStep::Store(messages) => {
                lines.extend(messages.iter().map(|message| message.as_json().to_owned()));
                operation.stored().unwrap();
            }
            ArchiveStep::Send(request) => match deliver(service, &request) {
                Some(response) => operation.on_response(&response).unwrap(),
                None => operation.on_failure(Delivery::Unknown).unwrap(),
            },
        }
    }
    panic!("it does not end");
}

proptest! {
    #![proptest_config(cases(150, 7_500))]

    /// Whatever goes wrong on the way: what matched is archived once, as it was served, and gone; nothing else is.
    #[test]
    fn an_archive_is_complete(kind in 0_u8..3, plan in faults(), size in 1_u32..60, max in prop::option::of(1_u64..90), offset in any::<bool>(), lag in 0_u32..4, bound_cursors in any::<bool>()) {
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let config = Config::default().token(TOKEN).cursors(cursors).listing_lag(lag).bound_cursors(bound_cursors);
        let mut service = Service::new(config);
        sample::runs(120, 9, NOW).into_iter().for_each(|run| service.insert(run));
        let selected = selection(kind, &service);
        let all: Vec<Run> = service.runs().cloned().collect();
        let matching: Vec<&Run> = all.iter().enumerate().filter(|(at, run)| matches(kind, run, *at)).map(|(_, run)| run).collect();
        service.set_faults(plan);
        let mut operation = BulkDelete::builder(endpoint(), selected)
            .page_size(NonZeroU32::new(size).unwrap())
            .max(max.and_then(NonZeroU64::new))
            .retry(policy(), 1)
            .build_archived().one();
        let (outcome, lines) = archive(&mut operation, &mut service);
        prop_assert!(outcome.halted.is_none(), "{outcome:?}");
        let gone: BTreeSet<String> = all.iter().filter(|run| !service.contains(&run.dlq_id)).map(Run::to_json).collect();
        let kept: BTreeSet<String> = lines.iter().cloned().collect();
        prop_assert_eq!(&gone, &kept);
        prop_assert_eq!(kept.len(), lines.len(), "archived twice");
        prop_assert!(matching.iter().map(|run| run.to_json()).collect::<BTreeSet<_>>().is_superset(&kept));
        let wanted = max.map_or(matching.len(), |max| matching.len().min(usize::try_from(max).unwrap()));
        if outcome.totals.unconfirmed == 0 || max.is_none() {
            prop_assert_eq!(kept.len(), wanted);
        }
        prop_assert!(kept.len() <= wanted && outcome.archived == lines.len() as u64);
        prop_assert!(outcome.totals.affected <= kept.len() as u64);
        if outcome.verified {
            prop_assert!(matching.iter().all(|run| !service.contains(&run.dlq_id)));
        }
        prop_assert_eq!(outcome.totals.missing, u64::from(kind % 3 == 2 && max.is_none_or(|max| max > 40)));
    }

    /// With a person who looks before they settle, each run is started once, and all of them are.
    #[test]
    fn each_run_starts_once(kind in 0_u8..2, plan in faults(), size in 1_u32..60, resume in any::<bool>()) {
        if resume {
            start_all::<Resume>(kind, plan, size)?;
        } else {
            start_all::<Restart>(kind, plan, size)?;
        }
    }

    /// Nobody settles: what was started stays started once, and the operation says what it does not know.
    #[test]
    fn no_run_starts_twice_by_itself(kind in 0_u8..3, plan in faults(), size in 1_u32..60, stay in any::<bool>()) {
        let mut service = service(120, CursorKind::Key, stay);
        let selected = selection(kind, &service);
        service.set_faults(plan);
        let mut bulk = Bulk::<Resume>::builder(endpoint(), selected)
            .page_size(NonZeroU32::new(size).unwrap())
            .retry(policy(), 1)
            .one();
        let outcome = loop {
            match bulk.poll() {
                OneStep::Done(outcome) => break outcome,
                OneStep::Wait(_) => {}
                OneStep::Send(request) => match deliver(&mut service, &request) {
                    Some(response) => drop(bulk.on_response(&response).unwrap()),
                    None => drop(bulk.on_failure(Delivery::Unknown).unwrap()),
                },
            }
        };
        let ids: Vec<&str> = service.started().map(|run| run.dlq_id.as_str()).collect();
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "started twice");
        prop_assert_eq!(matches!(outcome.halted, Some(Halt::InDoubt { .. })), outcome.totals.unconfirmed == 1);
        prop_assert!(outcome.totals.affected <= ids.len() as u64);
        if outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(outcome.totals.affected, ids.len() as u64);
        }
    }
}

fn start_all<O: BulkOperation>(kind: u8, plan: FaultPlan, size: u32) -> Result<(), TestCaseError> {
    let mut service = service(120, CursorKind::Key, false);
    let selected = selection(kind, &service);
    let wanted: BTreeSet<String> = service
        .runs()
        .enumerate()
        .filter(|(at, run)| matches(kind, run, *at))
        .map(|(_, run)| run.dlq_id.clone())
        .collect();
    service.set_faults(plan);
    let builder = Bulk::<O>::builder(endpoint(), selected).page_size(NonZeroU32::new(size).unwrap()).retry(policy(), 1);
    let mut bulk = builder.clone().one();
    let mut before = 0;
    loop {
        match bulk.poll() {
            OneStep::Done(outcome) if bulk.in_doubt().is_some() => {
                let says = matches!(outcome.halted, Some(Halt::InDoubt { .. }));
                prop_assert!(says);
                // A later process goes on, and somebody has looked.
                bulk = builder.clone().resume_from(bulk.checkpoint()).unwrap().one();
                let applied = service.started().count() > before;
                bulk.settle(if applied { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
            }
            OneStep::Done(outcome) => {
                prop_assert!(outcome.halted.is_none(), "{outcome:?}");
                break;
            }
            OneStep::Wait(_) => {}
            OneStep::Send(request) => {
                before = service.started().count();
                match deliver(&mut service, &request) {
                    Some(response) => drop(bulk.on_response(&response).unwrap()),
                    None => drop(bulk.on_failure(Delivery::Unknown).unwrap()),
                }
            }
        }
    }
    let ids: Vec<String> = service.started().map(|run| run.dlq_id.clone()).collect();
    prop_assert_eq!(ids.len(), wanted.len());
    prop_assert_eq!(ids.into_iter().collect::<BTreeSet<_>>(), wanted);
    Ok(())
}

fn query(step: OneStep<Outcome>) -> String {
    match step {
        OneStep::Send(request) => request.uri().query().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ids_that_were_applied_are_not_sent_again() {
    let ids: Vec<String> = (0..60).map(|n| format!("id-{n}")).collect();
    for (settlement, next) in [(Settlement::Applied, 50), (Settlement::NotApplied, 0)] {
        let mut bulk = Bulk::<Resume>::builder(endpoint(), Selection::Ids(Ids::parse(ids.clone()).unwrap())).one();
        assert_eq!(query(bulk.poll()).matches("dlqIds=").count(), 50);
        bulk.on_failure(Delivery::Unknown).unwrap();
        assert!(matches!(bulk.in_doubt(), Some(InDoubt::Ids(ids)) if ids.len() == 50));
        bulk.settle(settlement).unwrap();
        assert_eq!(bulk.totals().unconfirmed, u64::from(settlement == Settlement::Applied));
        assert!(query(bulk.poll()).starts_with(&format!("dlqIds=id-{next}&")));
    }
}

#[test]
fn what_was_not_applied_does_not_count_against_the_maximum() {
    for (settlement, count) in [(Settlement::Applied, 10), (Settlement::NotApplied, 50)] {
        let max = NonZeroU64::new(60);
        let mut bulk = Bulk::<Restart>::builder(endpoint(), Selection::Everything).max(max).one();
        assert_eq!(query(bulk.poll()), "count=50");
        bulk.on_failure(Delivery::Unknown).unwrap();
        bulk.settle(settlement).unwrap();
        assert!(bulk.settle(settlement).is_err());
        assert_eq!(query(bulk.poll()), format!("count={count}"));
    }
}

#[test]
fn a_message_without_a_usable_id_halts_before_its_page_is_deleted() {
    for message in ["{}", r#"{"dlqId":""}"#, r#"{"dlqId":"a,b"}"#, r#"{"dlqId":7}"#, "7"] {
        let mut operation = BulkDelete::builder(endpoint(), Selection::Everything).build_archived().one();
        let ArchiveStep::Send(_) = operation.poll() else { panic!() };
        let page = format!("{{\"messages\":[{{\"dlqId\":\"fine\"}},{message}]}}");
        operation.on_response(&Response::new(page)).unwrap();
        let ArchiveStep::Done(outcome) = operation.poll() else { panic!("{message}") };
        assert_eq!((outcome.halted, outcome.archived), (Some(Halt::UnusableMessage), 0), "{message}");
    }
    // The response has another run, or says that the whole region is another.
    let ids = || Selection::Ids(Ids::parse(["a"]).unwrap());
    for (status, body) in
        [(200, r#"{"dlqId":"b"}"#), (404, r#"{"error":"user not found in this region"}"#), (404, "<html>")]
    {
        let mut operation = BulkDelete::builder(endpoint(), ids()).build_archived().one();
        let ArchiveStep::Send(_) = operation.poll() else { panic!() };
        operation.on_response(&Response::builder().status(status).body(body).unwrap()).unwrap();
        let ArchiveStep::Done(outcome) = operation.poll() else { panic!("{body}") };
        assert!(outcome.halted.is_some() && outcome.totals.missing == 0, "{body}");
    }
}

#[test]
fn a_resume_does_not_follow_a_repeated_cursor() {
    let mut bulk = Bulk::<Resume>::builder(endpoint(), Selection::Everything).one();
    let mut sent = 0;
    let outcome = loop {
        match bulk.poll() {
            OneStep::Done(outcome) => break outcome,
            OneStep::Wait(_) => {}
            OneStep::Send(_) => {
                sent += 1;
                let page = format!(r#"{{"workflowRuns":[{{"workflowRunId":"w{sent}"}}],"cursor":"{}"}}"#, sent % 3);
                bulk.on_response(&Response::new(page)).unwrap();
            }
        }
    };
    assert!(outcome.halted == Some(Halt::NoProgress) && sent < 12, "{sent}");
    assert!(bulk.is_in_circles());
    // Going on would start the runs of those pages again: it is kept as a halt, through every file, on lanes too.
    let resume = || Bulk::<Resume>::builder(endpoint(), Selection::Everything);
    let file = bulk.checkpoint().to_json();
    let mut later = resume().resume_from(Checkpoint::from_json(file.as_bytes()).unwrap()).unwrap().one();
    let mut later = resume()
        .resume_from({
            assert!(matches!(later.poll(), OneStep::Done(again) if again == outcome), "sent again");
            later.checkpoint()
        })
        .unwrap()
        .one();
    assert!(matches!(later.poll(), OneStep::Done(again) if again == outcome), "sent again");
    let (lanes, now) = (NonZeroUsize::MIN, UnixMillis::new(NOW));
    let mut file = Checkpoint::from_json(file.as_bytes()).unwrap();
    for _ in 0..2 {
        let mut later = resume().lanes(lanes, now).resume_from(file).unwrap();
        let Step::Done(again) = later.poll(Duration::ZERO) else { panic!("sent again") };
        assert!(again == outcome && later.is_in_circles());
        file = Checkpoint::from_json(later.checkpoint().to_json().as_bytes()).unwrap();
    }
}

/// Wherever a cycle begins and however long it is, no page is asked for twice: its runs may still be there.
#[test]
fn a_resume_sends_no_cursor_twice() {
    for (tail, length) in [(0, 1), (0, 2), (0, 3), (1, 1), (2, 3), (5, 7), (13, 40)] {
        let mut bulk = Bulk::<Resume>::builder(endpoint(), Selection::Everything).one();
        let (mut sent, mut asked) = (0, BTreeSet::new());
        let outcome = loop {
            match bulk.poll() {
                OneStep::Done(outcome) => break outcome,
                OneStep::Wait(_) => {}
                OneStep::Send(request) => {
                    assert!(asked.insert(request.uri().to_string()), "twice: {} ({tail}, {length})", request.uri());
                    let next = if sent < tail { sent } else { tail + (sent - tail) % length };
                    sent += 1;
                    let page = format!(r#"{{"workflowRuns":[{{"workflowRunId":"w{sent}"}}],"cursor":"c{next}"}}"#);
                    bulk.on_response(&Response::new(page)).unwrap();
                }
            }
        };
        assert_eq!(outcome.halted, Some(Halt::NoProgress));
    }
}

/// However sparse the scan: whoever goes on gets another thousand pages, from the cursor on that has not been asked for.
#[test]
fn going_on_after_empty_pages_begins_at_the_next_cursor() {
    fn scan<O: BulkOperation>(page: impl Fn(u64) -> String) {
        let builder = Bulk::<O>::builder(endpoint(), Selection::Everything);
        let (mut bulk, mut sent) = (builder.clone().one(), 0);
        for process in 1..4 {
            let outcome = loop {
                match bulk.poll() {
                    OneStep::Done(outcome) => break outcome,
                    OneStep::Wait(_) => {}
                    OneStep::Send(request) => {
                        let cursor = if sent == 0 { String::new() } else { format!("&cursor=c{sent}") };
                        assert!(request.uri().query().unwrap().ends_with(&cursor), "{}", request.uri());
                        sent += 1;
                        bulk.on_response(&Response::new(page(sent))).unwrap();
                    }
                }
            };
            assert_eq!((outcome.halted, sent), (Some(Halt::NoProgress), process * 1_000));
            assert!(!bulk.is_in_circles());
            bulk = builder.clone().resume_from(bulk.checkpoint()).unwrap().one();
        }
    }
    scan::<Resume>(|n| format!(r#"{{"workflowRuns":[],"cursor":"c{n}"}}"#));
    scan::<Delete>(|n| format!(r#"{{"deleted":0,"cursor":"c{n}"}}"#));
}
