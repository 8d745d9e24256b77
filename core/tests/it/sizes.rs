//! Messages of any size: pages shrink until they fit, grow back, and no run is skipped or repeated.

use crate::cases::cases;
use http::{Request, Response};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::client::response_too_large;
use upstash_dlq_core::engine::{Cause, Oversized, RequestId};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{GetMessage, List, ResponseBound};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Delivery, DlqId, Endpoint, Event, Filter, GetMany, Halt, Listing, Operation, RetryPolicy,
    Selection, SingleCall, Step, Token, TransportFailure, UnixMillis,
};

/// The bounds of the client. Small, so that small messages meet them.
const PAGE: usize = 2_000;
const MESSAGE: usize = 8_000;
/// The time between two runs, in milliseconds.
const APART: i64 = 1_000;

type Sent = Result<Response<Vec<u8>>, TransportFailure>;

/// A queue with a run for each size, in the order of their times, behind a client with those bounds.
struct Queue {
    runs: BTreeMap<usize, usize>,
    /// Whether a cursor is valid only with the count that it was given out for.
    binds_count: bool,
    /// The counts of the listings that were sent.
    counts: Vec<usize>,
    requests: usize,
}

fn message(n: usize, size: usize) -> String {
    let at = i64::try_from(n).unwrap() * APART;
    format!(r#"{{"dlqId":"r{n}","createdAt":{at},"workflowCreatedAt":{at},"body":"{}"}}"#, "x".repeat(size))
}

impl Queue {
    fn new(sizes: &[usize]) -> Self {
        let runs = sizes.iter().copied().enumerate().collect();
        Self { runs, binds_count: false, counts: Vec::new(), requests: 0 }
    }

    fn send(&mut self, request: &Request<()>) -> Sent {
        self.requests += 1;
        let response = self.serve(request);
        let bound = match ResponseBound::of(request) {
            ResponseBound::Page => PAGE,
            ResponseBound::Message => MESSAGE,
        };
        if response.body().len() > bound { Err(response_too_large(bound)) } else { Ok(response) }
    }

    fn serve(&mut self, request: &Request<()>) -> Response<Vec<u8>> {
        let with = |status: u16, body: String| Response::builder().status(status).body(body.into_bytes()).unwrap();
        let query = request.uri().query().unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        if request.method() == "DELETE" {
            let ids =
                pairs.iter().filter(|(name, _)| name == "dlqIds").map(|(_, id)| id[1..].parse::<usize>().unwrap());
            let deleted = ids.filter(|n| self.runs.remove(n).is_some()).count();
            return with(200, format!(r#"{{"deleted":{deleted}}}"#));
        }
        if let Some(n) = request.uri().path().strip_prefix("/v2/workflows/dlq/r") {
            let n = n.parse().unwrap();
            return match self.runs.get(&n) {
                Some(size) => with(200, message(n, *size)),
                None => with(404, r#"{"error":"not found"}"#.to_owned()),
            };
        }
        let count: usize = value("count").unwrap().parse().unwrap();
        self.counts.push(count);
        let time = |name: &str, open: i64| value(name).map_or(open, |at| at.parse().unwrap());
        let (from, to) = (time("fromDate", i64::MIN), time("toDate", i64::MAX));
        let mut after = None;
        if let Some(cursor) = value("cursor") {
            let (last, size) = cursor.split_once('/').unwrap();
            if self.binds_count && size != count.to_string() {
                return with(400, r#"{"error":"the cursor belongs to another count"}"#.to_owned());
            }
            after = Some(last.parse::<usize>().unwrap());
        }
        let matches = |n: &usize| {
            let at = i64::try_from(*n).unwrap() * APART;
            (from..=to).contains(&at) && after.is_none_or(|after| *n > after)
        };
        let page: Vec<(usize, usize)> =
            self.runs.iter().filter(|(n, _)| matches(n)).take(count).map(|(n, size)| (*n, *size)).collect();
        let cursor = page.last().filter(|_| page.len() == count).map(|(n, _)| format!("{n}/{count}"));
        let messages: Vec<String> = page.into_iter().map(|(n, size)| message(n, size)).collect();
        with(200, format!(r#"{{"messages":[{}],"cursor":"{}"}}"#, messages.join(","), cursor.unwrap_or_default()))
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new("http://127.0.0.1:1", Token::new("t").unwrap()).unwrap()
}

/// No request may be repeated: a smaller page is another request.
fn once() -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::MIN)
}

fn listing(page_size: u32, lanes: usize, runs: usize, policy: RetryPolicy) -> Listing {
    let now = UnixMillis::new(i64::try_from(runs).unwrap() * APART);
    let lanes = NonZeroUsize::new(lanes).unwrap();
    Listing::builder(endpoint(), List::everything().page_size(page_size)).retry(policy, 1).lanes(lanes, now).build()
}

/// To the end, with responses in the order of the requests. Nobody may wait if nobody has failed.
fn run<O: Operation>(
    queue: &mut Queue,
    operation: &mut O,
    may_wait: bool,
    mut on_event: impl FnMut(&mut O, Event<O::Page>),
) -> O::Outcome {
    let mut clock = Duration::ZERO;
    let mut in_flight: VecDeque<(RequestId, Sent)> = VecDeque::new();
    loop {
        assert!(queue.requests < 100_000, "it does not end");
        match operation.poll(clock) {
            Step::Done(outcome) => return outcome,
            Step::Send(id, request) => {
                let sent = queue.send(&request);
                in_flight.push_back((id, sent));
                continue;
            }
            Step::WaitUntil(at) => {
                assert!(may_wait, "it waits");
                clock = at;
            }
            Step::AwaitResponse => {}
        }
        if let Some((id, sent)) = in_flight.pop_front() {
            let event = match sent {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    operation.on_response(id, Response::from_parts(parts, body.as_slice()))
                }
                Err(failure) => operation.on_failure(id, failure),
            };
            on_event(operation, event.unwrap());
        }
    }
}

/// The runs that a listing hands over, as they come, and how it ends.
fn list_all(queue: &mut Queue, mut listing: Listing, may_wait: bool) -> (Vec<usize>, Option<Halt>) {
    let mut listed = Vec::new();
    let sizes = queue.runs.clone();
    let outcome = run(queue, &mut listing, may_wait, |_, event| {
        let Event::Page(page) = event else { return };
        for run in page.messages {
            let n = run.dlq_id().unwrap().as_str()[1..].parse().unwrap();
            assert_eq!(run.as_json(), message(n, sizes[&n]));
            listed.push(n);
        }
    });
    assert_eq!(outcome.listed, listed.len() as u64);
    assert_eq!(outcome.totals.requests, queue.requests as u64);
    assert_eq!(outcome.totals.retries, 0);
    (listed, outcome.halted)
}

fn each_once(mut listed: Vec<usize>, runs: usize) -> bool {
    listed.sort_unstable();
    listed.iter().copied().eq(0..runs)
}

/// Sizes as they lie in a queue: mostly small, mostly large, or large ones here and there. None is larger than may be.
fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = (0_u8..10, 0_usize..60, 200_usize..1_200, 1_500_usize..7_800);
    let shape = prop::sample::select(vec![[10, 10], [0, 10], [0, 0], [7, 9], [9, 9], [3, 6]]);
    (shape, prop::collection::vec(size, 0..150)).prop_map(|([small, middle], sizes)| {
        let pick = |(dice, least, more, most)| match dice {
            dice if dice < small => least,
            dice if dice < middle => more,
            _ => most,
        };
        sizes.into_iter().map(pick).collect()
    })
}

proptest! {
    #![proptest_config(cases(80, 6_000))]

    #[test]
    fn every_message_comes_once_whatever_its_size(
        sizes in sizes(), page_size in 1_u32..=100, lanes in 1_usize..6, binds_count in any::<bool>(),
    ) {
        let mut queue = Queue { binds_count, ..Queue::new(&sizes) };
        let (listed, halted) = list_all(&mut queue, listing(page_size, lanes, sizes.len(), once()), false);
        // A part of a window that begins at a cursor cannot be asked for with another count, and that is said.
        let may_be_refused = binds_count && lanes > 1;
        match halted {
            None => prop_assert!(each_once(listed.clone(), sizes.len()), "{listed:?}"),
            Some(Halt::Refused { .. }) if may_be_refused => {
                let mut seen = listed.clone();
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), listed.len(), "a run came twice");
            }
            Some(halt) => prop_assert!(false, "{halt}"),
        }
        if lanes == 1 && !binds_count {
            prop_assert!(listed.is_sorted(), "{listed:?}");
        }
        prop_assert!(queue.counts.iter().all(|count| *count <= usize::try_from(page_size).unwrap()));
    }

    #[test]
    fn an_archive_has_each_message_once_and_only_then_it_is_deleted(
        sizes in sizes(), page_size in 1_u32..=100, max in prop::option::of(1_u64..100), binds_count in any::<bool>(),
    ) {
        let mut queue = Queue { binds_count, ..Queue::new(&sizes) };
        let page_size = NonZeroU32::new(page_size).unwrap();
        let builder = BulkDelete::builder(endpoint(), Selection::Everything).page_size(page_size).retry(once(), 1);
        let mut archived = builder.max(max.map(|max| max.try_into().unwrap())).build_archived();
        let mut kept = Vec::new();
        let outcome = run(&mut queue, &mut archived, false, |operation, event| {
            let Event::Page(page) = event else { return };
            if let Some(batch) = page.batch {
                kept.extend(batch.messages.iter().map(|message| message.as_json().to_owned()));
                operation.stored(batch.number).unwrap();
            }
        });
        prop_assert!(outcome.halted.is_none(), "{outcome:?}");
        let expected: Vec<String> = sizes.iter().enumerate().map(|(n, size)| message(n, *size))
            .take(max.map_or(usize::MAX, |max| usize::try_from(max).unwrap())).collect();
        prop_assert_eq!(queue.runs.len(), sizes.len() - expected.len());
        prop_assert_eq!(kept, expected);
        let most = u64::from(page_size.get()).min(max.unwrap_or(u64::MAX));
        prop_assert!(queue.counts.iter().all(|count| *count as u64 <= most));
    }
}

#[test]
fn the_page_size_grows_back() {
    let sizes = [vec![10; 100], vec![7_000; 3], vec![10; 900]].concat();
    let mut queue = Queue::new(&sizes);
    let (listed, halted) = list_all(&mut queue, listing(20, 1, sizes.len(), once()), false);
    assert!(halted.is_none() && listed.into_iter().eq(0..sizes.len()));
    let smallest = queue.counts.iter().rposition(|count| *count == 1).unwrap();
    let (shrunk, grown) = queue.counts.split_at(smallest + 1);
    assert!(shrunk.starts_with(&[20, 20, 20, 20, 20, 20, 10, 5, 2, 1, 1, 1]), "{shrunk:?}");
    assert!(grown.starts_with(&[2, 4, 8]) && grown.len() < 130, "{grown:?}");
    // Pages of eight are more than a quarter of the bound: they stay.
    assert_eq!(grown.iter().max(), Some(&8));
    let tiny = [vec![1_500; 2], vec![0; 300]].concat();
    let mut queue = Queue::new(&tiny);
    list_all(&mut queue, listing(5, 1, tiny.len(), once()), false);
    assert_eq!(queue.counts.last(), Some(&5));
}

/// A pass begins with the size that the pass before it has found.
#[test]
fn another_pass_does_not_begin_with_pages_that_are_too_large() {
    let mut queue = Queue::new(&[1_000; 8]);
    let filter = Filter::builder().from(UnixMillis::new(0)).build().unwrap();
    let delete = BulkDelete::builder(endpoint(), Selection::Filter(filter)).page_size(NonZeroU32::new(20).unwrap());
    let mut delete = delete.retry(once(), 1).lanes(NonZeroUsize::MIN, UnixMillis::new(8 * APART)).build_archived();
    let outcome = run(&mut queue, &mut delete, true, |delete, event| {
        if let Event::Page(page) = event {
            page.batch.into_iter().for_each(|batch| delete.stored(batch.number).unwrap());
        }
    });
    assert_eq!((outcome.halted, outcome.totals.affected, outcome.verified), (None, 8, true));
    assert!(queue.counts.starts_with(&[20, 10, 5, 2, 1]), "{:?}", queue.counts);
    assert_eq!(queue.counts.iter().filter(|count| **count > 2).count(), 3, "{:?}", queue.counts);
}

/// Which message it is: its number, the cursor before it, and the window that is listed.
#[test]
fn a_message_that_is_too_large_is_named_by_its_place() {
    let mut sizes = vec![10; 90];
    sizes[57] = MESSAGE;
    let halt = |queue: &mut Queue, listing| list_all(queue, listing, false);
    let mut queue = Queue::new(&sizes);
    let (listed, halted) = halt(&mut queue, listing(10, 1, 90, once()));
    assert!(listed.into_iter().eq(0..57));
    let Some(Halt::TooLarge { what: Oversized::Listed { number, after, from, to }, bound }) = &halted else {
        panic!("{halted:?}")
    };
    assert_eq!((*number, *bound, *from, *to), (58, MESSAGE as u64, None, None));
    let after = after.as_ref().unwrap().as_str();
    assert!(after.starts_with("56/"), "{after}");
    let said = halted.as_ref().unwrap().to_string();
    let end = format!("after the cursor {after} is larger than 8000 bytes, the most that is read");
    assert_eq!(said, format!("message 58 of the listing, {end}"));
    assert!(!halted.unwrap().may_have_changed());

    let filter = Filter::builder().from(UnixMillis::new(50 * APART)).to(UnixMillis::new(80 * APART)).build().unwrap();
    let dated = Listing::builder(endpoint(), List::matching(filter)).retry(once(), 1).build();
    let (listed, halted) = halt(&mut Queue::new(&sizes), dated);
    assert_eq!(listed.len(), 7);
    let said = halted.unwrap().to_string();
    assert!(
        said.starts_with("message 8 of the listing from 50000 to 80000 (milliseconds since 1970), after"),
        "{said}"
    );

    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).retry(once(), 1).build_archived();
    let mut queue = Queue::new(&[&[MESSAGE][..], &[1; 9]].concat());
    let outcome = run(&mut queue, &mut archived, false, |_, event| {
        assert!(!matches!(event, Event::Page(_)), "nothing fits before it");
    });
    let first = Oversized::Listed { number: 1, after: None, from: None, to: None };
    assert_eq!(outcome.halted, Some(Halt::TooLarge { what: first, bound: MESSAGE as u64 }));
    assert_eq!(queue.runs.len(), 10, "something was deleted");
}

/// A broken proxy may have sent it, so what cannot be made smaller is asked for once more, and no oftener.
#[test]
fn one_message_that_is_too_large_is_asked_for_twice() {
    let id = || DlqId::new("r0").unwrap();
    let twice = RetryPolicy::default();
    let mut queue = Queue::new(&[MESSAGE]);
    let mut many = GetMany::builder(endpoint(), Ids::new(vec![id()]).unwrap()).retry(twice, 1).build();
    let outcome = run(&mut queue, &mut many, true, |_, _| {});
    let named = Halt::TooLarge { what: Oversized::Run { id: id() }, bound: MESSAGE as u64 };
    assert_eq!((outcome.halted, queue.requests), (Some(named.clone()), 2));
    assert_eq!(named.to_string(), "the message of the run r0 is larger than 8000 bytes, the most that is read");

    let mut queue = Queue::new(&[MESSAGE]);
    let mut single = SingleCall::builder(endpoint(), GetMessage(id())).retry(twice, 1).build();
    let halted = run(&mut queue, &mut single, true, |_, _| {}).unwrap_err();
    assert_eq!(halted, Halt::TooLarge { what: Oversized::Response, bound: MESSAGE as u64 });
    assert_eq!(queue.requests, 2);

    // What cannot be stored is not deleted, and neither is what waits with it for the batch to be full.
    let mut queue = Queue::new(&[10, MESSAGE]);
    let delete = BulkDelete::builder(endpoint(), Selection::Ids(Ids::parse(["r1", "r0"]).unwrap())).retry(twice, 1);
    let outcome = run(&mut queue, &mut delete.build_archived(), true, |_, _| {});
    let what = Oversized::Run { id: DlqId::new("r1").unwrap() };
    assert_eq!(outcome.halted, Some(Halt::TooLarge { what, bound: MESSAGE as u64 }));
    assert_eq!((queue.requests, queue.runs.len(), outcome.archived), (2, 2, 0));

    // A proxy has broken off, and the next response is right.
    let mut call = SingleCall::builder(endpoint(), GetMessage(id())).build();
    let Step::Send(sent, _) = call.poll(Duration::ZERO) else { panic!() };
    assert!(matches!(call.on_failure(sent, response_too_large(9)).unwrap(), Event::Retry(_)));
    let Step::WaitUntil(at) = call.poll(Duration::ZERO) else { panic!() };
    let Step::Send(sent, _) = call.poll(at) else { panic!() };
    call.on_response(sent, Response::new(&br#"{"dlqId":"r0"}"#[..])).unwrap();
    assert!(matches!(call.poll(at), Step::Done(Ok(_))));
}

/// A window starts again only as long as it knows what it has handed over.
#[test]
fn a_refused_count_is_said_where_runs_would_come_twice() {
    let sizes = |small: usize| [vec![0; small], vec![900; 50]].concat();
    for (small, is_listed) in [(4_000, true), (5_000, false)] {
        let sizes = sizes(small);
        let mut queue = Queue { binds_count: true, ..Queue::new(&sizes) };
        let (listed, halted) = list_all(&mut queue, listing(10, 1, sizes.len(), once()), false);
        if is_listed {
            assert!(halted.is_none() && each_once(listed, sizes.len()), "{halted:?}");
        } else {
            assert!(matches!(halted, Some(Halt::Refused { .. })), "{halted:?}");
            assert!(listed.into_iter().eq(0..small), "what was handed over came in order, and once");
        }
    }
}

/// The listing goes on alone, as the server has shown to ignore dates. Its cursor is refused, and not for its count.
#[test]
fn a_cursor_that_is_refused_with_its_own_count_ends_the_listing() {
    let mut listing = listing(2, 4, 100, once());
    let page = |runs: std::ops::Range<usize>, cursor: &str| {
        let messages: Vec<String> = runs.map(|n| message(n, 1)).collect();
        Response::new(format!(r#"{{"messages":[{}],"cursor":"{cursor}"}}"#, messages.join(",")).into_bytes())
    };
    for n in 0..9 {
        let Step::Send(id, request) = listing.poll(Duration::ZERO) else { panic!() };
        assert_eq!(request.uri().query().unwrap().contains("Date="), n == 8, "{request:?}");
        let response = if n < 8 { page(2 * n..2 * n + 2, &format!("c{n}")) } else { page(0..2, "") };
        let (parts, body) = response.into_parts();
        listing.on_response(id, Response::from_parts(parts, body.as_slice())).unwrap();
    }
    let Step::Send(id, request) = listing.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.uri().query(), Some("count=2&cursor=c7"));
    let refused = Response::builder().status(400).body(&br#"{"error":"no such cursor"}"#[..]).unwrap();
    listing.on_response(id, refused).unwrap();
    let Step::Done(outcome) = listing.poll(Duration::ZERO) else { panic!("it goes on") };
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })) && outcome.dates_ignored, "{outcome:?}");
}

/// As before: whoever may have changed something is not asked to do less.
#[test]
fn a_response_to_a_change_that_is_too_large_is_unknown() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(once(), 1).build();
    let Step::Send(id, request) = delete.poll(Duration::ZERO) else { panic!() };
    assert_eq!(ResponseBound::of(&request), ResponseBound::Page);
    assert_eq!(delete.on_failure(id, response_too_large(PAGE)).unwrap(), Event::Ended);
    let Step::Done(outcome) = delete.poll(Duration::ZERO) else { panic!() };
    assert_eq!(outcome.totals.unconfirmed, 1);
    assert!(
        matches!(&outcome.halted, Some(Halt::GaveUp { last: Cause::Transport(failure), may_have_changed: true, .. })
        if failure.larger_than == Some(PAGE as u64))
    );

    let one = Selection::Ids(Ids::parse(["r0"]).unwrap());
    for selection in [Selection::Everything, one] {
        let mut resume = BulkResume::builder(endpoint(), selection).build();
        let Step::Send(id, _) = resume.poll(Duration::ZERO) else { panic!() };
        assert_eq!(resume.on_failure(id, response_too_large(PAGE)).unwrap(), Event::Ended);
        assert!(matches!(resume.halt(), Some(Halt::InDoubt { .. })), "{:?}", resume.halt());
    }
}

#[test]
fn the_json_of_a_failure_says_the_bound_if_there_is_one() {
    let json = serde_json::to_string(&response_too_large(PAGE)).unwrap();
    assert!(json.ends_with(r#","library":null,"larger_than":2000}"#), "{json}");
    assert_eq!(serde_json::from_str::<TransportFailure>(&json).unwrap(), response_too_large(PAGE));
    let before = r#"{"delivery":"unknown","message":"no response arrived","library":null}"#;
    let failure = serde_json::from_str::<TransportFailure>(before).unwrap();
    assert_eq!(failure, Delivery::Unknown.into());
    assert_eq!(serde_json::to_string(&failure).unwrap(), before);
}
