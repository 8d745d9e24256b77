use crate::{DlqId, FailureFunctionState, UnixMillis, base64};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// One failed run as the service has it (`WorkflowDLQMessage` in its OpenAPI description). Every field may be missing or
/// of another type than promised: an accessor then says `None`, and nothing else suffers. All text in it was written by
/// whoever called the workflow: wrap it in [`Escaped`](crate::Escaped) before it is shown.
///
/// ```
/// use upstash_dlq_core::DlqMessage;
/// let message = DlqMessage::parse(r#"{"dlqId": "a", "label": "nightly", "maxRetries": "oops", "new": 1e999}"#)?;
/// assert_eq!(message.labels(), ["nightly"]);
/// assert_eq!(message.max_retries(), None);
/// assert_eq!(message.as_json(), r#"{"dlqId":"a","label":"nightly","maxRetries":"oops","new":1e999}"#);
/// # Ok::<(), upstash_dlq_core::MessageError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct DlqMessage {
    raw: String,
    fields: Map<String, Value>,
}

/// How a failure callback went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureCallbackInfo<'a>(&'a Map<String, Value>);

/// Text that is no message: not one JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageError(String);

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message, which is one JSON object: {}", crate::Escaped(&self.0))
    }
}

impl core::error::Error for MessageError {}

impl DlqMessage {
    /// # Errors
    /// Text that is not one JSON object.
    pub fn parse(json: &str) -> Result<Self, MessageError> {
        let raw: &RawValue = serde_json::from_str(json).map_err(|error| MessageError(error.to_string()))?;
        if !raw.get().starts_with('{') {
            return Err(MessageError("another kind of JSON".into()));
        }
        Ok(Self::from_raw(raw))
    }

    /// Takes any JSON; what is not an object has no fields.
    pub(crate) fn from_raw(raw: &RawValue) -> Self {
        // Field by field, so that one that cannot be represented (1e999, half a surrogate pair, a thousand levels) takes no other with it.
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_owned(), serde_json::from_str(value.get()).ok()?)))
            .collect();
        Self { raw: without_white_space(raw.get()), fields }
    }

    /// The message's own JSON text, as it was sent but for white space between its tokens: one line, with numbers, escapes
    /// and the order of the fields untouched.
    pub fn as_json(&self) -> &str {
        &self.raw
    }

    /// Any field by its name in the API, also one this version does not know. `None` too for a value that a
    /// [`Value`] cannot hold; [`Self::as_json`] has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        text(&self.fields, name)
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
        self.text("workflowUrl").or_else(|| self.url())
    }

    /// `workflowCreatedAt`
    pub fn workflow_created_at(&self) -> Option<UnixMillis> {
        self.time("workflowCreatedAt")
    }

    /// `url`, the failed step's.
    pub fn url(&self) -> Option<&str> {
        self.text("url")
    }

    /// `method`, the failed step's.
    pub fn method(&self) -> Option<&str> {
        self.text("method")
    }

    /// `header`, what was sent to the step: names and their values.
    pub fn header(&self) -> Vec<(&str, Vec<&str>)> {
        headers(&self.fields, "header")
    }

    /// What was sent to the step: `body` or, where that is empty, `bodyBase64` decoded.
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        body(&self.fields, "body", "bodyBase64")
    }

    /// `maxRetries`
    pub fn max_retries(&self) -> Option<i64> {
        self.get("maxRetries")?.as_i64()
    }

    /// `createdAt`
    pub fn created_at(&self) -> Option<UnixMillis> {
        self.time("createdAt")
    }

    /// `notBefore`
    pub fn not_before(&self) -> Option<UnixMillis> {
        self.time("notBefore")
    }

    /// `failureCallback`, where a failure is reported to.
    pub fn failure_callback(&self) -> Option<&str> {
        self.text("failureCallback")
    }

    /// `failureFunctionState`
    pub fn failure_function_state(&self) -> Option<FailureFunctionState> {
        self.text("failureFunctionState").map(FailureFunctionState::from)
    }

    /// `failureCallbackInfo`
    pub fn failure_callback_info(&self) -> Option<FailureCallbackInfo<'_>> {
        self.get("failureCallbackInfo")?.as_object().map(FailureCallbackInfo)
    }

    /// `callerIP`
    pub fn caller_ip(&self) -> Option<&str> {
        self.text("callerIP")
    }

    /// `labels`, or the older `label`.
    pub fn labels(&self) -> Vec<&str> {
        match self.get("labels").and_then(Value::as_array) {
            Some(labels) if !labels.is_empty() => labels.iter().filter_map(Value::as_str).collect(),
            _ => self.text("label").into_iter().collect(),
        }
    }

    /// `flowControlKey`
    pub fn flow_control_key(&self) -> Option<&str> {
        self.text("flowControlKey")
    }

    /// `responseStatus`
    pub fn response_status(&self) -> Option<i64> {
        self.get("responseStatus")?.as_i64()
    }

    /// `responseHeader`, what the step answered: names and their values.
    pub fn response_header(&self) -> Vec<(&str, Vec<&str>)> {
        headers(&self.fields, "responseHeader")
    }

    /// What the step answered: `responseBody` or, where that is empty, `responseBodyBase64` decoded.
    pub fn response_body(&self) -> Option<Cow<'_, [u8]>> {
        body(&self.fields, "responseBody", "responseBodyBase64")
    }
}

