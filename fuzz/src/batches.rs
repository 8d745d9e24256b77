//! Bytes as operations on ids in batches, on lanes and through checkpoint files.

use super::given::endpoint;
use super::wire::{pairs, response};
use http::Request;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::operation::{Bulk, BulkBuilder, InDoubt};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Delete, Restart, Resume};
use upstash_dlq_core::{
    Checkpoint, Delivery, Event, Halt, Operation, Outcome, RetryPolicy, Selection, Settlement, Step, UnixMillis,
};

const NOW: UnixMillis = UnixMillis::new(1_764_000_000_000);

/// One byte an operation on batches of ids: no id is in two batches, none is sent again once it is dealt with, none is sent
/// that the maximum leaves out, and nothing is sent while a request is in doubt. Through any number of checkpoint files.
pub fn batches(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(5));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    match byte(0) % 3 {
        0 => bulk::<Delete>(&byte, body),
        1 => bulk::<Resume>(&byte, body),
        _ => bulk::<Restart>(&byte, body),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// No request with it may have been carried out, but for those of what is harmless to repeat.
    Open,
    InFlight(RequestId),
    InDoubt,
    DealtWith,
}

struct Model<O: BulkOperation> {
    builder: BulkBuilder<O>,
    bulk: Bulk<O>,
    lanes: usize,
    clock: Duration,
    /// In the order of the list.
    names: Vec<String>,
    fates: Vec<Fate>,
    /// Where each batch begins, with the place after its end.
    batches: BTreeMap<usize, usize>,
    in_flight: BTreeMap<RequestId, (usize, usize)>,
    last: Option<RequestId>,
    /// How many ids earlier parts have dealt with, and how many of these the maximum lets through.
    before: u64,
    limit: usize,
    affected: u64,
}

fn bulk<O: BulkOperation>(byte: &impl Fn(usize) -> u8, body: &[u8]) {
    // Long ids, so that few fit into a request, or short ones, so that the bound of fifty cuts.
    let padding = if byte(1) & 1 == 0 { "" } else { "x" };
    let names: Vec<String> =
        (0..=u16::from(byte(1) >> 1)).map(|n| format!("id-{n}{}", padding.repeat(usize::from(n % 5) * 200))).collect();
    let before = u64::from(byte(2) & 0x0f);
    let max = NonZeroU64::new(u64::from(byte(2) >> 4) * 8);
    let limit = max.map_or(usize::MAX, |max| usize::try_from(max.get().saturating_sub(before)).unwrap_or(usize::MAX));
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::MIN.saturating_add(u32::from(byte(3) % 4)));
    let ids = Ids::parse(names.clone()).expect("ids");
    let builder = Bulk::<O>::builder(endpoint(), Selection::Ids(ids))
        .max(max)
        .part(before, Default::default())
        .max_requests_per_second(NonZeroU32::new(u32::from(byte(3) >> 6)))
        .retry(policy, u64::from(byte(3)));
    let lanes = 1 + usize::from(byte(4) % 9);
    let mut model = Model {
        bulk: builder.clone().lanes(lane_count(lanes), NOW).build(),
        builder,
        lanes,
        clock: Duration::ZERO,
        fates: vec![Fate::Open; names.len()],
        limit: limit.min(names.len()),
        names,
        batches: BTreeMap::new(),
        in_flight: BTreeMap::new(),
        last: None,
        before,
        affected: 0,
    };
    for operation in body {
        model.step(*operation);
        model.check();
    }
}

fn lane_count(lanes: usize) -> NonZeroUsize {
    NonZeroUsize::new(lanes).unwrap_or(NonZeroUsize::MIN)
}

