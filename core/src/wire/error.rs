//! Responses that are not the expected one.

use crate::bugs::bug;
use crate::model::endpoint::Endpoint;
use crate::model::text::Escaped;
use alloc::string::String;
use core::fmt;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

/// How much of a body an error keeps, in bytes.
const KEPT: usize = 1_024;

/// A response that is not the expected one.
///
/// With serde, it is `{"kind": "status", "status": 503, "body": {"kind": "message", "text": "…"}}`.
///
/// ```
/// use upstash_dlq_core::wire::ResponseError;
/// let with = |status, body: &'static str| http::Response::builder().status(status).body(body);
/// let error = ResponseError::from_response(&with(404, r#"{"error":"user not found in this region"}"#)?).unwrap();
/// assert!(error.status() == 404 && error.is_wrong_region());
/// assert_eq!(ResponseError::from_response(&with(200, "")?), None);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseError {
    /// The service refused the request, or failed.
    Status {
        /// The response's status, 4xx or 5xx.
        #[serde(with = "status_number")]
        status: StatusCode,
        /// What the response says.
        body: ErrorBody,
    },
    /// A redirect. It is never followed, because the token would travel along.
    Redirect {
        /// The response's status, 3xx.
        #[serde(with = "status_number")]
        status: StatusCode,
    },
    /// A run with another id than the one that was asked for.
    OtherRun {
        /// The response's status, 2xx.
        #[serde(with = "status_number")]
        status: StatusCode,
    },
    /// A success whose body is not what the service documents. Proxies produce such responses.
    Unreadable {
        /// The response's status, 2xx (or 1xx, which no transport should hand over).
        #[serde(with = "status_number")]
        status: StatusCode,
        /// What is wrong with it, cut to 1,024 bytes.
        problem: String,
    },
}

/// The body of an error response, cut to 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorBody {
    /// `{"error": …}`, the service's own words.
    Message(String),
    /// Anything else that has text: other JSON, HTML, a proxy's page.
    Text(String),
    /// Nothing.
    Empty,
}

