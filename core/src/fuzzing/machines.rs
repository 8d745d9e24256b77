//! Bytes as operations on the machines.

use super::{assert_within, endpoint, pairs_of, selections};
use crate::engine::outcome::{Halt, Totals};
use crate::engine::retry::{Delivery, RetryPolicy, Step};
use crate::selection::selected::Selection;
use crate::wire::page::DeletePage;
use crate::{ArchiveStep, Bulk, BulkDelete, BulkResume, Checkpoint, Settlement};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64};
use http::{Request, Response, StatusCode};

/// One byte an operation on a machine: whatever is done to it, its counts only grow, it asks for nothing but its
/// selection, keeps to its maximum, and stays done once done.
pub fn operations(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(4));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let Some(endpoint) = endpoint() else { return };
    let selections = selections();
    let Some(given) = selections.get(usize::from(byte(0)) % selections.len()) else { return };
    let max = NonZeroU64::new(u64::from(byte(2) % 64));
    let policy =
        RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(u32::from(byte(3) % 4)), ..RetryPolicy::default() };
    let delete = BulkDelete::new(endpoint, given.clone())
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
            3 | 4 => run.answer(&mut bulk, *operation),
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
    fn poll(&mut self, bulk: &mut Bulk, given: &Selection, max: Option<NonZeroU64>) {
        self.lost(Delivery::Unknown);
        match bulk.poll() {
            Step::Send(request) => {
                self.in_flight = true;
                assert_within(&request, given, max.map(NonZeroU64::get));
                let count = pairs_of(&request).iter().find(|(n, _)| n == "count").map(|(_, v)| v.parse().unwrap_or(0));
                self.asked = count.unwrap_or(0);
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

    fn answer(&mut self, bulk: &mut Bulk, operation: u8) {
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
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
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

/// Without the request in flight, which counts as unconfirmed until its answer comes.
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

/// One byte an operation on an archiving delete: no id is asked to be deleted that was not said to be stored.
pub fn archive(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let Some(endpoint) = endpoint() else { return };
    let Some(given) = selections().into_iter().nth(usize::from(byte(0)) % 5) else { return };
    let max = NonZeroU64::new(u64::from(byte(1) % 32));
    let policy =
        RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 4)), ..RetryPolicy::default() };
    let mut machine = BulkDelete::new(endpoint, given)
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 9)))
        .max(max)
        .verify(byte(2) & 0x10 == 0)
        .retry(policy, 1)
        .build_with_archive();
    let mut shown: Vec<String> = Vec::new();
    let mut stored: Vec<String> = Vec::new();
    let mut in_flight: Option<Request<()>> = None;
    for operation in body {
        match operation % 8 {
            0..=2 => {
                in_flight = None;
                shown.clear();
                match machine.poll() {
                    ArchiveStep::Send(request) => {
                        for (name, value) in pairs_of(&request) {
                            assert!(name != "dlqIds" || stored.contains(&value), "{value} was not stored");
                        }
                        assert!(
                            request.method() != "DELETE"
                                || request.uri().query().is_some_and(|q| q.starts_with("dlqIds="))
                        );
                        assert!(request.uri().path() == "/v2/workflows/dlq" || request.method() == "GET");
                        in_flight = Some(request);
                    }
                    ArchiveStep::Store(messages) => {
                        shown = messages.iter().filter_map(|m| m.dlq_id().map(|id| id.to_string())).collect();
                        assert_eq!(shown.len(), messages.len());
                    }
                    ArchiveStep::Wait(_) => {}
                    ArchiveStep::Done(outcome) => {
                        assert!(!(outcome.verified && outcome.halted.is_some()));
                        let within = max.is_none_or(|max| outcome.archived <= max.get());
                        assert!(within, "{outcome:?}");
                    }
                }
            }
            3 => {
                // Storing is only ever acknowledged for what the machine is waiting with.
                if machine.stored().is_ok() {
                    let ArchiveStep::Send(request) = machine.poll() else { return };
                    let ids: Vec<String> = pairs_of(&request).into_iter().map(|(_, value)| value).collect();
                    assert!(ids.iter().all(|id| shown.contains(id)), "{ids:?} of {shown:?}");
                    stored.extend(ids);
                    in_flight = Some(request);
                }
            }
            4 | 5 => {
                let response = archive_answer(*operation, in_flight.as_ref());
                assert_eq!(machine.on_response(&response).is_ok(), in_flight.take().is_some());
            }
            6 => {
                let delivery = if operation & 8 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert_eq!(machine.on_failure(delivery).is_ok(), in_flight.take().is_some());
            }
            _ => assert_eq!(machine.withdraw().is_ok(), in_flight.take().is_some()),
        }
    }
}

