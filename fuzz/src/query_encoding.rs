//! Lines that become a filter and a list of ids, against the queries that are sent for them.

use super::given::endpoint;
use super::shown::assert_safe_to_show;
use super::wire::{Pairs, pairs};
use http::Response;
use std::time::Duration;
use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::{BulkDelete, DlqId, Filter, Operation, Selection, Step, UnixMillis};

/// Lines of a field's number and a value make a filter, and a list of ids: what is built is sent as it was given.
pub fn query_encoding(data: &[u8]) {
    let endpoint = endpoint();
    let mut builder = Filter::builder();
    let mut given: [Pairs; 9] = Default::default();
    let mut values = Vec::new();
    for line in data.split(|b| *b == b'\n') {
        let Some((field, value)) = line.split_first() else { continue };
        let value = String::from_utf8_lossy(value).into_owned();
        values.push(value.clone());
        let time = UnixMillis::new(value.parse().unwrap_or_default());
        let (at, name, text) = match field % 9 {
            0 => (0, "fromDate", time.to_string()),
            1 => (1, "toDate", time.to_string()),
            2 => (2, "workflowUrl", value.clone()),
            3 => (3, "workflowRunId", value.clone()),
            4 => (4, "workflowCreatedAt", time.to_string()),
            5 => (5, "label", value.clone()),
            6 => (6, "failureFunctionState", value.clone()),
            7 => (7, "callerIp", value.clone()),
            _ => (8, "flowControlKey", value.clone()),
        };
        builder = match at {
            0 => builder.from(time),
            1 => builder.to(time),
            2 => builder.workflow_url(value),
            3 => builder.workflow_run_id(value),
            4 => builder.workflow_created_at(time),
            5 => builder.label(value),
            6 => builder.failure_function_state(&FailureFunctionState::from(value.as_str())),
            7 => builder.caller_ip(value),
            _ => builder.flow_control_key(value),
        };
        if matches!(at, 0 | 1 | 3 | 4) {
            given[at].clear();
        }
        given[at].push((name.to_string(), text));
    }
    let given = given.concat();
    match builder.build() {
        Ok(filter) => {
            assert!(!given.is_empty() && given.iter().all(|(_, v)| !v.trim().is_empty() && !v.contains(',')));
            let json = serde_json::to_string(&filter).unwrap_or_default();
            assert!(serde_json::from_str(&json).is_ok_and(|again: Filter| again == filter), "{json}");
            let mut bulk = BulkDelete::builder(endpoint.clone(), Selection::Filter(filter)).build();
            let Step::Send(_, request) = bulk.poll(Duration::ZERO) else {
                unreachable!("a filter's first step is a request")
            };
            let mut sent = pairs(&request);
            assert_eq!(sent.pop(), Some(("count".into(), "100".into())));
            assert_eq!(sent, given);
        }
        Err(error) => assert_safe_to_show(&error.to_string()),
    }
    match Ids::parse(values.clone()) {
        Ok(ids) => {
            let mut bulk = BulkDelete::builder(endpoint, Selection::Ids(ids.clone())).build();
            let mut sent = Vec::new();
            while let Step::Send(id, request) = bulk.poll(Duration::ZERO) {
                assert!(request.uri().to_string().len() <= 8_000);
                let before = sent.len();
                sent.extend(pairs(&request).into_iter().map(|(name, id)| {
                    assert_eq!(name, "dlqIds");
                    id
                }));
                assert!(sent.len() > before, "a request without an id");
                assert!(bulk.on_response(id, Response::new(b"{\"deleted\":0}")).is_ok());
            }
            assert!(sent.iter().map(String::as_str).eq(ids.as_slice().iter().map(DlqId::as_str)));
        }
        Err(error) => assert_safe_to_show(&error.to_string()),
    }
}
