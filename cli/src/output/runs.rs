//! Runs as people and programs read them: rows of a table, and lines of JSON.

use crate::output::table::{Columns, Stream, Table, width};
use crate::output::time;
use serde::Serialize;
use upstash_dlq_core::wire::StartedRun;
use upstash_dlq_core::{DlqMessage, UnixMillis};

/// One run in a table.
pub(crate) type Row = [String; 7];

/// A table of runs.
pub(crate) fn table(stream: Stream) -> Table<7> {
    let header = ["ID", "WORKFLOW URL", "RUN ID", "LABEL", "CALLBACK", "STATUS", "AGE"];
    let columns = Columns { whole: &[0, 2], urls: Some(1), optional: Some(2) };
    Table::new(header, columns, width(stream))
}

/// One run in it.
pub(crate) fn row(message: &DlqMessage, now: UnixMillis) -> Row {
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let labels = message.labels().join(", ");
    let state = message.failure_function_state();
    [
        or_dash(message.dlq_id().as_ref().map(|id| id.as_str())),
        or_dash(message.workflow_url().as_deref()),
        or_dash(message.workflow_run_id().as_deref()),
        or_dash(Some(labels.as_str()).filter(|labels| !labels.is_empty())),
        // The header says the rest of the word.
        or_dash(
            state.as_ref().map(|state| state.as_str()).map(|state| state.strip_prefix("CALLBACK_").unwrap_or(state)),
        ),
        message.response_status().map_or_else(|| "-".into(), |status| status.to_string()),
        message.created_at().map_or_else(|| "-".into(), |at| time::age(at, now)),
    ]
}

/// A run that was started, as a line of JSON.
pub(crate) fn started(run: &StartedRun) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Line<'a> {
        workflow_run_id: &'a str,
        workflow_created_at: Option<UnixMillis>,
    }
    let line = Line { workflow_run_id: &run.workflow_run_id, workflow_created_at: run.workflow_created_at };
    // A string and a number: nothing in it can fail to serialize.
    serde_json::to_string(&line).unwrap_or_default()
}
