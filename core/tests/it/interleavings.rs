//! Every method of every operation in any order: counts stay true, nothing is refused that is in flight, and it ends.

use crate::cases::cases;
use crate::one_lane::Respond;
use crate::world::{NOW, endpoint, lanes};
use http::{Method, Response};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::{InvalidState, RequestId};
use upstash_dlq_core::operation::{ArchivePage, Bulk, BulkBuilder};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Call, Delete, GetMessage, List, ListPage, Restart, RestartOne, Resume};
use upstash_dlq_core::{
    ArchivedDelete, Checkpoint, Delivery, DlqId, Event, Listing, Operation, RetryPolicy, Selection, Settlement,
    SingleCall, Step, Totals, UnixMillis,
};

const IDS: usize = 400;
const SLICE: Duration = Duration::from_millis(700);

/// An operation with what only its kind has.
trait Subject: Operation<Outcome: Debug> + Clone + Debug {
    fn on_page(&mut self, _page: Self::Page) {}
    /// Whether it waits for its caller, with nothing in flight.
    fn is_blocked(&self) -> bool {
        false
    }
    /// What the caller does, by its kind. Returns whether a request that was unconfirmed no longer is.
    fn act(&mut self, _how: u8) -> bool {
        false
    }
    /// Another process goes on. Returns false where none can.
    fn restart(&mut self) -> bool {
        false
    }
    /// Nothing is left to do, not even to settle.
    fn is_over(&self, _outcome: &Self::Outcome) -> bool {
        true
    }
}

#[derive(Clone, Debug)]
struct InBulk<O: BulkOperation> {
    bulk: Bulk<O>,
    builder: BulkBuilder<O>,
}

#[derive(Clone, Debug)]
struct InArchive {
    archive: ArchivedDelete,
    /// The batches that wait to be stored.
    batches: Vec<u64>,
}

macro_rules! operation {
    ($name:ty { $field:ident: $inner:ty } $(, $generic:ident: $bound:path)?) => {
        impl$(<$generic: $bound>)? Operation for $name {
            type Page = <$inner as Operation>::Page;
            type Outcome = <$inner as Operation>::Outcome;
            fn poll(&mut self, now: Duration) -> Step<Self::Outcome> {
                self.$field.poll(now)
            }
            fn on_response(&mut self, id: RequestId, response: Response<&[u8]>) -> Result<Event<Self::Page>, InvalidState> {
                self.$field.on_response(id, response)
            }
            fn on_failure(&mut self, id: RequestId, failure: upstash_dlq_core::TransportFailure) -> Result<Event<Self::Page>, InvalidState> {
                self.$field.on_failure(id, failure)
            }
            fn cancel_unsent(&mut self, id: RequestId) -> Result<(), InvalidState> {
                self.$field.cancel_unsent(id)
            }
            fn connection_lost(&mut self) {
                self.$field.connection_lost();
            }
            fn totals(&self) -> Totals {
                self.$field.totals()
            }
            fn name(&self) -> &'static str {
                self.$field.name()
            }
            fn halt(&self) -> Option<&upstash_dlq_core::Halt> {
                self.$field.halt()
            }
            fn in_flight(&self) -> usize {
                self.$field.in_flight()
            }
            fn halt_for(&mut self, reason: upstash_dlq_core::Halt) {
                self.$field.halt_for(reason);
            }
            fn outcome_halted(&self, halt: upstash_dlq_core::Halt) -> Self::Outcome {
                self.$field.outcome_halted(halt)
            }

            fn concurrency(&self) -> usize {
                self.$field.concurrency()
            }
        }
    };
}

operation!(InBulk<O> { bulk: Bulk<O> }, O: BulkOperation);
operation!(InArchive { archive: ArchivedDelete });

impl<O: BulkOperation> Subject for InBulk<O> {
    fn act(&mut self, how: u8) -> bool {
        let settlement = if how % 2 == 0 { Settlement::Applied } else { Settlement::NotApplied };
        let is_in_doubt = self.bulk.in_doubt().is_some();
        assert_eq!(self.bulk.settle(settlement).is_ok(), is_in_doubt);
        is_in_doubt && settlement == Settlement::NotApplied
    }

