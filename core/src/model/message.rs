//! One failed run. The text that the service sent is kept as it is, and a field is read when it is asked for.

use crate::model::base64;
use crate::model::callback_state::FailureFunctionState;
use crate::model::dlq_id::DlqId;
use crate::model::hash::hash_of;
use crate::model::time::UnixMillis;
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The most names, and the most values of a name, that are read of headers and labels. It bounds the memory of a hostile list.
const MAX_ENTRIES: usize = 1_000;

/// Names and their values.
type Headers<'a> = Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>;

/// One failed run (`WorkflowDLQMessage` in the service's OpenAPI description). Every field may be missing or of another type
/// than documented. Its accessor then returns `None`, and all other fields stay readable. All text in a message comes from
/// outside: wrap it in [`Escaped`](crate::model::Escaped) before it is shown.
///
/// ```
/// use upstash_dlq_core::DlqMessage;
/// let message = DlqMessage::parse(r#"{"dlqId": "a", "label": "nightly", "maxRetries": "oops", "new": 1e999}"#)?;
/// assert_eq!(message.labels(), ["nightly"]);
/// assert_eq!(message.max_retries(), None);
/// assert_eq!(message.as_json(), r#"{"dlqId":"a","label":"nightly","maxRetries":"oops","new":1e999}"#);
/// # Ok::<(), upstash_dlq_core::model::MessageError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct DlqMessage {
    raw: String,
    /// Where in `raw` the values of the known fields are. So a field costs nothing before it is asked for.
    fields: [Span; NAMES.len()],
}

/// A range of bytes. Empty if the field is missing.
#[derive(Clone, Copy, Default, PartialEq)]
struct Span {
    start: u32,
    end: u32,
}

macro_rules! fields {
    ($($field:ident $name:literal)*) => {
        #[derive(Clone, Copy)]
        enum Field { $($field,)* }

        const NAMES: [&str; [$($name),*].len()] = [$($name),*];

        impl Field {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    DlqId "dlqId"
    WorkflowRunId "workflowRunId"
    WorkflowUrl "workflowUrl"
    WorkflowCreatedAt "workflowCreatedAt"
    Url "url"
    Method "method"
    Header "header"
    Body "body"
    BodyBase64 "bodyBase64"
    MaxRetries "maxRetries"
    CreatedAt "createdAt"
    NotBefore "notBefore"
    FailureCallback "failureCallback"
    FailureFunctionState "failureFunctionState"
    FailureCallbackInfo "failureCallbackInfo"
    CallerIp "callerIP"
    Label "label"
    Labels "labels"
    FlowControlKey "flowControlKey"
    ResponseStatus "responseStatus"
    ResponseHeader "responseHeader"
    ResponseBody "responseBody"
    ResponseBodyBase64 "responseBodyBase64"
}

/// The result of a failure callback.
#[derive(Clone, Copy, PartialEq)]
pub struct FailureCallbackInfo<'a>(&'a str);

/// Why a text is not a message: it is not one JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageError(String);

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a message, which is one JSON object: {}", crate::model::text::Escaped(&self.0))
    }
}

impl core::error::Error for MessageError {}

impl DlqMessage {
    /// Reads one message.
    ///
    /// # Errors
    /// Returns a [`MessageError`] if the text is not one JSON object.
    pub fn parse(json: &str) -> Result<Self, MessageError> {
        let raw: &RawValue = serde_json::from_str(json).map_err(|error| MessageError(error.to_string()))?;
        if !raw.get().starts_with('{') {
            return Err(MessageError("another kind of JSON".into()));
        }
        Ok(Self::from_raw(raw))
    }

