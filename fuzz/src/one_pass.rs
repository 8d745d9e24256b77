//! Bytes as operations on a resume.

use super::given::{Given, endpoint};
use super::wire::{count, pairs, response};
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::{BulkResume, Checkpoint, Delivery, Halt, RetryPolicy, Selection, Settlement, Step};

/// One byte an operation on a resume: a request that may have been carried out is never followed by another before it is
/// settled, whatever is done, and no page is asked for twice unless somebody said that it had not been carried out.
pub fn one_pass(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(3));
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let given = Given::choose(byte(0));
    let max = NonZeroU64::new(u64::from(byte(1) % 64));
    let resume = BulkResume::new(endpoint(), given.selection.clone())
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
                unsettled |= std::mem::take(&mut in_flight);
                match bulk.poll() {
                    Step::Send(request) => {
                        assert!(!unsettled, "sent while nobody knows");
                        assert_eq!(request.method(), "POST");
                        given.assert_within(&request, max.map(NonZeroU64::get));
                        in_flight = true;
                        let ids = pairs(&request).iter().filter(|(name, _)| name == "dlqIds").count() as u64;
                        asked = count(&request).unwrap_or(ids);
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
                let response = response(status, body);
                assert_eq!(bulk.on_response(&response).is_ok(), in_flight);
                unsettled |= in_flight && unknown;
                if in_flight && status == 200 && !unknown {
                    spent += runs;
                    assert!(max.is_none_or(|max| spent <= max.get()) || matches!(given.selection, Selection::Ids(_)));
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
                unsettled |= std::mem::take(&mut in_flight);
            }
        }
        let totals = bulk.totals();
        assert!(totals.unconfirmed <= totals.requests && totals.pages <= totals.requests);
    }
}