    fn restart(&mut self) -> bool {
        let saved = Checkpoint::from_json(self.bulk.checkpoint().to_json().as_bytes()).unwrap();
        assert_eq!(saved.totals(), self.bulk.totals());
        self.bulk = self.builder.clone().resume_from(saved).unwrap();
        true
    }

    fn is_over(&self, outcome: &Self::Outcome) -> bool {
        let is_whole = outcome.halted.is_none() && outcome.verified;
        let is_by_ids = matches!(self.bulk.selection(), Selection::Ids(_));
        assert!(!is_whole || !is_by_ids || self.bulk.ids_done() == IDS as u64, "complete without {outcome:?}");
        self.bulk.in_doubt().is_none()
    }
}

impl Subject for InArchive {
    fn on_page(&mut self, page: ArchivePage) {
        if let Some(batch) = page.batch {
            assert!(!batch.messages.is_empty());
            assert!(!self.batches.contains(&batch.number), "two batches with one number");
            self.batches.push(batch.number);
        }
    }

    fn is_blocked(&self) -> bool {
        !self.batches.is_empty()
    }

    fn act(&mut self, how: u8) -> bool {
        let next = self.batches.iter().max().map_or(0, |last| last + 1);
        assert_eq!(self.archive.stored(next), Err(InvalidState));
        if self.batches.is_empty() || how % 4 == 3 {
            return false;
        }
        let number = self.batches.remove(usize::from(how / 4) % self.batches.len());
        let taken = if how % 4 == 2 { self.archive.not_stored(number) } else { self.archive.stored(number) };
        assert_eq!(taken, Ok(()));
        assert_eq!(self.archive.stored(number), Err(InvalidState));
        assert_eq!(self.archive.not_stored(number), Err(InvalidState));
        false
    }
}

impl Subject for Listing {
    fn on_page(&mut self, page: ListPage) {
        assert!(self.outcome_so_far().listed >= page.messages.len() as u64);
    }
}

impl<C: Call<Output: Debug> + Clone + Debug> Subject for SingleCall<C> {}

struct Play<S> {
    subject: S,
    lanes: usize,
    now: Duration,
    /// What was handed out and has not landed, and whether it changes something.
    out: BTreeMap<RequestId, bool>,
    landed: Option<RequestId>,
    turn: u64,
    before: Totals,
}

impl<S: Subject> Play<S> {
    fn poll(&mut self) -> Option<S::Outcome> {
        match self.subject.poll(self.now) {
            Step::Send(id, request) => {
                assert!(!self.out.keys().any(|other| other.lane() == id.lane()), "two requests of one lane");
                assert!(self.out.insert(id, request.method() != Method::GET).is_none());
            }
            Step::WaitUntil(at) => {
                assert!(at > self.now, "a wait for what has passed");
                assert!(at - self.now <= Duration::from_secs(61), "a time of another clock");
                if self.out.is_empty() {
                    self.now = at;
                }
            }
            Step::AwaitResponse => {
                assert!(!self.out.is_empty() || self.subject.is_blocked(), "it awaits what cannot come");
            }
            Step::Done(outcome) => {
                assert!(self.out.is_empty(), "done with requests in flight");
                let again = self.subject.poll(self.now + SLICE);
                assert!(matches!(&again, Step::Done(same) if format!("{same:?}") == format!("{outcome:?}")));
                return Some(outcome);
            }
        }
        None
    }

