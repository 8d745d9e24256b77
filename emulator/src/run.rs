use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One failed run, in the fields of the API. Empty ones are left out of the JSON, as the service leaves them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// The entry's id in the DLQ.
    pub dlq_id: String,
    /// The run's id.
    pub workflow_run_id: String,
    /// The workflow.
    pub workflow_url: String,
    /// Milliseconds since the epoch.
    pub workflow_created_at: i64,
    /// The failed step's URL.
    pub url: String,
    /// The failed step's method.
    pub method: String,
    /// The headers sent to the step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, Vec<String>>,
    /// The body sent to the step.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// How often delivery was to be retried.
    pub max_retries: u32,
    /// When it failed, milliseconds since the epoch; what `fromDate` and `toDate` look at.
    pub created_at: i64,
    /// Where a failure is reported to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_callback: Option<String>,
    /// How the failure function ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_function_state: Option<String>,
    /// Who called the workflow.
    #[serde(rename = "callerIP", skip_serializing_if = "String::is_empty")]
    pub caller_ip: String,
    /// The first of `labels`, which older clients read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The run's labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The key of flow control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_control_key: Option<String>,
    /// What the step answered.
    pub response_status: u16,
    /// The answer's headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_header: BTreeMap<String, Vec<String>>,
    /// The answer's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_body: String,
}
