use crate::{DlqId, FailureFunctionState, UnixMillis};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One failed run as the service lists it. Every field may be missing or of another type than promised: an accessor then
/// says `None`, and nothing else suffers. All text in it was written by whoever called the workflow: wrap it in
/// [`Escaped`](crate::Escaped) before it is shown.
#[derive(Clone, PartialEq)]
pub struct DlqMessage {
    raw: String,
    fields: Map<String, Value>,
}

impl DlqMessage {
    /// # Errors
    /// Text that is not one JSON object.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        Ok(Self { raw: json.into(), fields: serde_json::from_str(json)? })
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Result<Self, serde_json::Error> {
        Self::parse(raw.get())
    }

    /// The message's own JSON text, as it was sent.
    pub fn as_json(&self) -> &str {
        &self.raw
    }

    /// Any field by its name in the API, also one this version does not know.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    fn time(&self, name: &str) -> Option<UnixMillis> {
        self.get(name)?.as_i64().map(UnixMillis::new)
    }

    /// `dlqId`, when it is usable in a request.
    pub fn dlq_id(&self) -> Option<DlqId> {
        DlqId::new(self.text("dlqId")?).ok()
    }

    /// `workflowRunId`
    pub fn workflow_run_id(&self) -> Option<&str> {
        self.text("workflowRunId")
    }

    /// `workflowUrl`, or the failed step's `url` where it is missing.
    pub fn workflow_url(&self) -> Option<&str> {
        self.text("workflowUrl").or_else(|| self.text("url"))
    }

    /// `createdAt`
    pub fn created_at(&self) -> Option<UnixMillis> {
        self.time("createdAt")
    }

    /// `workflowCreatedAt`
    pub fn workflow_created_at(&self) -> Option<UnixMillis> {
        self.time("workflowCreatedAt")
    }

    /// `labels`, or the older `label`.
    pub fn labels(&self) -> Vec<&str> {
        match self.get("labels").and_then(Value::as_array) {
            Some(labels) if !labels.is_empty() => labels.iter().filter_map(Value::as_str).collect(),
            _ => self.text("label").into_iter().collect(),
        }
    }

    /// `failureFunctionState`
    pub fn failure_function_state(&self) -> Option<FailureFunctionState> {
        self.text("failureFunctionState").map(FailureFunctionState::from)
    }

    /// `callerIP`
    pub fn caller_ip(&self) -> Option<&str> {
        self.text("callerIP")
    }

    /// `flowControlKey`
    pub fn flow_control_key(&self) -> Option<&str> {
        self.text("flowControlKey")
    }

    /// `responseStatus`
    pub fn response_status(&self) -> Option<i64> {
        self.get("responseStatus")?.as_i64()
    }
}

impl fmt::Debug for DlqMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and bodies of a run may hold its caller's secrets.
        f.debug_struct("DlqMessage").field("dlq_id", &self.dlq_id()).finish_non_exhaustive()
    }
}
