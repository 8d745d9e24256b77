//! A run in the queue, in the fields of the API.

use crate::setters::setters;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// One failed run, in the fields of the API. Empty ones are left out of the JSON, as the service leaves them out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
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
    /// The body sent to the step, in base64, where it is not text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body_base64: String,
    /// How often the step was to be retried.
    pub max_retries: u32,
    /// When it failed, milliseconds since the epoch; what `fromDate` and `toDate` look at.
    pub created_at: i64,
    /// Not to be delivered before, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Where a failure is reported to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_callback: Option<String>,
    /// How the failure function ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_function_state: Option<String>,
    /// How the failure callback went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_callback_info: Option<FailureCallbackInfo>,
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
    /// The HTTP status that the step responded with.
    pub response_status: u16,
    /// The response's headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_header: BTreeMap<String, Vec<String>>,
    /// The response's body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_body: String,
    /// The response's body in base64, where it is not text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_body_base64: String,
    /// The message's text where the run was loaded from a file: it is served as it stands there, with the fields that this
    /// emulator does not know.
    #[serde(skip)]
    pub sent: Option<String>,
}

setters! {
    Run {
        workflow_created_at: i64, header: BTreeMap<String, Vec<String>>, max_retries: u32, created_at: i64,
        not_before: Option<i64>, failure_callback: Option<String>, failure_function_state: Option<String>,
        failure_callback_info: Option<FailureCallbackInfo>, label: Option<String>, labels: Vec<String>,
        flow_control_key: Option<String>, response_status: u16, response_header: BTreeMap<String, Vec<String>>,
        sent: Option<String>,
    }
    into {
        dlq_id: String, workflow_run_id: String, workflow_url: String, url: String, method: String, body: String,
        body_base64: String, caller_ip: String, response_body: String, response_body_base64: String,
    }
}

setters! {
    FailureCallbackInfo { response_status: u16, response_headers: BTreeMap<String, Vec<String>> }
    into { state: String, response_body: String }
}

impl Run {
    /// The message as it is served.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them: nothing in it can fail to serialize.
        self.sent.clone().unwrap_or_else(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// The same run with a body of so many bytes.
    ///
    /// ```
    /// let run = upstash_dlq_emulator::Run::default().with_body_len(300_000);
    /// assert_eq!(run.body.len(), 300_000);
    /// ```
    #[must_use]
    pub fn with_body_len(self, len: usize) -> Self {
        Self { body: "0123456789".chars().cycle().take(len).collect(), body_base64: String::new(), ..self }
    }

    /// The failure callback has come into another state.
    pub(crate) fn set_callback_state(&mut self, state: &str) {
        self.failure_function_state = Some(state.to_owned());
        if let Some(info) = &mut self.failure_callback_info {
            info.state = state.to_owned();
        }
        self.sent = self.sent.take().map(|sent| with_callback_state(&sent, state).unwrap_or(sent));
    }
}

/// The message with another state of its failure callback. All else stands as it was, numbers of any length included.
fn with_callback_state(sent: &str, state: &str) -> Option<String> {
    type Fields = BTreeMap<String, Box<RawValue>>;
    let set = |fields: &mut Fields, name: &str| {
        fields.insert(name.to_owned(), serde_json::value::to_raw_value(state).ok()?);
        Some(())
    };
    let mut fields: Fields = serde_json::from_str(sent).ok()?;
    set(&mut fields, "failureFunctionState")?;
    let info = fields.get("failureCallbackInfo").and_then(|info| serde_json::from_str::<Fields>(info.get()).ok());
    if let Some(mut info) = info {
        set(&mut info, "state")?;
        fields.insert("failureCallbackInfo".to_owned(), serde_json::value::to_raw_value(&info).ok()?);
    }
    serde_json::to_string(&fields).ok()
}

/// How a failure callback went, in the fields of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct FailureCallbackInfo {
    /// As in [`Run::failure_function_state`].
    pub state: String,
    /// The status that the callback's receiver responded with.
    pub response_status: u16,
    /// Its body.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub response_body: String,
    /// Its headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub response_headers: BTreeMap<String, Vec<String>>,
}