    /// Takes any JSON. A value that is not an object has no fields.
    pub(crate) fn from_raw(raw: &RawValue) -> Self {
        let raw = without_white_space(raw.get());
        let mut fields = [Span::default(); NAMES.len()];
        let begin = raw.as_ptr().addr();
        // An unreadable name ends the reading. The fields before it are not used either: the message may be torn.
        let read = each_entry(&raw, |name, value| {
            let Some(field) = Field::named(name) else { return };
            let start = value.as_ptr().addr() - begin;
            if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(start + value.len())) {
                fields[field as usize] = Span { start, end };
            }
        });
        if read.is_err() {
            fields = [Span::default(); NAMES.len()];
        }
        Self { raw, fields }
    }

    /// The message as one line of JSON: as it was sent, without the white space between its tokens. Numbers, escapes and the
    /// order of the fields are unchanged.
    pub fn as_json(&self) -> &str {
        &self.raw
    }

    /// Returns any field by its name in the API, also one that this version does not know. Returns `None` if the field is
    /// missing, or if a [`Value`] cannot hold it. [`Self::as_json`] has it then.
    pub fn get(&self, name: &str) -> Option<Value> {
        serde_json::from_str(entry(&self.raw, name)?).ok()
    }

    fn raw(&self, field: Field) -> Option<&str> {
        let Span { start, end } = self.fields[field as usize];
        self.raw.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?).filter(|raw| !raw.is_empty())
    }

    fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        text(self.raw(field)?)
    }

    fn number(&self, field: Field) -> Option<i64> {
        serde_json::from_str(self.raw(field)?).ok()
    }

    fn time(&self, field: Field) -> Option<UnixMillis> {
        self.number(field).map(UnixMillis::new)
    }

    /// A hash that tells this run from others: of its id, or of all that is said of it if that cannot be used.
    pub(crate) fn identity(&self) -> u64 {
        self.dlq_id().map_or_else(|| hash_of(self.as_json()), |id| hash_of(id.as_str()))
    }

    /// `dlqId`. `None` if it cannot be used in a request.
    pub fn dlq_id(&self) -> Option<DlqId> {
        DlqId::new(self.text(Field::DlqId)?.into_owned()).ok()
    }

    /// `dlqId`, usable or not.
    pub(crate) fn dlq_id_text(&self) -> Option<Cow<'_, str>> {
        let raw = self.raw(Field::DlqId).filter(|raw| *raw != "null")?;
        Some(serde_json::from_str(raw).map_or(Cow::Borrowed(raw), |Element(text)| text))
    }

    /// `workflowRunId`: the id of the run. Its entry in the DLQ has another, [`Self::dlq_id`].
    pub fn workflow_run_id(&self) -> Option<Cow<'_, str>> {
        self.text(Field::WorkflowRunId)
    }

    /// `workflowUrl`, or the failed step's `url` if it is missing.
    pub fn workflow_url(&self) -> Option<Cow<'_, str>> {
        self.text(Field::WorkflowUrl).or_else(|| self.url())
    }

    /// `workflowCreatedAt`: when the run was created, in milliseconds since 1970.
    pub fn workflow_created_at(&self) -> Option<UnixMillis> {
        self.time(Field::WorkflowCreatedAt)
    }

    /// `url`: the URL of the failed step.
    pub fn url(&self) -> Option<Cow<'_, str>> {
        self.text(Field::Url)
    }

    /// `method`: the HTTP method of the failed step.
    pub fn method(&self) -> Option<Cow<'_, str>> {
        self.text(Field::Method)
    }

    /// `header`: the request headers of the step, by name.
    pub fn header(&self) -> Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> {
        self.raw(Field::Header).map(headers).unwrap_or_default()
    }

    /// The request body of the step: `body`, or the decoded `bodyBase64` if `body` is empty.
    pub fn body(&self) -> Option<Cow<'_, [u8]>> {
        body(self.raw(Field::Body), self.raw(Field::BodyBase64))
    }

    /// `maxRetries`: how often the step was to be retried.
    pub fn max_retries(&self) -> Option<i64> {
        self.number(Field::MaxRetries)
    }

    /// `createdAt`, in milliseconds since 1970.
    pub fn created_at(&self) -> Option<UnixMillis> {
        self.time(Field::CreatedAt)
    }

    /// `notBefore`: before when the step was not to be called, in milliseconds since 1970.
    pub fn not_before(&self) -> Option<UnixMillis> {
        self.time(Field::NotBefore)
    }

    /// `failureCallback`: the URL that failures are reported to.
    pub fn failure_callback(&self) -> Option<Cow<'_, str>> {
        self.text(Field::FailureCallback)
    }

    /// `failureFunctionState`: the state of the failure callback.
    pub fn failure_function_state(&self) -> Option<FailureFunctionState> {
        self.text(Field::FailureFunctionState).map(|state| FailureFunctionState::from(&*state))
    }

    /// `failureCallbackInfo`: the result of the failure callback.
    pub fn failure_callback_info(&self) -> Option<FailureCallbackInfo<'_>> {
        self.raw(Field::FailureCallbackInfo).filter(|info| info.starts_with('{')).map(FailureCallbackInfo)
    }

    /// `callerIP`: who called the workflow.
    pub fn caller_ip(&self) -> Option<Cow<'_, str>> {
        self.text(Field::CallerIp)
    }

    /// `labels`, or the older `label` if there are none.
    pub fn labels(&self) -> Vec<Cow<'_, str>> {
        let labels = self.raw(Field::Labels).filter(|labels| labels.starts_with('[')).map(texts).unwrap_or_default();
        if labels.is_empty() { self.text(Field::Label).into_iter().collect() } else { labels }
    }

    /// `flowControlKey`
    pub fn flow_control_key(&self) -> Option<Cow<'_, str>> {
        self.text(Field::FlowControlKey)
    }

    /// `responseStatus`: the HTTP status of the last response.
    pub fn response_status(&self) -> Option<i64> {
        self.number(Field::ResponseStatus)
    }

    /// `responseHeader`: the response headers of the step, by name.
    pub fn response_header(&self) -> Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> {
        self.raw(Field::ResponseHeader).map(headers).unwrap_or_default()
    }

    /// The response body of the step: `responseBody`, or the decoded `responseBodyBase64` if `responseBody` is empty.
    pub fn response_body(&self) -> Option<Cow<'_, [u8]>> {
        body(self.raw(Field::ResponseBody), self.raw(Field::ResponseBodyBase64))
    }

    /// `responseBody` and `responseBodyBase64` as they were sent, for a reader that needs only the beginning.
    pub(crate) fn raw_response_body(&self) -> [Option<&str>; 2] {
        [self.raw(Field::ResponseBody), self.raw(Field::ResponseBodyBase64)]
    }
}

