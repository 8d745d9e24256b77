//! Why a request failed.

use crate::model::endpoint::Endpoint;
use crate::model::text::Escaped;
use crate::wire::error::ResponseError;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::error::Error;
use core::fmt;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What a transport knows about a request that got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// No byte of the request can have reached the server: the name was not found, or no connection was made.
    NotSent,
    /// The server may have carried out the request.
    Unknown,
}

/// Why a request got no response.
///
/// `Display` says it in one sentence, with its cause. [`source`](Error::source) is the text of the library that failed, a
/// [`LibraryError`]. An operation removes its endpoint's token from both.
///
/// ```
/// use std::error::Error;
/// use upstash_dlq_core::{Delivery, TransportFailure};
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let failure = TransportFailure::not_sent(refused);
/// assert_eq!(failure.delivery, Delivery::NotSent);
/// assert_eq!(failure.to_string(), "the request could not be sent: connection refused");
/// assert_eq!(failure.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransportFailure {
    /// Whether the server may have carried out the request.
    pub delivery: Delivery,
    /// A sentence for people.
    pub message: String,
    /// What the HTTP library said.
    pub library: Option<LibraryError>,
    /// The bound in bytes, if there was a response whose body is longer than the transport reads
    /// ([`response_too_large`](crate::client::response_too_large)). A listing then asks for fewer messages at once. `None` for every
    /// other failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<u64>,
}

/// What an HTTP library said: its error and the causes of that error, as text. The error itself is not kept, because its text
/// could hold the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryError(String);

impl TransportFailure {
    /// A request that was certainly not sent. `error` is what the HTTP library said: an error, whose causes are kept as text,
    /// or a text. Only what happens before the first byte of the request is certain: see
    /// [`Delivery::NotSent`].
    pub fn not_sent(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Delivery::NotSent, "the request could not be sent", error)
    }

    /// A request that the server may have carried out. `error` is what the HTTP library said: an error, whose causes are kept
    /// as text, or a text.
    pub fn unknown(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Delivery::Unknown, "no response arrived", error)
    }

    fn new(delivery: Delivery, what: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let text = text_of(&*error.into());
        if text.is_empty() {
            return Self { delivery, message: what.to_string(), library: None, larger_than: None };
        }
        let message = alloc::format!("{what}: {text}");
        Self { delivery, message, library: Some(LibraryError(text)), larger_than: None }
    }

    /// The same failure with a sentence of its own in place of the usual one. The sentence should hold its cause.
    pub fn with_message(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same failure without the endpoint's token, in case the library has repeated it.
    #[must_use]
    pub fn redacted(mut self, endpoint: &Endpoint) -> Self {
        self.message = endpoint.redact(&self.message);
        if let Some(LibraryError(text)) = &mut self.library {
            *text = endpoint.redact(text);
        }
        self
    }
}

/// An error and its causes in one line. What an error has said of its cause already is not said again.
pub(crate) fn text_of(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

impl From<Delivery> for TransportFailure {
    fn from(delivery: Delivery) -> Self {
        let message = match delivery {
            Delivery::NotSent => "the request could not be sent",
            Delivery::Unknown => "no response arrived",
        };
        Self { delivery, message: message.to_string(), library: None, larger_than: None }
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.message).fmt(f)
    }
}

impl Error for TransportFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.library.as_ref().map(|library| library as &(dyn Error + 'static))
    }
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

impl Error for LibraryError {}

/// Why a request failed, or why its result is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The response is not the expected one.
    Response(ResponseError),
    /// No response arrived.
    Transport(TransportFailure),
    /// An earlier process ended while the request was in flight.
    ProcessEnded,
    /// An earlier process left the request in doubt.
    LeftInDoubt,
}

impl Cause {
    /// The response's status, if there was a response.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Response(error) => Some(error.status()),
            Self::Transport(_) | Self::ProcessEnded | Self::LeftInDoubt => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(error) => error.fmt(f),
            Self::Transport(failure) => failure.fmt(f),
            Self::ProcessEnded => f.write_str("an earlier process ended before the response arrived"),
            Self::LeftInDoubt => f.write_str("an earlier process did not learn the result of a request"),
        }
    }
}

/// `Display` repeats the error inside, so `source` skips it.
impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Response(error) => error.source(),
            Self::Transport(failure) => failure.source(),
            Self::ProcessEnded | Self::LeftInDoubt => None,
        }
    }
}
