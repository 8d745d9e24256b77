//! Bytes as operations on an archiving delete.

use super::given::{Given, endpoint};
use super::wire::{pairs, response};
use http::{Request, Response};
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::{ArchiveStep, BulkDelete, Delivery, RetryPolicy};

/// One byte an operation on an archiving delete: no id is asked to be deleted that was not said to be stored.
pub fn archive(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(1) % 32));
    let policy =
        RetryPolicy { max_attempts: NonZeroU32::MIN.saturating_add(u32::from(byte(2) % 4)), ..RetryPolicy::default() };
    let mut machine = BulkDelete::new(endpoint(), given.selection)
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
                        for (name, value) in pairs(&request) {
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
                    let ids: Vec<String> = pairs(&request).into_iter().map(|(_, value)| value).collect();
                    assert!(ids.iter().all(|id| shown.contains(id)), "{ids:?} of {shown:?}");
                    stored.extend(ids);
                    in_flight = Some(request);
                }
            }
            4 | 5 => {
                let response = respond(*operation, in_flight.as_ref());
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