impl<'a> FailureCallbackInfo<'a> {
    /// `state`
    pub fn state(&self) -> Option<FailureFunctionState> {
        text(entry(self.0, "state")?).map(|state| FailureFunctionState::from(&*state))
    }

    /// `responseStatus`: the HTTP status of the last response.
    pub fn response_status(&self) -> Option<i64> {
        serde_json::from_str(entry(self.0, "responseStatus")?).ok()
    }

    /// `responseBody`
    pub fn response_body(&self) -> Option<Cow<'a, str>> {
        text(entry(self.0, "responseBody")?)
    }

    /// `responseHeaders`: the response headers, by name.
    pub fn response_headers(&self) -> Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)> {
        entry(self.0, "responseHeaders").map(headers).unwrap_or_default()
    }
}

/// Reads a JSON string that is not empty.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw).ok().map(|Text(text)| text).filter(|text| !text.is_empty())
}

/// The strings of a JSON array, or a JSON string by itself.
fn texts(raw: &str) -> Vec<Cow<'_, str>> {
    if !raw.starts_with('[') {
        return serde_json::from_str(raw).ok().map(|Element(text)| text).into_iter().collect();
    }
    let mut texts = Vec::new();
    // An array, since it was read as part of a whole message.
    let _ = each_element(raw, |value| {
        if texts.len() < MAX_ENTRIES {
            texts.extend(serde_json::from_str::<Element<'_>>(value).ok().map(|Element(text)| text));
        }
    });
    texts
}

/// A string in a list, which may be empty.
#[derive(Deserialize)]
struct Element<'a>(#[serde(borrow)] Cow<'a, str>);

fn headers(raw: &str) -> Headers<'_> {
    let mut headers: Headers<'_> = Vec::new();
    // What is not an object has no headers.
    let _ = each_entry(raw, |name, value| {
        if headers.len() < MAX_ENTRIES {
            headers.push((Cow::Owned(name.to_string()), texts(value)));
        }
    });
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    headers
}

fn body<'a>(plain: Option<&'a str>, encoded: Option<&'a str>) -> Option<Cow<'a, [u8]>> {
    match plain.and_then(text) {
        Some(Cow::Borrowed(text)) => Some(Cow::Borrowed(text.as_bytes())),
        Some(Cow::Owned(text)) => Some(Cow::Owned(text.into_bytes())),
        None => base64::decode(&text(encoded?)?).map(Cow::Owned),
    }
}

