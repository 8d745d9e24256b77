//! The engine on one lane and on many: what it promises of rates, maxima, doubts and ends.

use crate::one_lane::Respond;
use crate::world::{NOW, endpoint, lanes};
use http::Response;
use std::collections::{BTreeSet, VecDeque};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::{InvalidState, RequestId};
use upstash_dlq_core::operation::{Bulk, BulkBuilder, InDoubt};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Delete, GetMessage, List, Overrides, Restart, Resume};
use upstash_dlq_core::{
    Checkpoint, Delivery, DlqId, Event, Halt, Listing, Operation, RetryPolicy, Selection, Settlement, SingleCall, Step,
    Totals, UnixMillis,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn ids(n: usize) -> Selection {
    Selection::Ids(Ids::parse((0..n).map(|n| format!("id-{n}"))).unwrap())
}

pub(crate) fn on_lanes<O: BulkOperation>(selection: Selection, n: usize) -> BulkBuilder<O> {
    Bulk::<O>::builder(endpoint(), selection).lanes(lanes(n), UnixMillis::new(NOW))
}

pub(crate) fn attempts(n: u32) -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::new(n).unwrap())
}

/// A page of either kind, with one run or none.
pub(crate) fn page(runs: u32, cursor: &str) -> Response<String> {
    let started = if runs > 0 { r#"{"workflowRunId":"w"}"# } else { "" };
    Response::new(format!(r#"{{"deleted":{runs},"workflowRuns":[{started}],"cursor":"{cursor}"}}"#))
}

pub(crate) fn status(status: u16, retry_after: &str) -> Response<&'static str> {
    Response::builder().status(status).header("retry-after", retry_after).body("").unwrap()
}

pub(crate) fn sent<O: Operation>(operation: &mut O, now: Duration) -> (RequestId, String) {
    match operation.poll(now) {
        Step::Send(id, request) => (id, request.uri().query().unwrap_or_default().to_owned()),
        Step::WaitUntil(at) => panic!("a request was expected, not a wait until {at:?} at {now:?}"),
        Step::AwaitResponse => panic!("a request was expected, and it awaits a response"),
        Step::Done(_) => panic!("a request was expected, and it is done"),
    }
}

/// All that can be sent now.
pub(crate) fn all_sent<O: Operation>(operation: &mut O, now: Duration) -> Vec<RequestId> {
    let mut all = Vec::new();
    while let Step::Send(id, _) = operation.poll(now) {
        all.push(id);
    }
    all
}

pub(crate) fn done<O: Operation>(operation: &mut O, now: Duration) -> O::Outcome {
    match operation.poll(now) {
        Step::Done(outcome) => outcome,
        Step::Send(_, request) => panic!("the end was expected, not {}", request.uri()),
        Step::WaitUntil(at) => panic!("the end was expected, not a wait until {at:?} at {now:?}"),
        Step::AwaitResponse => panic!("the end was expected, and it awaits a response"),
    }
}

/// As a later process reads it.
pub(crate) fn reread<O: BulkOperation>(bulk: &Bulk<O>) -> Checkpoint {
    Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap()
}

/// What earlier parts of a list came to is carried over, and the maximum counts over all parts, through a file, too.
#[test]
fn carried_totals_and_the_budget_of_ids_hold_on_many_lanes() {
    fn try_all<O: BulkOperation>() {
        for n in [1, 4, 64] {
            let mut carried = Totals::default();
            (carried.affected, carried.pages, carried.requests, carried.retries) = (890, 18, 19, 1);
            let part = || on_lanes::<O>(ids(1_000), n).max(NonZeroU64::new(1_100)).part(900, carried);
            let mut bulk = part().build();
            assert_eq!((bulk.totals(), bulk.ids_done()), (carried, 900));
            let mut asked = BTreeSet::new();
            let mut requests = 0;
            loop {
                match bulk.poll(Duration::ZERO) {
                    Step::Send(id, request) => {
                        requests += 1;
                        for pair in request.uri().query().unwrap().split('&') {
                            assert!(asked.insert(pair.to_owned()), "asked for again: {pair}");
                        }
                        bulk.respond(id, &page(1, "")).unwrap();
                        bulk = part().resume_from(reread(&bulk)).unwrap();
                    }
                    Step::Done(outcome) => {
                        assert!(outcome.halted.is_none() && !outcome.verified, "{outcome:?}");
                        break;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!((asked.len(), bulk.ids_done()), (200, 1_100), "{n} lanes");
            let totals = bulk.totals();
            assert_eq!((totals.affected, totals.pages), (890 + requests, 18 + requests), "{n} lanes");
            assert_eq!((totals.requests, totals.retries), (19 + requests, 1), "{n} lanes");
        }
    }
    try_all::<Delete>();
    try_all::<Resume>();
    try_all::<Restart>();
}

/// However sparse the scan: a thousand empty pages halt it, and whoever goes on begins at the cursor that comes next.
#[test]
fn no_progress_after_empty_pages_keeps_its_cursor() {
    fn scan<O: BulkOperation>(n: usize) {
        let builder = on_lanes::<O>(Selection::Everything, n);
        let (mut bulk, mut requests) = (builder.clone().build(), 0);
        for process in 1..4 {
            let outcome = loop {
                match bulk.poll(Duration::ZERO) {
                    Step::Send(id, request) => {
                        let cursor = if requests == 0 { String::new() } else { format!("&cursor=c{requests}") };
                        let query = request.uri().query().unwrap();
                        assert!(query.ends_with(&cursor) && query.contains("cursor") == (requests > 0), "{query}");
                        requests += 1;
                        bulk.respond(id, &page(0, &format!("c{requests}"))).unwrap();
                    }
                    Step::Done(outcome) => break outcome,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((outcome.halted, requests), (Some(Halt::NoProgress), process * 1_000), "{n} lanes");
            bulk = builder.clone().resume_from(reread(&bulk)).unwrap();
        }
        // The runs lie behind all of it.
        let (id, query) = sent(&mut bulk, Duration::ZERO);
        assert!(query.ends_with(&format!("&cursor=c{requests}")), "{query}");
        bulk.respond(id, &page(1, "z")).unwrap();
        assert_eq!(bulk.totals().affected, 1);
    }
    for n in [1, 4] {
        scan::<Delete>(n);
        scan::<Resume>(n);
        scan::<Restart>(n);
    }
}

/// Cursors came round: a delete asks again, once for each process. A resume or restart never sends again what it has sent.
#[test]
fn going_on_after_no_progress_asks_again_or_never_repeats() {
    fn go_round<O: BulkOperation>(n: usize) {
        let builder = on_lanes::<O>(Selection::Everything, n);
        let (mut bulk, mut queries) = (builder.clone().build(), Vec::new());
        for process in 0..3 {
            let before = queries.len();
            let outcome = loop {
                match bulk.poll(Duration::ZERO) {
                    Step::Send(id, request) => {
                        queries.push(request.uri().query().unwrap().to_owned());
                        bulk.respond(id, &page(0, if queries.len() % 2 == 0 { "a" } else { "b" })).unwrap();
                    }
                    Step::Done(outcome) => break outcome,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(outcome.halted, Some(Halt::NoProgress), "{n} lanes");
            let begins_anew = queries.len() > before && !queries[before].contains("cursor");
            assert_eq!(begins_anew, process == 0 || O::RETRY_SAFE, "{n} lanes, process {process}: {queries:?}");
            assert!(O::RETRY_SAFE || process == 0 || queries.len() == before, "sent again: {queries:?}");
            let distinct: BTreeSet<&String> = queries.iter().collect();
            assert!(O::RETRY_SAFE || distinct.len() == queries.len(), "sent twice: {queries:?}");
            bulk = builder.clone().resume_from(reread(&bulk)).unwrap();
        }
    }
    for n in [1, 4] {
        go_round::<Delete>(n);
        go_round::<Resume>(n);
        go_round::<Restart>(n);
    }
}

/// Each page is sent by a process of its own. A cursor that an earlier one has sent comes again, and is not sent a second time.
#[test]
fn a_cursor_that_an_earlier_process_has_sent_is_not_sent_again() {
    fn repeats<O: BulkOperation>(pages: u32, repeated: u32) {
        let builder = Bulk::<O>::builder(endpoint(), Selection::Everything);
        let mut bulk = builder.clone().build();
        for number in 1..=pages {
            let (id, _) = sent(&mut bulk, Duration::ZERO);
            let cursor = if number == pages { repeated } else { number };
            bulk.respond(id, &page(1, &format!("c{cursor}"))).unwrap();
            bulk = builder.clone().resume_from(reread(&bulk)).unwrap();
        }
        let outcome = done(&mut bulk, Duration::ZERO);
        assert_eq!(outcome.halted, Some(Halt::NoProgress), "{pages} pages, then c{repeated}");
        assert_eq!(outcome.totals.affected, u64::from(pages));
    }
    for pages in 2..12 {
        for repeated in 1..pages {
            repeats::<Resume>(pages, repeated);
            repeats::<Restart>(pages, repeated);
        }
    }
}

/// Each page and each batch is asked for with the same settings.
#[test]
fn every_request_has_the_overrides() {
    let everything = Selection::Everything;
    for selection in [ids(120), everything] {
        let overrides = Overrides::builder().retries(5).build().unwrap();
        let mut bulk = Bulk::<Resume>::builder(endpoint(), selection).overrides(overrides).build();
        for cursor in ["c", ""] {
            let Step::Send(id, request) = bulk.poll(Duration::ZERO) else { panic!() };
            assert_eq!(request.headers()["upstash-retries"], "5");
            bulk.respond(id, &page(1, cursor)).unwrap();
        }
    }
}

/// The end costs no request, so it waits for no rate, and for no other lane's wait.
#[test]
fn what_is_finished_does_not_wait_for_the_rate() {
    let rate = NonZeroU32::new(1);
    for n in [1, 4] {
        let mut bulk = on_lanes::<Delete>(ids(3), n).max_requests_per_second(rate).build();
        let (id, _) = sent(&mut bulk, SECOND);
        bulk.respond(id, &page(1, "")).unwrap();
        assert!(done(&mut bulk, SECOND).verified);

        let mut bulk = on_lanes::<Resume>(Selection::Everything, n).max_requests_per_second(rate).build();
        let (id, _) = sent(&mut bulk, SECOND);
        bulk.respond(id, &page(1, "")).unwrap();
        assert!(done(&mut bulk, SECOND).halted.is_none());

        let list = Listing::builder(endpoint(), List::everything()).lanes(lanes(n), UnixMillis::new(NOW));
        let mut list = list.max_requests_per_second(rate).build();
        let (id, _) = sent(&mut list, SECOND);
        list.respond(id, &Response::new(r#"{"messages":[]}"#)).unwrap();
        assert!(done(&mut list, SECOND).halted.is_none());
    }
    let get = GetMessage(DlqId::new("a").unwrap());
    let mut call = SingleCall::builder(endpoint(), get).max_requests_per_second(rate).build();
    let (id, _) = sent(&mut call, SECOND);
    call.respond(id, &Response::new(r#"{"dlqId":"a"}"#)).unwrap();
    assert!(done(&mut call, SECOND).is_ok());

    // The maximum is reached while another lane waits.
    let max = NonZeroU64::new(3);
    let mut bulk = on_lanes::<Delete>(Selection::Everything, 4).max(max).page_size(NonZeroU32::MIN).build();
    let (id, _) = sent(&mut bulk, SECOND);
    bulk.respond(id, &page(1, "x")).unwrap();
    let [first, second] = all_sent(&mut bulk, SECOND)[..] else { panic!() };
    bulk.fail(first, Delivery::Unknown).unwrap();
    bulk.respond(second, &page(1, "y")).unwrap();
    assert_eq!(done(&mut bulk, SECOND).halted, Some(Halt::MaximumUnconfirmed));
}

/// Not one more fits into a second than is allowed, whatever the number.
#[test]
fn a_second_has_no_more_requests_than_its_rate() {
    for rate in [1, 3, 7, 11, 60, 999, 3_000_000_000] {
        let builder = on_lanes::<Delete>(Selection::Everything, 1).max_requests_per_second(NonZeroU32::new(rate));
        let (mut bulk, mut clock, mut sent) = (builder.build(), Duration::ZERO, Vec::new());
        while sent.len() < 1_500 {
            match bulk.poll(clock) {
                Step::Send(id, _) => {
                    sent.push(clock);
                    bulk.respond(id, &page(1, &format!("c{}", sent.len()))).unwrap();
                }
                Step::WaitUntil(at) => clock = at,
                other => panic!("{other:?}"),
            }
        }
        let rate = usize::try_from(rate).unwrap();
        assert!(sent.iter().zip(sent.iter().skip(rate)).all(|(one, next)| *next >= *one + SECOND), "{rate} a second");
    }
}

/// Any number is a number of lanes, and none makes anything overflow or take all memory.
#[test]
fn any_number_of_lanes_is_accepted() {
    for n in [usize::MAX, usize::MAX - 1, usize::MAX / 2 + 1] {
        let mut bulk = on_lanes::<Restart>(ids(200), n).build();
        assert_eq!(all_sent(&mut bulk, Duration::ZERO).len(), 4);
        assert_eq!(bulk.concurrency(), 4);

        let builder = on_lanes::<Delete>(Selection::Everything, n);
        let mut bulk = builder.clone().build();
        for turn in 0..20 {
            let (id, _) = sent(&mut bulk, Duration::ZERO);
            bulk.respond(id, &page(1, &format!("c{turn}"))).unwrap();
        }
        let refused = sent(&mut bulk, Duration::ZERO).0;
        bulk.respond(refused, &status(429, "1")).unwrap();
        // A pass that has gone on for very long.
        let json = bulk.checkpoint().to_json();
        let pages = json.split_once(r#""full_pages":"#).unwrap().1.split_once(',').unwrap().0;
        let forged = json.replace(&format!(r#""full_pages":{pages}"#), &format!(r#""full_pages":{}"#, u64::MAX));
        let forged = crate::fuzz::forge::sealed_again(&forged);
        let mut bulk = builder.resume_from(Checkpoint::from_json(forged.as_bytes()).unwrap()).unwrap();
        let (id, _) = sent(&mut bulk, SECOND);
        bulk.respond(id, &page(1, "z")).unwrap();
        assert!(bulk.concurrency() > 1_000);
        // Its file can be read again, however many lanes are open.
        reread(&bulk);

        let mut listing =
            Listing::builder(endpoint(), List::everything()).lanes(lanes(n), UnixMillis::new(NOW)).build();
        for turn in 0..8 {
            let (id, _) = sent(&mut listing, Duration::ZERO);
            let at = NOW - turn * 100_000;
            let page = format!(r#"{{"messages":[{{"dlqId":"m{turn}","createdAt":{at}}}],"cursor":"c{turn}"}}"#);
            listing.respond(id, &Response::new(page)).unwrap();
        }
        // The probe, and then windows.
        let (id, _) = sent(&mut listing, Duration::ZERO);
        listing.respond(id, &Response::new(r#"{"messages":[]}"#)).unwrap();
        sent(&mut listing, Duration::ZERO);
        assert!(listing.concurrency() > 1_000);
    }
}

/// A poll is a request, a wait or the end: there are no more of them than that, however many lanes there are.
#[test]
fn scheduling_stays_linear_in_lanes() {
    let mut bulk = on_lanes::<Restart>(ids(100_000), usize::MAX).build();
    let (mut polls, mut out) = (0, VecDeque::new());
    loop {
        polls += 1;
        match bulk.poll(Duration::ZERO) {
            Step::Send(id, _) => out.push_back(id),
            Step::AwaitResponse => {
                // All lanes are refused once; then each is answered as soon as it sends.
                let id: RequestId = out.pop_front().unwrap();
                bulk.respond(id, &page(1, "")).unwrap();
            }
            Step::WaitUntil(at) => panic!("{at:?}"),
            Step::Done(outcome) => {
                assert_eq!((outcome.totals.affected, outcome.totals.requests), (2_000, 2_000));
                break;
            }
        }
    }
    assert_eq!(polls, 2 * 2_000 + 1);
}

/// Whatever is said afterwards, and whenever it is asked.
#[test]
fn done_stays_done() {
    fn stays<O: Operation>(mut operation: O, response: &Response<String>)
    where
        O::Outcome: std::fmt::Debug,
    {
        let (id, _) = sent(&mut operation, SECOND);
        operation.respond(id, response).unwrap();
        let outcome = format!("{:?}", done(&mut operation, SECOND));
        for now in [Duration::ZERO, SECOND, Duration::MAX] {
            assert_eq!(operation.respond(id, response).err(), Some(InvalidState));
            assert_eq!(operation.fail(id, Delivery::Unknown).err(), Some(InvalidState));
            assert_eq!(operation.cancel_unsent(id), Err(InvalidState));
            assert_eq!(format!("{:?}", done(&mut operation, now)), outcome);
            operation.connection_lost();
            assert_eq!(operation.in_flight(), 0);
            assert_eq!(format!("{:?}", done(&mut operation, now)), outcome);
        }
    }
    let refused = Response::builder().status(401).body(String::new()).unwrap();
    let nothing = Response::new(r#"{"deleted":0,"messages":[],"workflowRuns":[]}"#.to_owned());
    for response in [&refused, &nothing] {
        for n in [1, 4] {
            for selected in [Selection::Everything, ids(3)] {
                stays(on_lanes::<Delete>(selected.clone(), n).build(), response);
                stays(on_lanes::<Resume>(selected, n).build(), response);
            }
            let list = Listing::builder(endpoint(), List::everything()).lanes(lanes(n), UnixMillis::new(NOW));
            stays(list.build(), response);
        }
        stays(on_lanes::<Delete>(Selection::Everything, 1).build_archived(), response);
        stays(SingleCall::builder(endpoint(), GetMessage(DlqId::new("a").unwrap())).build(), &refused);
    }
}

/// A lane that was refused for the sake of others has lost no attempt, also when its next request was taken back unsent.
#[test]
fn what_was_taken_back_leaves_no_trace_on_a_refused_lane() {
    for taken_back in [false, true] {
        let mut bulk = on_lanes::<Delete>(ids(9_000), 4).retry(attempts(2), 1).build();
        let [first, second, third, fourth] = all_sent(&mut bulk, Duration::ZERO)[..] else { panic!() };
        bulk.respond(third, &page(1, "")).unwrap();
        bulk.respond(fourth, &page(1, "")).unwrap();
        // Two may be in flight from here on.
        bulk.respond(first, &status(429, "1")).unwrap();
        assert!(matches!(bulk.poll(Duration::ZERO), Step::WaitUntil(SECOND)));
        if taken_back {
            let (again, _) = sent(&mut bulk, SECOND);
            assert_eq!(again.lane(), first.lane());
            bulk.cancel_unsent(again).unwrap();
        }
        bulk.respond(second, &page(1, "")).unwrap();
        let (again, _) = sent(&mut bulk, SECOND);
        assert_eq!(again.lane(), first.lane());
        let event = bulk.respond(again, &status(429, "1")).unwrap();
        assert!(matches!(event, Event::Retry(_)), "taken back: {taken_back}, {event:?}");
    }
}

/// The lane that waited is gone, and so is its wait.
#[test]
fn nothing_waits_for_a_lane_that_was_closed() {
    let mut listing = Listing::builder(endpoint(), List::everything()).lanes(lanes(4), UnixMillis::new(NOW)).build();
    let message = |n: i64, at: i64| format!(r#"{{"dlqId":"m{n}","createdAt":{at}}}"#);
    for turn in 0..8 {
        let (id, _) = sent(&mut listing, Duration::ZERO);
        let page = format!(r#"{{"messages":[{}],"cursor":"c{turn}"}}"#, message(turn, NOW - turn * 100_000_000));
        listing.respond(id, &Response::new(page)).unwrap();
    }
    let (probe, _) = sent(&mut listing, Duration::ZERO);
    listing.respond(probe, &Response::new(r#"{"messages":[]}"#)).unwrap();
    let windows = all_sent(&mut listing, Duration::ZERO);
    assert_eq!(windows.len(), 4);
    // One window has to wait; then another shows that the server keeps to no date.
    listing.respond(windows[0], &status(503, "50")).unwrap();
    listing.poll(Duration::ZERO);
    for id in &windows[1..] {
        let stray = format!(r#"{{"messages":[{},{}]}}"#, message(98, 0), message(99, NOW + 1_000_000_000));
        listing.respond(*id, &Response::new(stray)).unwrap();
    }
    let (_, query) = sent(&mut listing, Duration::ZERO);
    assert_eq!(query, "count=100&cursor=c7");
}

/// From the moment in which `poll` hands it out, a request is in flight, counted and in the checkpoint.
#[test]
fn what_poll_hands_out_is_in_flight_counted_and_saved() {
    fn hand_out<O: BulkOperation>(selected: Selection, n: usize) {
        let mut bulk = on_lanes::<O>(selected, n).build();
        if n > 1 && bulk.concurrency() == 1 && O::RETRY_SAFE {
            let (id, _) = sent(&mut bulk, Duration::ZERO);
            bulk.respond(id, &page(1, "c")).unwrap();
        }
        let before = bulk.totals();
        for in_flight in 1.. {
            let Step::Send(id, _) = bulk.poll(Duration::ZERO) else {
                assert_eq!(in_flight - 1, if O::RETRY_SAFE || bulk.ids_done() > 0 || n == 1 { n } else { 1 }.min(n));
                break;
            };
            let saved = bulk.checkpoint().to_json();
            let totals = bulk.totals();
            assert_eq!(bulk.in_flight(), in_flight);
            assert_eq!(totals.requests, before.requests + in_flight as u64);
            assert_eq!(totals.unconfirmed, before.unconfirmed + in_flight as u64);
            assert_eq!(bulk.outcome_so_far().totals, totals);
            assert_eq!(saved.matches("in-flight").count(), in_flight, "{saved}");
            assert_eq!(reread(&bulk).totals(), totals);
            // Taken back, it is none of that.
            let mut taken_back = bulk.clone();
            taken_back.cancel_unsent(id).unwrap();
            assert_eq!(taken_back.in_flight(), in_flight - 1);
            assert_eq!(taken_back.totals().requests, totals.requests - 1);
            assert_eq!(taken_back.checkpoint().to_json().matches("in-flight").count(), in_flight - 1);
        }
    }
    for n in [1, 4] {
        hand_out::<Delete>(Selection::Everything, n);
        hand_out::<Delete>(ids(9_000), n);
        hand_out::<Resume>(Selection::Everything, 1);
    }
}

/// Each request in doubt is settled by itself, its ids are named exactly, and nothing is sent before all are settled.
#[test]
fn doubts_on_several_lanes_are_settled_one_by_one() {
    let builder = on_lanes::<Resume>(ids(200), 4);
    for refused_first in [true, false] {
        let mut bulk = builder.clone().build();
        let batches: Vec<(RequestId, String)> = (0..4).map(|_| sent(&mut bulk, Duration::ZERO)).collect();
        let refusal = status(401, "1");
        if refused_first {
            bulk.respond(batches[2].0, &refusal).unwrap();
        }
        // Two are lost, one is refused, one is answered.
        bulk.fail(batches[3].0, Delivery::Unknown).unwrap();
        bulk.fail(batches[1].0, Delivery::Unknown).unwrap();
        if !refused_first {
            bulk.respond(batches[2].0, &refusal).unwrap();
        }
        assert!(matches!(bulk.poll(Duration::ZERO), Step::AwaitResponse), "one is still in flight");
        bulk.respond(batches[0].0, &page(1, "")).unwrap();
        // Here and in another process alike.
        for mut bulk in [bulk.clone(), builder.clone().resume_from(reread(&bulk)).unwrap()] {
            for (settlement, batch) in [(Settlement::Applied, 1), (Settlement::NotApplied, 3)] {
                let halted = done(&mut bulk, Duration::ZERO).halted;
                assert!(matches!(halted, Some(Halt::InDoubt { asked: 50, .. })), "{halted:?}");
                let Some(InDoubt::Ids(named)) = bulk.in_doubt() else { panic!() };
                let named: Vec<String> = named.iter().map(|id| format!("dlqIds={id}")).collect();
                assert_eq!(named.join("&"), batches[batch].1);
                bulk.settle(settlement).unwrap();
            }
            assert_eq!(bulk.settle(Settlement::Applied), Err(InvalidState));
            assert!(bulk.in_doubt().is_none());
            // What was refused and what was not applied is sent again, and nothing else.
            let again: BTreeSet<String> = (0..2).map(|_| sent(&mut bulk, Duration::ZERO).1).collect();
            assert_eq!(again, BTreeSet::from([batches[2].1.clone(), batches[3].1.clone()]));
            assert!(matches!(bulk.poll(Duration::ZERO), Step::AwaitResponse));
            assert_eq!((bulk.ids_done(), bulk.totals().affected, bulk.totals().unconfirmed), (100, 1, 1 + 2));
        }
    }
}

/// Names of requests are never used again: a late response to an earlier request of the same lane changes nothing.
#[test]
fn a_late_response_is_refused_and_changes_nothing() {
    fn late<O: BulkOperation>(selected: Selection, n: usize) {
        let mut bulk = on_lanes::<O>(selected, n).build();
        let (early, query) = sent(&mut bulk, Duration::ZERO);
        bulk.fail(early, Delivery::NotSent).unwrap();
        let (later, again) = match bulk.poll(Duration::from_secs(60)) {
            Step::Send(id, request) => (id, request.uri().query().unwrap().to_owned()),
            Step::WaitUntil(at) => sent(&mut bulk, at),
            other => panic!("{other:?}"),
        };
        let current = if later.lane() == early.lane() { later } else { early };
        assert!(n > 1 || (current.lane() == early.lane() && query == again));
        let before = format!("{bulk:?}");
        for response in [&page(1, "x"), &page(0, ""), &status(401, "1").map(str::to_owned)] {
            assert_eq!(bulk.respond(early, response), Err(InvalidState));
        }
        assert_eq!(bulk.fail(early, Delivery::Unknown), Err(InvalidState));
        assert_eq!(bulk.fail(early, Delivery::NotSent), Err(InvalidState));
        assert_eq!(bulk.cancel_unsent(early), Err(InvalidState));
        assert_eq!(format!("{bulk:?}"), before);
        bulk.respond(later, &page(1, "")).unwrap();
    }
    for n in [1, 3] {
        late::<Delete>(Selection::Everything, n);
        late::<Resume>(Selection::Everything, n);
        late::<Delete>(ids(3), n);
        late::<Restart>(ids(900), n);
    }
}

/// Between two looks at a listing that lags, an archived delete waits. Another driver, with another clock, waits for the rest.
#[test]
fn a_pause_between_looks_belongs_to_no_clock() {
    let policy = RetryPolicy::default().base(Duration::from_secs(20));
    let mut archive = on_lanes::<Delete>(Selection::Everything, 1).retry(policy, 3).build_archived();
    let listed = Response::new(r#"{"deleted":1,"messages":[{"dlqId":"a"}]}"#);
    let hour = 3_600 * SECOND;
    let (id, _) = sent(&mut archive, hour);
    let Ok(Event::Page(page)) = archive.respond(id, &listed) else { panic!() };
    archive.stored(page.batch.unwrap().number).unwrap();
    for _ in 0..2 {
        // The delete, and a listing that still shows what was deleted.
        let (id, _) = sent(&mut archive, hour);
        archive.respond(id, &listed).unwrap();
    }
    let Step::WaitUntil(at) = archive.poll(hour) else { panic!() };
    assert!(at > hour + SECOND);
    let left = at - hour - SECOND;
    assert!(matches!(archive.poll(hour + SECOND), Step::WaitUntil(same) if same == at));
    for now in [Duration::ZERO, 9 * hour] {
        archive.connection_lost();
        assert!(matches!(archive.poll(now), Step::WaitUntil(at) if at == now + left));
    }
    let (_, query) = sent(&mut archive, 9 * hour + left);
    assert_eq!(query, "count=100");
}
