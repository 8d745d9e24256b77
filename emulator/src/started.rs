//! What the service remembers of the runs that it started.

use std::collections::BTreeMap;

/// The operation that started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartedBy {
    /// The run was resumed where it failed.
    Resume,
    /// The run was restarted from its beginning.
    Restart,
    /// The failure callback was sent again.
    Callback,
}

/// A run that was started, or a failure callback that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Started {
    /// The operation that started it.
    pub started_by: StartedBy,
    /// The entry in the DLQ.
    pub dlq_id: String,
    /// The run's id, a new one but for a callback.
    pub workflow_run_id: String,
    /// When it was created, milliseconds since the epoch.
    pub workflow_created_at: i64,
    /// The `upstash-…` headers of the request, names in lower case.
    pub overrides: BTreeMap<String, String>,
}

impl Started {
    /// As the service reports it.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "workflowRunId": self.workflow_run_id, "workflowCreatedAt": self.workflow_created_at })
    }
}