    fn says(&mut self, how: u8) -> Response<String> {
        self.turn += 1;
        let turn = self.turn;
        let page = |runs: u32, cursor: String| {
            let message = if runs > 0 {
                format!(r#"{{"dlqId":"m{}","createdAt":{}}}"#, turn % 50, NOW - 900_000_000 * i64::from(how))
            } else {
                String::new()
            };
            let started = if runs > 0 { r#"{"workflowRunId":"w"}"# } else { "" };
            Response::new(format!(
                r#"{{"dlqId":"m0","deleted":{runs},"messages":[{message}],"workflowRuns":[{started}],"workflowRunId":"w","cursor":"{cursor}"}}"#
            ))
        };
        let status = |status: u16| {
            let response = Response::builder().status(status).header("retry-after", (how % 7).to_string());
            response.header("burst-ratelimit-limit", "20").body(r#"{"error":"no"}"#.to_owned()).unwrap()
        };
        match how % 16 {
            0..=3 => page(1, format!("c{turn}")),
            4 => page(0, format!("c{turn}")),
            5 => page(1, "same".to_owned()),
            6 | 7 => page(1, String::new()),
            8 => page(0, String::new()),
            9 | 10 => status(429),
            11 => status(503),
            12 => status(410),
            13 if how > 128 => status(401),
            14 => Response::new("<html>".to_owned()),
            _ => page(u32::from(how) * 100, format!("c{turn}")),
        }
    }

    fn chosen(&mut self, how: u8) -> Option<RequestId> {
        let id = self.out.keys().nth(usize::from(how) % self.out.len().max(1)).copied()?;
        self.out.remove(&id);
        self.landed = Some(id);
        Some(id)
    }

    fn answer(&mut self, id: RequestId, response: &Response<String>) {
        match self.subject.respond(id, response).expect("it is in flight") {
            Event::Page(page) => self.subject.on_page(page),
            Event::Retry(_) | Event::Ended => {}
            _ => unreachable!("another kind of event"),
        }
    }

    /// Returns true when nothing is left to do.
    fn step(&mut self, what: u8, how: u8) -> bool {
        let mut is_refunded = false;
        match what % 16 {
            0..=4 => {
                if let Some(outcome) = self.poll() {
                    if self.subject.is_over(&outcome) {
                        return true;
                    }
                }
            }
            5..=8 => {
                if let Some(id) = self.chosen(what >> 4) {
                    let response = self.says(how);
                    self.answer(id, &response);
                }
            }
            9 => {
                if let Some(id) = self.chosen(what >> 4) {
                    let delivery = if how % 2 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                    self.subject.fail(id, delivery).expect("it is in flight");
                }
            }
            10 => {
                if let Some(id) = self.chosen(how) {
                    self.subject.cancel_unsent(id).expect("it is in flight");
                }
            }
            11 => {
                // Another driver goes on, whose clock says anything.
                self.subject.connection_lost();
                self.out.clear();
                self.now = Duration::from_secs(u64::from(how) * 100);
            }
            12 | 13 => is_refunded = self.subject.act(how),
            14 if how % 4 == 0 => {
                if self.subject.restart() {
                    self.out.clear();
                    self.landed = None;
                    self.now = Duration::ZERO;
                }
            }
            14 => self.now += SLICE,
            _ => {
                let Some(id) = self.landed.filter(|id| !self.out.contains_key(id)) else { return false };
                let before = format!("{:?}", self.subject);
                let response = self.says(how);
                assert_eq!(self.subject.respond(id, &response).err(), Some(InvalidState));
                assert_eq!(self.subject.fail(id, Delivery::Unknown).err(), Some(InvalidState));
                assert_eq!(self.subject.cancel_unsent(id), Err(InvalidState));
                assert_eq!(format!("{:?}", self.subject), before);
                // Anybody may go on with a copy.
                self.subject = self.subject.clone();
            }
        }
        self.check(is_refunded);
        false
    }

    fn check(&mut self, is_refunded: bool) {
        let out = self.out.len();
        assert_eq!(self.subject.in_flight(), out);
        assert!((1..=self.lanes).contains(&self.subject.concurrency()) && out <= self.subject.concurrency());
        let mut now = self.subject.totals();
        now.requests -= out as u64;
        now.unconfirmed -= self.out.values().filter(|changes| **changes).count() as u64;
        let before = std::mem::replace(&mut self.before, now);
        let refunded = u64::from(is_refunded);
        assert!(before.affected <= now.affected && before.pages <= now.pages, "{before:?} {now:?}");
        assert!(before.requests <= now.requests && before.retries <= now.retries, "{before:?} {now:?}");
        assert!(before.unconfirmed <= now.unconfirmed + refunded, "{before:?} {now:?}");
        assert!(now.pages + now.unconfirmed <= now.requests, "{now:?}");
    }

    /// From here on the server says at once that nothing is left, and the caller does what is asked of it.
    fn end(&mut self) {
        let last = Response::new(
            r#"{"dlqId":"m0","deleted":0,"messages":[],"workflowRuns":[],"workflowRunId":"w"}"#.to_owned(),
        );
        for _ in 0..20_000 {
            if let Some(outcome) = self.poll() {
                if self.subject.is_over(&outcome) {
                    return;
                }
            }
            self.subject.act(0);
            if let Some(id) = self.chosen(0) {
                self.answer(id, &last);
            }
            self.check(false);
        }
        panic!("it does not end: {:?}", self.subject);
    }
}

fn play<S: Subject>(subject: S, lanes: usize, steps: &[(u8, u8)]) {
    let before = subject.totals();
    let mut play = Play { subject, lanes, now: Duration::ZERO, out: BTreeMap::new(), landed: None, turn: 0, before };
    for (what, how) in steps {
        if play.step(*what, *how) {
            return;
        }
    }
    play.end();
}

proptest! {
    #![proptest_config(cases(1_500, 60_000))]

    #[test]
    fn any_order_of_calls_keeps_the_counts_and_ends(
        steps in prop::collection::vec(any::<(u8, u8)>(), 0..250), kind in 0..9_u8, n in 1_usize..9, attempts in 1..5_u32,
        max in prop::option::of(1..200_u64), size in 1..50_u32, rate in prop::option::of(1..20_u32), verify in any::<bool>(),
    ) {
        let ids = || Selection::Ids(Ids::parse((0..IDS).map(|n| format!("m{n}{}", "x".repeat(n % 500)))).unwrap());
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap());
        let rate = rate.and_then(NonZeroU32::new);
        let now = UnixMillis::new(NOW);
        let size = NonZeroU32::new(size).unwrap();
        macro_rules! bulk {
            ($operation:ty, $selection:expr) => {
                Bulk::<$operation>::builder(endpoint(), $selection).lanes(lanes(n), now).page_size(size)
                    .max(max.and_then(NonZeroU64::new)).retry(policy, 5).max_requests_per_second(rate)
            };
        }
        macro_rules! play_bulk {
            ($builder:expr) => {{
                let builder = $builder;
                play(InBulk { bulk: builder.clone().build(), builder }, n, &steps)
            }};
        }
        let archive = |archive| InArchive { archive, batches: Vec::new() };
        let id = || DlqId::new("m0").unwrap();
        match kind {
            0 => play_bulk!(bulk!(Delete, Selection::Everything).verify(verify)),
            1 => play_bulk!(bulk!(Delete, ids())),
            2 => play_bulk!(bulk!(Resume, Selection::Everything)),
            3 => play_bulk!(bulk!(Restart, ids())),
            4 => {
                let listing = Listing::builder(endpoint(), List::everything()).lanes(lanes(n), now).retry(policy, 5);
                play(listing.max_requests_per_second(rate).build(), n, &steps);
            }
            5 => play(archive(bulk!(Delete, Selection::Everything).verify(verify).build_archived()), n, &steps),
            6 => play(archive(bulk!(Delete, ids()).build_archived()), n, &steps),
            7 => play(SingleCall::builder(endpoint(), GetMessage(id())).retry(policy, 5).build(), 1, &steps),
            _ => {
                let restart = RestartOne::new(id(), Default::default());
                play(SingleCall::builder(endpoint(), restart).retry(policy, 5).build(), 1, &steps);
            }
        }
    }
}
