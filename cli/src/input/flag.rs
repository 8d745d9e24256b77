//! The core's errors about a field, in the words of the flag that the field was given with.

use upstash_dlq_core::{Escaped, SelectionError};

/// For what ids and filters are made of.
pub(crate) fn selection(error: &SelectionError) -> String {
    let flag = match error.field() {
        "dlqIds" => "id",
        "fromDate" => "--from",
        "toDate" => "--to",
        "workflowUrl" => "--workflow-url",
        "workflowRunId" => "--workflow-run-id",
        "workflowCreatedAt" => "--workflow-created-at",
        "label" => "--label",
        "failureFunctionState" => "--failure-function-state",
        "callerIp" => "--caller-ip",
        "flowControlKey" => "--flow-control-key",
        other => other,
    };
    sentence(flag, error)
}

/// `--label: "a,b" holds a comma`
pub(crate) fn sentence(flag: &str, error: &SelectionError) -> String {
    match error.value() {
        Some(value) => format!("{flag}: \"{}\" {}", Escaped(value), error.problem()),
        None => format!("{flag}: {}", error.problem()),
    }
}