fn archive_answer(operation: u8, request: Option<&Request<()>>) -> Response<String> {
    let high = operation >> 5;
    let asked = request.map(|r| r.uri().path().rsplit('/').next().unwrap_or_default().to_string()).unwrap_or_default();
    let (status, body) = match (operation >> 3) % 8 {
        0 | 1 => (
            200,
            format!(
                "{{\"messages\":[{{\"dlqId\":\"m{high}\"}},{{\"dlqId\":\"n{high}\"}}],\"deleted\":2,\"dlqId\":\"{asked}\"}}"
            ),
        ),
        2 => (200, format!("{{\"messages\":[{{\"dlqId\":\"o{high}\"}}],\"deleted\":1,\"cursor\":\"c\"}}")),
        3 => (200, "{\"messages\":[],\"deleted\":0}".to_string()),
        4 => (200, "{\"messages\":[{}],\"deleted\":-1}".to_string()),
        5 => (429, String::new()),
        6 => (404, "{\"error\":\"not found\"}".to_string()),
        _ => (502, "<html>".to_string()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// One byte an operation on a resume: a request that may have been carried out is never followed by another before it is
/// settled, whatever is done, and no page is asked for twice unless somebody said that it had not been carried out.
pub fn one_pass(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let Some(endpoint) = endpoint() else { return };
    let Some(given) = selections().into_iter().nth(usize::from(byte(0)) % 5) else { return };
    let max = NonZeroU64::new(u64::from(byte(1) % 64));
    let resume = BulkResume::new(endpoint, given.clone())
        .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2))))
        .max(max)
        .retry(RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(2), ..RetryPolicy::default() }, 1);
    let mut bulk = resume.clone().build();
    let (mut in_flight, mut unsettled) = (false, false);
    let mut spent = 0_u64;
    let mut asked = 0;
    for operation in body {
        match operation % 8 {
            0..=2 => {
                unsettled |= core::mem::take(&mut in_flight);
                match bulk.poll() {
                    Step::Send(request) => {
                        assert!(!unsettled, "sent while nobody knows");
                        assert_eq!(request.method(), "POST");
                        assert_within(&request, &given, max.map(NonZeroU64::get));
                        in_flight = true;
                        let count = |name: &str| pairs_of(&request).iter().filter(|(n, _)| n == name).count() as u64;
                        let size =
                            pairs_of(&request).iter().find(|(n, _)| n == "count").and_then(|(_, v)| v.parse().ok());
                        asked = size.unwrap_or(count("dlqIds"));
                        assert!(asked <= 50);
                    }
                    Step::Wait(_) => {}
                    Step::Done(outcome) => {
                        let says = matches!(outcome.halted, Some(Halt::Unsettled { .. }));
                        assert_eq!(says, unsettled, "{outcome:?}");
                        assert_eq!(bulk.unsettled().is_some(), unsettled);
                    }
                }
            }
            3 | 4 => {
                let runs = u64::from(operation >> 6).min(asked);
                let list: Vec<String> = (0..runs).map(|n| format!("{{\"workflowRunId\":\"w{n}\"}}")).collect();
                let (status, body, unknown) = match (operation >> 3) % 6 {
                    0 | 1 => {
                        (200, format!("{{\"workflowRuns\":[{}],\"cursor\":\"c{operation}\"}}", list.join(",")), false)
                    }
                    2 => (200, "<html>".to_string(), true),
                    3 => (500, String::new(), true),
                    4 => (429, String::new(), false),
                    _ => (200, format!("{{\"workflowRuns\":[{}]}}", list.join(",")), false),
                };
                let mut response = Response::new(body);
                *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
                assert_eq!(bulk.on_response(&response).is_ok(), in_flight);
                unsettled |= in_flight && unknown;
                if in_flight && status == 200 && !unknown {
                    spent += runs;
                    assert!(max.is_none_or(|max| spent <= max.get()) || matches!(given, Selection::Ids(_)));
                }
                in_flight = false;
            }
            5 => {
                let delivery = if operation & 8 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert_eq!(bulk.on_failure(delivery).is_ok(), in_flight);
                unsettled |= in_flight && delivery == Delivery::Unknown;
                in_flight = false;
            }
            6 => {
                let settlement = if operation & 8 == 0 { Settlement::Applied } else { Settlement::NotApplied };
                assert_eq!(bulk.settle(settlement).is_ok(), unsettled);
                unsettled = false;
            }
            _ => {
                let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes());
                let restored = saved.and_then(|saved| resume.clone().restore(saved));
                assert!(restored.is_ok(), "{restored:?}");
                let Ok(restored) = restored else { return };
                bulk = restored;
                unsettled |= core::mem::take(&mut in_flight);
            }
        }
        let totals = bulk.totals();
        assert!(totals.unconfirmed <= totals.requests && totals.pages <= totals.requests);
    }
}