impl<'a> FailureCallbackInfo<'a> {
    /// `state`
    pub fn state(&self) -> Option<FailureFunctionState> {
        text(self.0, "state").map(FailureFunctionState::from)
    }

    /// `responseStatus`
    pub fn response_status(&self) -> Option<i64> {
        self.0.get("responseStatus")?.as_i64()
    }

    /// `responseBody`
    pub fn response_body(&self) -> Option<&'a str> {
        text(self.0, "responseBody")
    }

    /// `responseHeaders`: names and their values.
    pub fn response_headers(&self) -> Vec<(&'a str, Vec<&'a str>)> {
        headers(self.0, "responseHeaders")
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn headers<'a>(fields: &'a Map<String, Value>, name: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let values = |value: &'a Value| match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    };
    let headers = fields.get(name).and_then(Value::as_object);
    headers.into_iter().flatten().map(|(name, value)| (name.as_str(), values(value))).collect()
}

fn body<'a>(fields: &'a Map<String, Value>, plain: &str, encoded: &str) -> Option<Cow<'a, [u8]>> {
    match text(fields, plain) {
        Some(text) => Some(Cow::Borrowed(text.as_bytes())),
        None => base64::decode(text(fields, encoded)?).map(Cow::Owned),
    }
}

/// JSON without the white space between its tokens.
fn without_white_space(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

impl fmt::Debug for DlqMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and bodies of a run may hold its caller's secrets.
        f.debug_struct("DlqMessage").field("dlq_id", &self.dlq_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field() {
        let message = DlqMessage::parse(
            r#"{"dlqId":"d","workflowRunId":"w","workflowUrl":"u","workflowCreatedAt":1,"url":"s","method":"POST",
            "header":{"A":["1","2"],"B":"3"},"body":"","bodyBase64":"/w==","maxRetries":3,"createdAt":2,"notBefore":3,
            "failureCallback":"f","failureFunctionState":"CALLBACK_FAIL","failureCallbackInfo":{"state":"NEW",
            "responseStatus":500,"responseBody":"b","responseHeaders":{"C":["4"]}},"callerIP":"::1","label":"old",
            "labels":["x","y"],"flowControlKey":"k","responseStatus":502,"responseHeader":{},"responseBody":"r"}"#,
        )
        .unwrap();
        assert_eq!(message.dlq_id().unwrap().as_str(), "d");
        assert_eq!(
            (message.workflow_run_id(), message.workflow_url(), message.url()),
            (Some("w"), Some("u"), Some("s"))
        );
        assert_eq!(message.header(), [("A", ["1", "2"].into()), ("B", ["3"].into())]);
        assert_eq!(
            (message.body().as_deref(), message.response_body().as_deref()),
            (Some(&[0xff][..]), Some(&b"r"[..]))
        );
        assert_eq!(
            (message.method(), message.max_retries(), message.failure_callback()),
            (Some("POST"), Some(3), Some("f"))
        );
        let times = [message.workflow_created_at(), message.created_at(), message.not_before()];
        assert_eq!(times.map(|time| time.unwrap().get()), [1, 2, 3]);
        let info = message.failure_callback_info().unwrap();
        assert_eq!(info.state(), Some(FailureFunctionState::Other("NEW".into())));
        assert_eq!((info.response_status(), info.response_body()), (Some(500), Some("b")));
        assert_eq!(info.response_headers(), [("C", ["4"].into())]);
        assert_eq!((message.labels(), message.caller_ip()), (["x", "y"].into(), Some("::1")));
        assert_eq!((message.flow_control_key(), message.response_status()), (Some("k"), Some(502)));
        assert!(message.response_header().is_empty() && message.get("nothing").is_none());
    }

    #[test]
    fn the_text_stays_as_it_was_sent() {
        let sent = " {\n \"z\" : 1.0000000000000000000001 ,\t\"a\":[ 9007199254740993, -0 ,1E+2],\"s\":\" a \\\" \\\\\", \"u\":\"\\u0041\\/é\" , \"e\":{ } }\r\n";
        let kept =
            r#"{"z":1.0000000000000000000001,"a":[9007199254740993,-0,1E+2],"s":" a \" \\","u":"\u0041\/é","e":{}}"#;
        assert_eq!(DlqMessage::parse(sent).unwrap().as_json(), kept);
    }

    #[test]
    fn one_bad_field_takes_no_other_with_it() {
        let deep = alloc::format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let sent = alloc::format!(
            r#"{{"a":1e999,"b":"\ud800","c":{deep},"dlqId":"x","labels":[1,"l"],"header":[],"createdAt":1.5}}"#
        );
        let message = DlqMessage::parse(&sent).unwrap();
        assert_eq!(message.as_json(), sent);
        assert_eq!((message.dlq_id().unwrap().as_str(), message.labels()), ("x", ["l"].into()));
        assert!(message.created_at().is_none() && message.header().is_empty() && message.get("a").is_none());
        for text in ["", "[]", "null", "{", "{}x", "\"\\ud800\""] {
            assert!(DlqMessage::parse(text).is_err(), "{text}");
        }
    }
}
