//! Bytes as operations on many lanes.

use super::given::{Given, endpoint};
use super::wire::{count, response};
use http::{Method, Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::{
    BulkBuilder, BulkPage, Delete, Delivery, Event, Fleet, FleetCheckpoint, FleetStep, LaneId, Lanes, List, ListFleet,
    ListPage, Restart, RetryPolicy, Selection, Settlement, UnixMillis, Verb,
};

const NOW: i64 = 1_764_000_000_000;

/// One byte an operation on many lanes: they ask for nothing but their selection, never for more than their maximum, with
/// one request a lane and no more than were allowed; they are done when nothing is out, and stay done.
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
    /// The lanes with a request out, and for how many runs it asks.
    out: BTreeMap<LaneId, (Method, u64)>,
    /// Every lane that ever sent something.
    known: BTreeSet<LaneId>,
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

    fn sent(&mut self, lane: LaneId, request: &Request<()>) {
        self.given.assert_within(request, None);
        let asked = if request.method() == Method::GET { 0 } else { count(request).unwrap_or(0) };
        self.known.insert(lane);
        assert!(self.out.insert(lane, (request.method().clone(), asked)).is_none(), "a second request of one lane");
        assert!(self.out.len() <= self.limit, "more requests than lanes");
        let most: u64 = self.spent + self.out.values().map(|(_, asked)| asked).sum::<u64>();
        assert!(self.max.is_none_or(|max| asked == 0 || most <= max), "{most} of {:?}", self.max);
    }

    /// One operation; what it ended with, if it did.
    fn step<L: Lanes>(&mut self, lanes: &mut L, operation: u8, runs: impl Fn(&L::Page) -> u64) -> Option<L::Outcome> {
        let chosen = self.out.keys().nth(usize::from(operation >> 3) % self.out.len().max(1)).copied();
        match (operation % 8, chosen) {
            (0..=2, _) | (3..=6, None) => match lanes.poll(self.clock) {
                FleetStep::Send(lane, request) => self.sent(lane, &request),
                FleetStep::WaitUntil(at) => {
                    assert!(at > self.clock, "it waits for what has passed");
                    self.clock = at;
                }
                FleetStep::Idle => assert!(!self.out.is_empty(), "idle with nothing out"),
                FleetStep::Done(outcome) => {
                    assert!(self.out.is_empty(), "done with requests out");
                    assert!(matches!(lanes.poll(self.clock), FleetStep::Done(_)), "done and not done");
                    return Some(outcome);
                }
            },
            (3..=4, Some(lane)) => {
                let (method, asked) = self.out.remove(&lane).unwrap_or_default();
                let (status, body) = respond(&method, asked, operation);
                match lanes.on_response(lane, &response(status, body)) {
                    Ok(Event::Page(page)) => self.spent += runs(&page),
                    Ok(_) if status == 503 || status == 200 => self.spent += asked,
                    Ok(_) => {}
                    Err(error) => unreachable!("{error}"),
                }
            }
            (5, Some(lane)) => {
                let (_, asked) = self.out.remove(&lane).unwrap_or_default();
                let delivery = if operation & 0x80 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert!(lanes.on_failure(lane, delivery.into()).is_ok());
                self.spent += if delivery == Delivery::Unknown { asked } else { 0 };
            }
            (6, Some(lane)) => {
                assert!(lanes.withdraw(lane).is_ok());
                self.out.remove(&lane);
            }
            _ => {
                // Out of turn, for a lane that has nothing out.
                let idle = self.known.iter().copied().find(|lane| !self.out.contains_key(lane));
                if let Some(lane) = idle {
                    assert!(lanes.on_response(lane, &Response::new("{}")).is_err());
                    assert!(lanes.withdraw(lane).is_err());
                }
                self.clock += Duration::from_millis(100);
            }
        }
        None
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
    RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(u32::from(byte % 4)), ..RetryPolicy::default() }
}

fn list(given: Given, byte: &impl Fn(usize) -> u8, body: &[u8]) {
    let list = match given.selection {
        Selection::Ids(_) => return,
        Selection::Filter(ref filter) => List::matching(filter.clone()),
        Selection::Everything => List::everything(),
    };
    let mut driver = Driver::new(given, byte, None);
    let mut fleet = ListFleet::new(endpoint(), list, policy(byte(3)), 0, driver.lanes(), UnixMillis::new(NOW));
    let mut listed = 0;
    for operation in body {
        let before = fleet.outcome_so_far();
        let done = driver.step(&mut fleet, *operation, |page: &ListPage| page.messages.len() as u64);
        listed = fleet.outcome_so_far().listed;
        assert!(listed >= before.listed && fleet.outcome_so_far().requests >= before.requests);
        if done.is_some() {
            break;
        }
    }
    assert_eq!(listed, driver.spent, "what is counted is what was handed over");
}

fn bulk<V: Verb>(given: Given, byte: &impl Fn(usize) -> u8, body: &[u8]) {
    let max = NonZeroU64::new(u64::from(byte(2) % 64));
    // Ids that are sent again ask for no further run.
    let bound = max.map(NonZeroU64::get).filter(|_| !matches!(given.selection, Selection::Ids(_)));
    let builder = BulkBuilder::<V>::new(endpoint(), given.selection.clone())
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 50)))
        .max(max)
        .retry(policy(byte(3)), u64::from(byte(3)));
    let mut driver = Driver::new(given, byte, bound);
    let mut fleet: Fleet<V> = builder.clone().build_fleet(driver.lanes(), UnixMillis::new(NOW));
    for operation in body {
        if *operation == 0xff {
            // Another process goes on: what was out is lost.
            driver.spent += std::mem::take(&mut driver.out).values().map(|(_, asked)| asked).sum::<u64>();
            let saved = FleetCheckpoint::from_json(fleet.checkpoint().to_json().as_bytes());
            let restored =
                saved.and_then(|saved| builder.clone().restore_fleet(saved, driver.lanes(), UnixMillis::new(NOW)));
            assert!(restored.is_ok(), "{restored:?}");
            let Ok(restored) = restored else { return };
            fleet = restored;
        }
        let waits = fleet.unsettled().is_some();
        if waits && operation & 0x40 != 0 {
            // Only this way: what was not carried out would come back to the budget, and `spent` does not know whose it was.
            assert!(fleet.settle(Settlement::Applied).is_ok());
            continue;
        }
        let sent = driver.out.len();
        let done = driver.step(&mut fleet, *operation, BulkPage::runs);
        assert!(!waits || driver.out.len() <= sent, "sent before it is settled");
        if done.is_some_and(|outcome| outcome.halted.is_none()) {
            break;
        }
    }
}
