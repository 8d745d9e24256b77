//! Bytes as operations on an archived delete.

use super::given::{Given, endpoint};
use super::one_lane::{OneLane, OneStep};
use super::wire::{pairs, response};
use http::{Request, Response};
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::{BulkDelete, Delivery, Event, RetryPolicy};

/// One byte an operation on an archived delete: no id is asked to be deleted that was not said to be stored.
pub fn archive(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(1) % 32));
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 4)));
    let mut lane = OneLane::new(
        BulkDelete::builder(endpoint(), given.selection)
            .page_size(NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 9)))
            .max(max)
            .verify(byte(2) & 0x10 == 0)
            .retry(policy, 1)
            .build_archived(),
    );
    let mut shown: Option<(u64, Vec<String>)> = None;
    let mut stored: BTreeSet<String> = BTreeSet::new();
    let mut in_flight: Option<Request<()>> = None;
    for operation in body {
        match operation % 8 {
            2 if lane.is_in_flight() => lane.assert_awaits_response(),
            0..=2 => {
                if lane.is_in_flight() {
                    lane.connection_lost();
                }
                in_flight = None;
                match lane.poll() {
                    OneStep::Send(request) => {
                        assert!(shown.is_none(), "sent while a batch is not stored");
                        assert_deletes_only(&request, &stored);
                        in_flight = Some(request);
                    }
                    OneStep::Wait => assert!(shown.is_none()),
                    OneStep::Blocked => assert!(shown.is_some(), "it waits for a batch that nobody has"),
                    OneStep::Done(outcome) => {
                        assert!(shown.is_none(), "done with a batch that is not stored");
                        assert!(!(outcome.verified && outcome.halted.is_some()));
                        let within = max.is_none_or(|max| outcome.archived <= max.get());
                        assert!(within && outcome.archived == stored.len() as u64, "{outcome:?}");
                    }
                }
            }
            3 => {
                // Only the batch that waits can be stored, and once.
                let (number, ids) = shown.take().unwrap_or((u64::from(operation >> 3), Vec::new()));
                for other in [number.wrapping_sub(1), number.wrapping_add(1)] {
                    assert!(lane.operation.stored(other).is_err());
                }
                assert_eq!(lane.operation.stored(number).is_ok(), !ids.is_empty());
                assert!(lane.operation.stored(number).is_err(), "stored twice");
                for id in ids {
                    assert!(stored.insert(id), "a run is stored twice");
                }
            }
            4 | 5 => {
                let response = respond(*operation, in_flight.as_ref());
                let event = lane.on_response(&response);
                assert_eq!(event.is_some(), in_flight.take().is_some());
                if let Some(Event::Page(page)) = event {
                    if let Some(batch) = page.batch {
                        let ids: Vec<String> =
                            batch.messages.iter().filter_map(|m| m.dlq_id().map(|id| id.to_string())).collect();
                        assert!(!ids.is_empty() && ids.len() == batch.messages.len());
                        assert!(shown.replace((batch.number, ids)).is_none(), "two batches wait");
                    }
                }
            }
            6 => {
                let delivery = if operation & 8 == 0 { Delivery::NotSent } else { Delivery::Unknown };
                assert_eq!(lane.on_failure(delivery).is_some(), in_flight.take().is_some());
            }
            _ => assert_eq!(lane.cancel_unsent().is_some(), in_flight.take().is_some()),
        }
    }
}

fn assert_deletes_only(request: &Request<()>, stored: &BTreeSet<String>) {
    let is_delete = request.method() == "DELETE";
    for (name, value) in pairs(request) {
        assert!(!is_delete || name == "dlqIds", "a delete by {name}");
        assert!(name != "dlqIds" || stored.contains(&value), "{value} was not stored");
    }
    assert!(!is_delete || request.uri().query().is_some_and(|query| query.starts_with("dlqIds=")));
    assert!(is_delete && request.uri().path() == "/v2/workflows/dlq" || request.method() == "GET");
}

fn respond(operation: u8, request: Option<&Request<()>>) -> Response<String> {
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
    response(status, body)
}