/// The raw value of an object's last entry with this name.
fn entry<'a>(object: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = None;
    each_entry(object, |name, value| {
        if name == wanted {
            found = Some(value);
        }
    })
    .ok()?;
    found
}

/// Visits each entry of a JSON object, one after the other.
fn each_entry<'a>(object: &'a str, visit: impl FnMut(&str, &'a str)) -> Result<(), serde_json::Error> {
    struct Entries<F>(F);
    impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Element(name)) = map.next_key()? {
                let value: &'de RawValue = map.next_value()?;
                (self.0)(&name, value.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(object).deserialize_map(Entries(visit))
}

/// Visits each element of a JSON array.
fn each_element<'a>(array: &'a str, visit: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    struct Elements<F>(F);
    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(value) = elements.next_element::<&'de RawValue>()? {
                (self.0)(value.get());
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(array).deserialize_seq(Elements(visit))
}

/// Removes the white space between the tokens of a JSON text. What lies between two stretches of it is copied at once.
fn without_white_space(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped, mut from) = (false, false, 0);
    for (at, byte) in json.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            out.push_str(json.get(from..at).unwrap_or_default());
            from = at + 1;
        } else {
            in_string = byte == b'"';
        }
    }
    out.push_str(json.get(from..).unwrap_or_default());
    out
}

impl fmt::Debug for FailureCallbackInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureCallbackInfo").field("state", &self.state()).finish_non_exhaustive()
    }
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
            (message.workflow_run_id().as_deref(), message.workflow_url().as_deref(), message.url().as_deref()),
            (Some("w"), Some("u"), Some("s"))
        );
        assert_eq!(
            message.header(),
            [("A".into(), ["1".into(), "2".into()].into()), ("B".into(), ["3".into()].into())]
        );
        assert_eq!(
            (message.body().as_deref(), message.response_body().as_deref()),
            (Some(&[0xff][..]), Some(&b"r"[..]))
        );
        assert_eq!(
            (message.method().as_deref(), message.max_retries(), message.failure_callback().as_deref()),
            (Some("POST"), Some(3), Some("f"))
        );
        let times = [message.workflow_created_at(), message.created_at(), message.not_before()];
        assert_eq!(times.map(|time| time.unwrap().get()), [1, 2, 3]);
        let info = message.failure_callback_info().unwrap();
        assert_eq!(info.state(), Some(FailureFunctionState::Other("NEW".into())));
        assert_eq!((info.response_status(), info.response_body().as_deref()), (Some(500), Some("b")));
        assert_eq!(info.response_headers(), [("C".into(), ["4".into()].into())]);
        assert_eq!((message.labels(), message.caller_ip().as_deref()), (["x".into(), "y".into()].into(), Some("::1")));
        assert_eq!((message.flow_control_key().as_deref(), message.response_status()), (Some("k"), Some(502)));
        assert!(message.response_header().is_empty() && message.get("nothing").is_none());
    }

    /// A server cannot fill the memory with one message's lists.
    #[test]
    fn a_list_has_so_many_entries_at_most() {
        let texts: Vec<_> = (0..=MAX_ENTRIES).map(|n| alloc::format!("\"{n:04}\"")).collect();
        let labels = texts.join(",");
        let header: Vec<_> = texts.iter().map(|name| alloc::format!("{name}:[{labels}]")).take(3).collect();
        let header = alloc::format!("{},{}", header.join(","), texts.join(":1,") + ":1");
        let message = DlqMessage::parse(&alloc::format!(r#"{{"labels":[{labels}],"header":{{{header}}}}}"#)).unwrap();
        assert_eq!((message.labels().len(), message.labels().last().unwrap().as_ref()), (MAX_ENTRIES, "0999"));
        let header = message.header();
        assert_eq!((header.len(), header[0].1.len()), (MAX_ENTRIES, MAX_ENTRIES));
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
        assert_eq!((message.dlq_id().unwrap().as_str(), message.labels()), ("x", ["l".into()].into()));
        assert!(message.created_at().is_none() && message.header().is_empty() && message.get("a").is_none());
        for text in ["", "[]", "null", "{", "{}x", "\"\\ud800\""] {
            assert!(DlqMessage::parse(text).is_err(), "{text}");
        }
    }
}