impl<O: BulkOperation> Model<O> {
    fn step(&mut self, operation: u8) {
        let chosen = self.in_flight.keys().nth(usize::from(operation >> 5) % self.in_flight.len().max(1)).copied();
        match (operation % 8, chosen) {
            (0 | 1, _) | (2 | 3, None) => self.poll(),
            (2 | 3, Some(id)) => self.respond(id, operation),
            (4, Some(id)) => {
                let delivery = if operation & 0x08 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert!(self.bulk.on_failure(id, delivery.into()).is_ok());
                self.land(id, if delivery == Delivery::NotSent { Fate::Open } else { self.unknown() });
            }
            (5, Some(id)) => {
                assert!(self.bulk.cancel_unsent(id).is_ok());
                self.land(id, Fate::Open);
            }
            (6, _) => self.settle(if operation & 0x08 == 0 { Settlement::Applied } else { Settlement::NotApplied }),
            (7, _) if operation & 0x08 == 0 => {
                self.bulk.connection_lost();
                self.clock = Duration::ZERO;
                self.lose_all();
            }
            (7, _) => self.next_process(usize::from(operation >> 4) % 9 + 1),
            _ => {
                // Out of turn, for a request that has landed.
                if let Some(id) = self.last.filter(|id| !self.in_flight.contains_key(id)) {
                    assert!(self.bulk.on_response(id, http::Response::new(b"{}")).is_err());
                    assert!(self.bulk.on_failure(id, Delivery::Unknown.into()).is_err());
                    assert!(self.bulk.cancel_unsent(id).is_err());
                }
                self.clock += Duration::from_millis(100);
            }
        }
    }

    fn poll(&mut self) {
        match self.bulk.poll(self.clock) {
            Step::Send(id, request) => self.on_sent(id, &request),
            Step::WaitUntil(at) => {
                assert!(at > self.clock, "it waits for what has passed");
                self.clock = at;
            }
            Step::AwaitResponse => assert!(!self.in_flight.is_empty(), "it awaits a response that cannot come"),
            Step::Done(outcome) => {
                let again = self.bulk.poll(self.clock + Duration::from_secs(1));
                assert!(matches!(again, Step::Done(same) if same == outcome), "done and not done");
                self.on_done(&outcome);
            }
        }
    }

    fn on_sent(&mut self, id: RequestId, request: &Request<()>) {
        assert!(!self.fates.contains(&Fate::InDoubt), "sent while a request is in doubt");
        let sent = pairs(request);
        let first = sent.first().map(|(_, value)| value.as_str());
        let from = self.names.iter().position(|name| Some(name.as_str()) == first).expect("an id of the list");
        let to = from + sent.len();
        let names = self.names.get(from..to).expect("ids of the list");
        assert!(sent.iter().map(|(_, value)| value).eq(names) && sent.iter().all(|(name, _)| name == "dlqIds"));
        assert!(to <= self.limit, "more than the maximum");
        assert!(request.uri().to_string().len() <= 8_000);
        assert!(O::MAX_PAGE_SIZE.is_none_or(|most| sent.len() as u64 <= u64::from(most)));
        let batch = *self.batches.entry(from).or_insert(to);
        assert_eq!(batch, to, "a batch has changed");
        let overlaps = self.batches.range(..from).next_back().is_some_and(|(_, end)| *end > from)
            || self.batches.range(from + 1..to).next().is_some();
        assert!(!overlaps, "an id is in two batches");
        for fate in self.fates.iter_mut().take(to).skip(from) {
            assert_eq!(*fate, Fate::Open, "an id is sent again");
            *fate = Fate::InFlight(id);
        }
        assert!(self.in_flight.insert(id, (from, to)).is_none());
        assert!(self.in_flight.keys().filter(|other| other.lane() == id.lane()).count() == 1, "two on one lane");
        self.last = Some(id);
    }

    fn respond(&mut self, id: RequestId, operation: u8) {
        let (from, to) = self.in_flight.get(&id).copied().unwrap_or_default();
        let runs = (to - from).min(usize::from(operation >> 6));
        let list: Vec<String> = (0..runs).map(|n| format!("{{\"workflowRunId\":\"w{n}\"}}")).collect();
        // A cursor means nothing after ids.
        let page = format!("{{\"deleted\":{runs},\"workflowRuns\":[{}],\"cursor\":\"c\"}}", list.join(","));
        let (status, body) = match (operation >> 3) % 8 {
            0..=3 => (200, page),
            4 => (200, "<html>".to_string()),
            5 => (503, String::new()),
            6 => (429, String::new()),
            _ => (401, String::new()),
        };
        let response = response(status, body.as_bytes());
        let Ok(event) = self.bulk.on_response(id, response) else { unreachable!("the request is in flight") };
        let is_page = status == 200 && !body.starts_with('<');
        assert_eq!(matches!(event, Event::Page(_)), is_page);
        self.affected += if is_page { runs as u64 } else { 0 };
        let fate = match status {
            200 if is_page => Fate::DealtWith,
            200 | 503 => self.unknown(),
            _ => Fate::Open,
        };
        self.land(id, fate);
    }

