//! Words the core's errors about a field with the name of the flag that the field came from.

use upstash_dlq_core::model::{Escaped, FieldError};

/// The sentence for an id or a filter.
pub(crate) fn selection(error: &FieldError) -> String {
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
        "responseStatus" => "--status",
        "error" => "--error",
        "errorText" => "--error-text",
        other => other,
    };
    sentence(flag, error)
}

/// `--label: "a,b" holds a comma`
pub(crate) fn sentence(flag: &str, error: &FieldError) -> String {
    match error.value() {
        Some(value) => format!("{flag}: \"{}\" {}", Escaped(value), error.problem()),
        None => format!("{flag}: {}", error.problem()),
    }
}
