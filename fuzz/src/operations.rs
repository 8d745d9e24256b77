//! Bytes as operations on a delete.

use super::given::{Given, endpoint};
use super::wire::{count, response};
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::{Bulk, BulkDelete, Checkpoint, DeletePage, Delivery, RetryPolicy, Step, Totals};

/// One byte an operation on a machine: whatever is done to it, its counts only grow, it asks for nothing but its
/// selection, keeps to its maximum, and stays done once done.
pub fn operations(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(4));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = &Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(2) % 64));
    let policy =
        RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(u32::from(byte(3) % 4)), ..RetryPolicy::default() };
    let delete = BulkDelete::new(endpoint(), given.selection.clone())
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(1) % 50)))
        .max(max)
        .verify(byte(3) & 0x10 == 0)
        .retry(policy, u64::from(byte(3)));
    let mut bulk = delete.clone().build();
    let mut run = Operations { in_flight: false, reported: 0, charged: 0, asked: 0 };
    for operation in body {
        let before = landed(bulk.totals(), run.in_flight);
        match operation % 8 {
            0..=2 => run.poll(&mut bulk, given, max),
            3 | 4 => run.respond(&mut bulk, *operation),
            5 => {
                let delivery = if operation & 0x08 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                let told = bulk.on_failure(delivery);
                assert_eq!(told.is_ok(), run.in_flight);
                run.lost(delivery);
            }
            6 => {
                assert_eq!(bulk.withdraw().is_ok(), run.in_flight);
                run.in_flight = false;
            }
            _ => {
                let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes());
                let resumed = saved.and_then(|saved| delete.clone().restore(saved));
                assert!(resumed.is_ok(), "{resumed:?}");
                let Ok(resumed) = resumed else { return };
                bulk = resumed;
                run.lost(Delivery::Unknown);
            }
        }
        let after = landed(bulk.totals(), run.in_flight);
        assert!(only_grew(before, after), "{before:?} {after:?}");
        assert_eq!(bulk.totals().runs, run.reported);
    }
}

struct Operations {
    in_flight: bool,
    reported: u64,
    charged: u64,
    asked: u64,
}

impl Operations {
    fn poll(&mut self, bulk: &mut Bulk, given: &Given, max: Option<NonZeroU64>) {
        self.lost(Delivery::Unknown);
        match bulk.poll() {
            Step::Send(request) => {
                self.in_flight = true;
                given.assert_within(&request, max.map(NonZeroU64::get));
                self.asked = count(&request).unwrap_or(0);
                let spent = self.reported.saturating_add(self.charged).saturating_add(self.asked);
                assert!(self.asked == 0 || max.is_none_or(|max| spent <= max.get()), "{spent} of {max:?}");
            }
            Step::Wait(_) => {}
            Step::Done(outcome) => {
                assert!(matches!(bulk.poll(), Step::Done(again) if again == outcome), "done and not done");
                assert!(!(outcome.verified && outcome.halted.is_some()));
            }
        }
    }

    fn respond(&mut self, bulk: &mut Bulk, operation: u8) {
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
        assert_eq!(bulk.on_response(&response).is_ok(), self.in_flight);
        if self.in_flight && status == 200 {
            match DeletePage::parse(&response) {
                Ok(page) => self.reported += page.deleted,
                Err(_) => self.charged += self.asked,
            }
        } else if self.in_flight && status == 503 {
            self.charged += self.asked;
        }
        self.in_flight = false;
    }

    fn lost(&mut self, delivery: Delivery) {
        if self.in_flight && delivery == Delivery::Unknown {
            self.charged += self.asked;
        }
        self.in_flight = false;
    }
}

/// Without the request in flight, which counts as unconfirmed until its response comes.
fn landed(mut totals: Totals, in_flight: bool) -> Totals {
    totals.requests -= u64::from(in_flight);
    totals.unconfirmed -= u64::from(in_flight);
    totals
}

fn only_grew(before: Totals, after: Totals) -> bool {
    before.runs <= after.runs
        && before.unconfirmed <= after.unconfirmed
        && before.pages <= after.pages
        && before.requests <= after.requests
        && before.retries <= after.retries
        && after.pages + after.unconfirmed <= after.requests
}