    /// What a request comes to whose result is not known.
    fn unknown(&self) -> Fate {
        if O::RETRY_SAFE { Fate::Open } else { Fate::InDoubt }
    }

    fn land(&mut self, id: RequestId, becomes: Fate) {
        let (from, to) = self.in_flight.remove(&id).unwrap_or_default();
        for fate in self.fates.iter_mut().take(to).skip(from) {
            assert_eq!(*fate, Fate::InFlight(id));
            *fate = becomes;
        }
    }

    fn lose_all(&mut self) {
        for id in self.in_flight.keys().copied().collect::<Vec<_>>() {
            self.land(id, self.unknown());
        }
    }

    fn settle(&mut self, settlement: Settlement) {
        let Some(InDoubt::Ids(ids)) = self.bulk.in_doubt() else {
            assert!(self.bulk.in_doubt().is_none() && self.bulk.settle(settlement).is_err());
            return;
        };
        let first = ids.first().map(|id| id.as_str().to_string());
        let from = self.names.iter().position(|name| Some(name) == first.as_ref()).expect("an id of the list");
        assert_eq!(self.batches.get(&from), Some(&(from + ids.len())), "what is in doubt is a batch");
        let to = from + ids.len();
        let unconfirmed = self.bulk.totals().unconfirmed;
        assert!(self.bulk.settle(settlement).is_ok());
        let (becomes, fewer) = match settlement {
            Settlement::Applied => (Fate::DealtWith, 0),
            Settlement::NotApplied => (Fate::Open, 1),
        };
        assert_eq!(self.bulk.totals().unconfirmed + fewer, unconfirmed);
        for fate in self.fates.iter_mut().take(to).skip(from) {
            assert_eq!(*fate, Fate::InDoubt, "settled, and was not in doubt");
            *fate = becomes;
        }
    }

    /// Another process continues from the file: what was in flight is lost.
    fn next_process(&mut self, lanes: usize) {
        let json = self.bulk.checkpoint().to_json();
        let saved = Checkpoint::from_json(json.as_bytes()).expect("a file that core wrote");
        assert_eq!((saved.totals(), saved.ids_before()), (self.bulk.totals(), self.before));
        let resumed = self.builder.clone().lanes(lane_count(lanes), NOW).resume_from(saved);
        self.bulk = resumed.expect("the same selection");
        self.lanes = lanes;
        self.clock = Duration::ZERO;
        self.last = None;
        self.lose_all();
    }

    fn on_done(&self, outcome: &Outcome) {
        assert!(self.in_flight.is_empty(), "done with requests in flight");
        let in_doubt = self.fates.contains(&Fate::InDoubt);
        // The first halt stays, unless a request is in doubt: a lane may have been refused before another came in doubt.
        assert!(!matches!(outcome.halted, Some(Halt::InDoubt { .. })) || in_doubt, "{outcome:?}");
        assert!(outcome.halted.is_some() || !in_doubt, "{outcome:?}");
        let done = self.fates.iter().take_while(|fate| **fate == Fate::DealtWith).count();
        if outcome.halted.is_none() {
            assert_eq!(done, self.limit, "done, and not dealt with all that it may");
        }
        assert_eq!(outcome.verified, outcome.halted.is_none() && done == self.names.len());
    }

    /// What holds at any time.
    fn check(&self) {
        assert!(self.in_flight.len() <= self.lanes && self.bulk.concurrency() <= self.lanes);
        assert_eq!(self.bulk.in_flight(), self.in_flight.len());
        let dealt_with = self.fates.iter().filter(|fate| **fate == Fate::DealtWith).count() as u64;
        assert_eq!(self.bulk.ids_done(), self.before + dealt_with);
        assert_eq!(self.bulk.in_doubt().is_some(), self.fates.contains(&Fate::InDoubt));
        let totals = self.bulk.totals();
        assert_eq!(totals.affected, self.affected);
        assert!(totals.pages + totals.unconfirmed <= totals.requests);
    }
}