impl ErrorBody {
    /// Reads a body. A body that is not understood is kept as text.
    pub fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wire {
            error: String,
        }
        if let Ok(Wire { error }) = serde_json::from_slice(body) {
            return if error.is_empty() { Self::Empty } else { Self::Message(cut(&error)) };
        }
        let body = body.get(..KEPT).unwrap_or(body);
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        if text.is_empty() { Self::Empty } else { Self::Text(cut(text)) }
    }

    /// The text, unescaped: wrap it in [`Escaped`] before it is shown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Message(text) | Self::Text(text) => text,
            Self::Empty => "",
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(KEPT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

/// A status as a number, for serde.
mod status_number {
    use http::StatusCode;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl ResponseError {
    /// The error that a response is by its status alone. `None` for 2xx.
    pub fn from_response<B: AsRef<[u8]>>(response: &Response<B>) -> Option<Self> {
        let status = response.status();
        if status.is_success() {
            None
        } else if status.is_redirection() {
            Some(Self::Redirect { status })
        } else if status.is_informational() {
            Some(Self::Unreadable { status, problem: "not a final response".into() })
        } else {
            Some(Self::Status { status, body: ErrorBody::parse(response.body().as_ref()) })
        }
    }

    pub(crate) fn unreadable<B>(response: &Response<B>, problem: &dyn fmt::Display) -> Self {
        // It may repeat a value of the body, of any length.
        Self::Unreadable { status: response.status(), problem: cut(&alloc::format!("{problem}")) }
    }

    /// The same error without the token, in case the server or a proxy has repeated it.
    pub(crate) fn redacted(self, endpoint: &Endpoint) -> Self {
        match self {
            Self::Status { status, body: ErrorBody::Message(text) } => {
                Self::Status { status, body: ErrorBody::Message(endpoint.redact_cut(&text)) }
            }
            Self::Status { status, body: ErrorBody::Text(text) } => {
                Self::Status { status, body: ErrorBody::Text(endpoint.redact_cut(&text)) }
            }
            Self::Unreadable { status, problem } => Self::Unreadable { status, problem: endpoint.redact_cut(&problem) },
            other => other,
        }
    }

    /// Whether the service says that it does not know the token's user in this region. Such a 404 does not prove that a run
    /// is gone.
    pub fn is_wrong_region(&self) -> bool {
        match self {
            Self::Status { status: StatusCode::NOT_FOUND, body } => {
                body.as_str().to_ascii_lowercase().contains("region")
            }
            _ => false,
        }
    }

    /// Whether the service itself says that there is no such run: a 404 in its form of an error, and not about the region. It means
    /// this only as the response to a request about one run. A proxy that has the same form of an error is not told apart.
    ///
    /// ```
    /// use upstash_dlq_core::wire::ResponseError;
    /// let with = |body: &'static str| http::Response::builder().status(404).body(body);
    /// let is_missing = |body| with(body).map(|response| ResponseError::from_response(&response).unwrap().is_run_missing());
    /// assert!(is_missing(r#"{"error":"message not found in DLQ"}"#)?);
    /// assert!(!is_missing(r#"{"error":"user not found in this region"}"#)?);
    /// assert!(!is_missing("<h1>404 Not Found</h1>")?);
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn is_run_missing(&self) -> bool {
        if bug!(NotFoundTakenAsAbsent) {
            return self.status() == StatusCode::NOT_FOUND;
        }
        !self.is_wrong_region()
            && matches!(self, Self::Status { status: StatusCode::NOT_FOUND, body: ErrorBody::Message(_) })
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Status { status, .. }
            | Self::Redirect { status }
            | Self::OtherRun { status }
            | Self::Unreadable { status, .. } => *status,
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, body: ErrorBody::Empty } => write!(f, "the server responded with {status}"),
            Self::Status { status, body } => {
                write!(f, "the server responded with {status}: {}", Escaped(body.as_str()))
            }
            Self::Redirect { status } => {
                write!(f, "the server responded with {status}, a redirect, which is never followed: check the URL")
            }
            Self::OtherRun { status } => {
                write!(f, "the server responded with {status} and another run than the one that was asked for")
            }
            Self::Unreadable { status, problem } => {
                write!(f, "the server responded with {status} and a body that cannot be read ({})", Escaped(problem))
            }
        }
    }
}

impl core::error::Error for ResponseError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn bodies_keep_their_words() {
        assert_eq!(ErrorBody::parse(br#"{"error":"no such filter"}"#), ErrorBody::Message("no such filter".into()));
        assert_eq!(ErrorBody::parse(br#"{"message":"x"}"#), ErrorBody::Text(r#"{"message":"x"}"#.into()));
        assert_eq!(ErrorBody::parse(b" \n"), ErrorBody::Empty);
        assert_eq!(ErrorBody::parse(br#"{"error":""}"#), ErrorBody::Empty);
        assert_eq!(ErrorBody::parse(b"\xff<html>"), ErrorBody::Text("\u{fffd}<html>".into()));
        assert!(ErrorBody::parse(&[b'x'; 100_000]).as_str().len() <= KEPT);
        assert!(ErrorBody::parse("ä".repeat(9_999).as_bytes()).as_str().len() <= KEPT);
        // Whichever byte of a character the bound falls on.
        let kept = |start: &str| ErrorBody::parse((start.to_string() + &"ä".repeat(9_999)).as_bytes()).as_str().len();
        assert_eq!(kept("").min(kept("x")), KEPT - 1);
        assert_eq!(kept("").max(kept("x")), KEPT);
    }

    #[test]
    fn shown_without_control_characters() {
        let response = Response::builder().status(400).body("{\"error\":\"a\\u001b[2Jb\"}").unwrap();
        let shown = ResponseError::from_response(&response).unwrap().to_string();
        assert_eq!(shown, "the server responded with 400 Bad Request: a\\u{1b}[2Jb");
    }
}
