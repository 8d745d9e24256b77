//! Bytes as operations on a resume.

use super::given::{Given, endpoint};
use super::one_lane::{OneLane, OneStep};
use super::wire::{Pairs, count, pairs, response};
use http::Request;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::operation::InDoubt;
use upstash_dlq_core::{BulkResume, Checkpoint, Delivery, Event, Halt, RetryPolicy, Selection, Settlement};

/// One byte an operation on a resume: a request that may have been carried out is never followed by another before it is
/// settled, whatever is done, and no page is asked for again once it has come.
pub fn one_pass(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(1) % 64));
    let resume = BulkResume::builder(endpoint(), given.selection.clone())
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2))))
        .max(max)
        .retry(RetryPolicy::default().max_attempts(NonZeroU32::MIN.saturating_add(2)), 1);
    let mut lane = OneLane::new(resume.clone().build());
    let mut in_doubt = false;
    let mut places = Places::new(&given.selection);
    let mut spent = 0_u64;
    let mut asked = 0;
    for operation in body {
        match operation % 8 {
            2 if lane.is_in_flight() => lane.assert_awaits_response(),
            0..=2 => {
                in_doubt |= lane.is_in_flight() && lane.connection_lost();
                match lane.poll() {
                    OneStep::Send(request) => {
                        assert!(!in_doubt, "sent while a request is in doubt");
                        assert_eq!(request.method(), "POST");
                        given.assert_within(&request, max.map(NonZeroU64::get));
                        places.on_sent(&request);
                        let ids = pairs(&request).iter().filter(|(name, _)| name == "dlqIds").count() as u64;
                        asked = count(&request).unwrap_or(ids);
                        assert!(asked <= 50);
                    }
                    OneStep::Wait => {}
                    OneStep::Blocked => unreachable!("a resume waits for nobody"),
                    OneStep::Done(outcome) => {
                        let says = matches!(outcome.halted, Some(Halt::InDoubt { .. }));
                        assert_eq!(says, in_doubt, "{outcome:?}");
                        assert!(!(outcome.verified && (outcome.halted.is_some() || in_doubt)));
                    }
                }
            }
            3 | 4 => {
                let runs = u64::from(operation >> 6).min(asked);
                let list: Vec<String> = (0..runs).map(|n| format!("{{\"workflowRunId\":\"w{n}\"}}")).collect();
                let cursor = format!("c{operation}");
                let (status, body, next) = match (operation >> 3) % 6 {
                    0 | 1 => (
                        200,
                        format!("{{\"workflowRuns\":[{}],\"cursor\":\"{cursor}\"}}", list.join(",")),
                        Some(Some(cursor)),
                    ),
                    2 => (200, "<html>".to_string(), None),
                    3 => (500, String::new(), None),
                    4 => (429, String::new(), None),
                    _ => (200, format!("{{\"workflowRuns\":[{}]}}", list.join(",")), Some(None)),
                };
                let event = lane.on_response(&response(status, body));
                if event.is_none() {
                    continue;
                }
                assert_eq!(matches!(event, Some(Event::Page(_))), next.is_some());
                match next {
                    Some(cursor) => {
                        spent += runs;
                        let within = max.is_none_or(|max| spent <= max.get());
                        assert!(within || matches!(given.selection, Selection::Ids(_)));
                        places.on_page(cursor);
                    }
                    None if status == 429 => places.on_not_done(),
                    None => in_doubt = true,
                }
            }
            5 => {
                let delivery = if operation & 8 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                match (lane.on_failure(delivery), delivery) {
                    (None, _) => {}
                    (Some(_), Delivery::NotSent) => places.on_not_done(),
                    (Some(_), Delivery::Unknown) => in_doubt = true,
                }
            }
            6 => {
                if operation & 16 != 0 {
                    if lane.cancel_unsent().is_some() {
                        places.on_not_done();
                    }
                    continue;
                }
                let settlement = if operation & 8 == 0 { Settlement::Applied } else { Settlement::NotApplied };
                assert_eq!(lane.operation.settle(settlement).is_ok(), in_doubt);
                if in_doubt {
                    places.on_settled(settlement);
                }
                in_doubt = false;
            }
            _ => {
                let saved = Checkpoint::from_json(lane.operation.checkpoint().to_json().as_bytes());
                assert_eq!(saved.as_ref().map(Checkpoint::totals), Ok(lane.operation.totals()));
                let resumed = saved.and_then(|saved| resume.clone().resume_from(saved));
                assert!(resumed.is_ok(), "{resumed:?}");
                let Ok(resumed) = resumed else { return };
                in_doubt |= lane.is_in_flight();
                lane = OneLane::new(resumed);
            }
        }
        assert_eq!(lane.operation.in_doubt().is_some(), in_doubt);
        if let Some(InDoubt::Ids(ids)) = lane.operation.in_doubt() {
            assert!(ids.iter().map(|id| id.as_str()).eq(places.last.iter().map(|(_, id)| id.as_str())));
        }
        let totals = lane.operation.totals();
        assert!(totals.unconfirmed <= totals.requests && totals.pages <= totals.requests);
    }
}

/// What may be asked for: by ids, each id once; otherwise the start once, and each cursor as often as the server gave it.
struct Places {
    by_ids: bool,
    left: BTreeMap<String, u64>,
    last: Pairs,
}

impl Places {
    fn new(selection: &Selection) -> Self {
        let (by_ids, all) = match selection {
            Selection::Ids(ids) => (true, ids.as_slice().iter().map(|id| id.as_str().to_string()).collect()),
            Selection::Filter(_) | Selection::Refined(_) | Selection::Everything => (false, vec![String::new()]),
        };
        Self { by_ids, left: all.into_iter().map(|place| (place, 1)).collect(), last: Pairs::new() }
    }

    fn asked(&self) -> Vec<String> {
        if self.by_ids {
            return self.last.iter().map(|(_, id)| id.clone()).collect();
        }
        let cursor = self.last.iter().find(|(name, _)| name == "cursor");
        vec![cursor.map(|(_, cursor)| cursor.clone()).unwrap_or_default()]
    }

    fn on_sent(&mut self, request: &Request<()>) {
        self.last = pairs(request);
        for place in self.asked() {
            let left = self.left.entry(place).or_default();
            assert!(*left > 0, "asked for again: {:?}", self.last);
            *left -= 1;
        }
    }

    /// An empty cursor or none is the end.
    fn on_page(&mut self, cursor: Option<String>) {
        if let Some(cursor) = cursor.filter(|_| !self.by_ids) {
            *self.left.entry(cursor).or_default() += 1;
        }
    }

    fn on_not_done(&mut self) {
        for place in self.asked() {
            *self.left.entry(place).or_default() += 1;
        }
    }

    /// What was applied has left the queue: from the same place on, the server shows the runs after it.
    fn on_settled(&mut self, settlement: Settlement) {
        if settlement == Settlement::NotApplied || !self.by_ids {
            self.on_not_done();
        }
    }
}
