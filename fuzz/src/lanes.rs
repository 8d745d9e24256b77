//! Bytes as operations on many lanes.

use super::given::{Given, endpoint};
use super::wire::{count, response};
use http::{Method, Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::{BulkOperation, BulkPage, Delete, List, ListPage, Restart};
use upstash_dlq_core::{
    Checkpoint, Delivery, Event, Listing, Operation, RetryPolicy, Selection, Settlement, Step, UnixMillis,
};

const NOW: i64 = 1_764_000_000_000;

/// One byte an operation on many lanes: they ask for nothing but their selection, never for more than their maximum, with
/// one request per lane and no more than were allowed; they are done when nothing is out, and stay done.
pub fn lanes(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(4));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = Given::choose(byte(0) >> 2);
    match byte(0) % 3 {
        0 => bulk::<Delete>(given, &byte, body),
        1 => bulk::<Restart>(given, &byte, body),
        _ => list(given, &byte, body),
    }
}

struct Driver {
    given: Given,
    max: Option<u64>,
    limit: usize,
    clock: Duration,
    /// The requests in flight, and for how many runs each asks.
    out: BTreeMap<RequestId, (Method, u64)>,
    /// Every request that was sent.
    known: BTreeSet<RequestId>,
    /// What was reported done, and what may have been done.
    spent: u64,
}

impl Driver {
    fn new(given: Given, byte: &impl Fn(usize) -> u8, max: Option<u64>) -> Self {
        let limit = 1 + usize::from(byte(1) % 9);
        Self { given, max, limit, clock: Duration::ZERO, out: BTreeMap::new(), known: BTreeSet::new(), spent: 0 }
    }

    fn lanes(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.limit).unwrap_or(NonZeroUsize::MIN)
    }

    fn sent(&mut self, id: RequestId, request: &Request<()>) {
        self.given.assert_within(request, None);
        let asked = if request.method() == Method::GET { 0 } else { count(request).unwrap_or(0) };
        assert!(self.known.insert(id), "two requests have one name");
        assert!(!self.out.keys().any(|other| other.lane() == id.lane()), "a second request of one lane");
        self.out.insert(id, (request.method().clone(), asked));
        assert!(self.out.len() <= self.limit, "more requests than lanes");
        let most: u64 = self.spent + self.out.values().map(|(_, asked)| asked).sum::<u64>();
        assert!(self.max.is_none_or(|max| asked == 0 || most <= max), "{most} of {:?}", self.max);
    }

    /// One operation; what it ended with, if it did.
    fn step<L: Operation>(&mut self, lanes: &mut L, operation: u8, runs: impl Fn(&L::Page) -> u64) -> Option<L::Outcome>
    where
        L::Outcome: PartialEq,
    {
        let chosen = self.out.keys().nth(usize::from(operation >> 3) % self.out.len().max(1)).copied();
        match (operation % 8, chosen) {
            (0..=2, _) | (3..=6, None) => match lanes.poll(self.clock) {
                Step::Send(id, request) => self.sent(id, &request),
                Step::WaitUntil(at) => {
                    assert!(at > self.clock, "it waits for what has passed");
                    self.clock = at;
                }
                Step::AwaitResponse => assert!(!self.out.is_empty(), "it awaits a response that cannot come"),
                Step::Done(outcome) => {
                    assert!(self.out.is_empty(), "done with requests in flight");
                    let again = lanes.poll(self.clock);
                    assert!(matches!(again, Step::Done(same) if same == outcome), "done and not done");
                    return Some(outcome);
                }
            },
            (3..=4, Some(id)) => {
                let (method, asked) = self.out.remove(&id).unwrap_or_default();
                let (status, body) = respond(&method, asked, operation);
                match lanes.on_response(id, response(status, body.as_bytes())) {
                    Ok(Event::Page(page)) => self.spent += runs(&page),
                    Ok(_) if status == 503 || status == 200 => self.spent += asked,
                    Ok(_) => {}
                    Err(error) => unreachable!("{error}"),
                }
            }
            (5, Some(id)) => {
                let (_, asked) = self.out.remove(&id).unwrap_or_default();
                let delivery = if operation & 0x80 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert!(lanes.on_failure(id, delivery.into()).is_ok());
                self.spent += if delivery == Delivery::Unknown { asked } else { 0 };
            }
            (6, Some(id)) => {
                assert!(lanes.cancel_unsent(id).is_ok());
                self.out.remove(&id);
            }
            _ if operation & 0xf0 == 0xe0 => {
                // Another driver goes on, whose clock begins anew.
                lanes.connection_lost();
                self.clock = Duration::ZERO;
                self.lose_all();
            }
            _ => {
                // Out of turn, for a request that is not in flight.
                let landed = self.known.iter().copied().find(|id| !self.out.contains_key(id));
                if let Some(id) = landed {
                    assert!(lanes.on_response(id, Response::new(b"{}")).is_err());
                    assert!(lanes.on_failure(id, Delivery::Unknown.into()).is_err());
                    assert!(lanes.cancel_unsent(id).is_err());
                }
                self.clock += Duration::from_millis(100);
            }
        }
        assert_eq!(lanes.in_flight(), self.out.len());
        assert!((1..=self.limit).contains(&lanes.concurrency()) && self.out.len() <= lanes.concurrency());
        None
    }

    /// What was in flight may have been carried out.
    fn lose_all(&mut self) {
        self.spent += std::mem::take(&mut self.out).values().map(|(_, asked)| asked).sum::<u64>();
    }
}

