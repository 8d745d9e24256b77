//! Bytes as operations on a delete.

use super::given::{Given, endpoint};
use super::one_lane::{OneLane, OneStep};
use super::wire::{count, response};
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::wire::DeletePage;
use upstash_dlq_core::{BulkDelete, Checkpoint, Delivery, RetryPolicy, Totals};

/// One byte an operation on a delete: whatever is done to it, its counts only grow, it asks for nothing but its
/// selection, keeps to its maximum, and stays done once done.
pub fn operations(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(4));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = &Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(2) % 64));
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::MIN.saturating_add(u32::from(byte(3) % 4)));
    let delete = BulkDelete::builder(endpoint(), given.selection.clone())
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(1) % 50)))
        .max(max)
        .verify(byte(3) & 0x10 == 0)
        .retry(policy, u64::from(byte(3)));
    let mut run = Operations { lane: OneLane::new(delete.clone().build()), reported: 0, charged: 0, asked: 0 };
    for operation in body {
        let before = run.landed();
        match operation % 8 {
            0 | 1 => {
                // Another driver goes on.
                if run.lane.is_in_flight() {
                    run.lane.connection_lost();
                    run.charged += run.asked;
                }
                run.poll(given, max);
            }
            2 if run.lane.is_in_flight() => run.lane.assert_awaits_response(),
            2 => run.poll(given, max),
            3 | 4 => run.respond(*operation),
            5 => {
                let delivery = if operation & 0x08 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                if run.lane.on_failure(delivery).is_some() && delivery == Delivery::Unknown {
                    run.charged += run.asked;
                }
            }
            6 => drop(run.lane.cancel_unsent()),
            _ => {
                let saved = Checkpoint::from_json(run.lane.operation.checkpoint().to_json().as_bytes());
                assert_eq!(saved.as_ref().map(Checkpoint::totals), Ok(run.lane.operation.totals()));
                let resumed = saved.and_then(|saved| delete.clone().resume_from(saved));
                assert!(resumed.is_ok(), "{resumed:?}");
                let Ok(resumed) = resumed else { return };
                run.charged += if run.lane.is_in_flight() { run.asked } else { 0 };
                run.lane = OneLane::new(resumed);
            }
        }
        let after = run.landed();
        assert!(only_grew(before, after), "{before:?} {after:?}");
        assert_eq!(run.lane.operation.totals().affected, run.reported);
    }
}

struct Operations {
    lane: OneLane<BulkDelete>,
    reported: u64,
    charged: u64,
    asked: u64,
}

impl Operations {
    fn poll(&mut self, given: &Given, max: Option<NonZeroU64>) {
        match self.lane.poll() {
            OneStep::Send(request) => {
                given.assert_within(&request, max.map(NonZeroU64::get));
                self.asked = count(&request).unwrap_or(0);
                let spent = self.reported.saturating_add(self.charged).saturating_add(self.asked);
                assert!(self.asked == 0 || max.is_none_or(|max| spent <= max.get()), "{spent} of {max:?}");
            }
            OneStep::Wait => {}
            OneStep::Blocked => unreachable!("a delete waits for nobody"),
            OneStep::Done(outcome) => assert!(!(outcome.verified && outcome.halted.is_some())),
        }
    }

    fn respond(&mut self, operation: u8) {
        let deleted = u64::from(operation >> 6).min(self.asked);
        let (status, body) = match (operation >> 3) % 8 {
            0 => (200, format!("{{\"deleted\":{deleted},\"cursor\":\"c{}\"}}", operation >> 6)),
            1 => (200, format!("{{\"deleted\":{deleted}}}")),
            2 => (200, "{\"deleted\":0,\"cursor\":\"z\"}".to_string()),
            3 => (200, "<html>".to_string()),
            4 => (503, String::new()),
            5 => (429, String::new()),
            6 => (410, "{\"error\":\"cursor expired\"}".to_string()),
            _ => (401, String::new()),
        };
        let response = response(status, body);
        let is_taken = self.lane.on_response(&response).is_some();
        if is_taken && status == 200 {
            match DeletePage::parse(&response) {
                Ok(page) => self.reported += page.deleted,
                Err(_) => self.charged += self.asked,
            }
        } else if is_taken && status == 503 {
            self.charged += self.asked;
        }
    }

    /// Without the request in flight, which counts as unconfirmed until its response comes.
    fn landed(&self) -> Totals {
        let mut totals = self.lane.operation.totals();
        let in_flight = u64::from(self.lane.is_in_flight());
        totals.requests -= in_flight;
        totals.unconfirmed -= in_flight;
        totals
    }
}

fn only_grew(before: Totals, after: Totals) -> bool {
    before.affected <= after.affected
        && before.unconfirmed <= after.unconfirmed
        && before.pages <= after.pages
        && before.requests <= after.requests
        && before.retries <= after.retries
        && after.pages + after.unconfirmed <= after.requests
}
