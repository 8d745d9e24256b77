//! The core's errors, with the names of flags instead of the API's fields.

use upstash_dlq_core::SelectionError;

/// The same sentence, with the flag's name instead of the field's.
pub(crate) fn in_words_of_the_command(error: &SelectionError) -> String {
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
    with_flag(error, flag).replace("lies after toDate", "lies after --to (now, unless it is given)")
}

pub(crate) fn with_flag(error: &SelectionError, flag: &str) -> String {
    let sentence = error.to_string();
    format!("{flag}{}", sentence.strip_prefix(error.field()).unwrap_or(&sentence))
}