fn respond(method: &Method, asked: u64, operation: u8) -> (u16, String) {
    let runs = u64::from(operation >> 6).min(asked);
    let page = |cursor: &str| match *method {
        Method::GET => {
            // Some of them within any window that is asked for, some not.
            let at = NOW - (i64::from(operation) << 26);
            format!(r#"{{"messages":[{{"dlqId":"r{operation}","createdAt":{at}}}],"cursor":"{cursor}"}}"#)
        }
        Method::POST => {
            let started: Vec<String> = (0..runs).map(|n| format!(r#"{{"workflowRunId":"w{n}"}}"#)).collect();
            format!(r#"{{"workflowRuns":[{}],"cursor":"{cursor}"}}"#, started.join(","))
        }
        _ => format!(r#"{{"deleted":{runs},"cursor":"{cursor}"}}"#),
    };
    match (operation >> 3) % 8 {
        0..=2 => (200, page(&format!("c{operation}"))),
        3 => (200, page("")),
        4 => (200, "<html>".into()),
        5 => (503, String::new()),
        6 => (429, String::new()),
        _ => (if operation & 0x80 == 0 { 410 } else { 401 }, String::new()),
    }
}

fn policy(byte: u8) -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::MIN.saturating_add(u32::from(byte % 4)))
}

fn list(given: Given, byte: &impl Fn(usize) -> u8, body: &[u8]) {
    if matches!(given.selection, Selection::Ids(_)) {
        return;
    }
    let list = List::for_selection(&given.selection);
    let mut driver = Driver::new(given, byte, None);
    let mut listing = Listing::builder(endpoint(), list)
        .retry(policy(byte(3)), 0)
        .lanes(driver.lanes(), UnixMillis::new(NOW))
        .build();
    let mut listed = 0;
    for operation in body {
        let before = listing.outcome_so_far();
        let landed = before.totals.requests - driver.out.len() as u64;
        let done = driver.step(&mut listing, *operation, |page: &ListPage| page.messages.len() as u64);
        let after = listing.outcome_so_far();
        listed = after.listed;
        assert!(listed >= before.listed && after.totals.requests - driver.out.len() as u64 >= landed);
        assert_eq!(after.totals.unconfirmed, 0, "a listing changes nothing");
        if done.is_some() {
            break;
        }
    }
    assert_eq!(listed, driver.spent, "what is counted is what was handed over");
}

fn bulk<O: BulkOperation>(given: Given, byte: &impl Fn(usize) -> u8, body: &[u8]) {
    let max = NonZeroU64::new(u64::from(byte(2) % 64));
    // Ids that are sent again ask for no further run.
    let bound = max.map(NonZeroU64::get).filter(|_| !matches!(given.selection, Selection::Ids(_)));
    let mut driver = Driver::new(given, byte, bound);
    let builder = Bulk::<O>::builder(endpoint(), driver.given.selection.clone())
        .lanes(driver.lanes(), UnixMillis::new(NOW))
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 50)))
        .max(max)
        .retry(policy(byte(3)), u64::from(byte(3)));
    let mut bulk = builder.clone().build();
    for operation in body {
        if *operation == 0xff {
            // Another process continues: what was in flight is lost, and names of requests begin anew.
            driver.lose_all();
            driver.known.clear();
            driver.clock = Duration::ZERO;
            let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes());
            assert_eq!(saved.as_ref().map(Checkpoint::totals), Ok(bulk.totals()));
            let resumed = saved.and_then(|saved| builder.clone().resume_from(saved));
            assert!(resumed.is_ok(), "{resumed:?}");
            let Ok(resumed) = resumed else { return };
            bulk = resumed;
        }
        let in_doubt = bulk.in_doubt().is_some();
        if in_doubt && operation & 0x40 != 0 {
            // Only this way: what was not carried out would come back to the budget, and `spent` does not know whose it was.
            assert!(bulk.settle(Settlement::Applied).is_ok());
            continue;
        }
        assert!(in_doubt || bulk.settle(Settlement::Applied).is_err());
        let sent = driver.out.len();
        let done = driver.step(&mut bulk, *operation, BulkPage::affected);
        assert!(!in_doubt || driver.out.len() <= sent, "sent before it is settled");
        if done.is_some_and(|outcome| outcome.halted.is_none()) {
            break;
        }
    }
}
