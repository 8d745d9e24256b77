//! What the suite asks of a transport, and the words in which a transport says that it has no response.

use std::fmt;
use std::time::Duration;

/// What the suite asks of the transport that it tests.
///
/// ```
/// # use upstash_dlq_emulator::conformance::{Failure, Setup, check_one};
/// let connect = |setup: &Setup| {
///     let (timeout, max_body) = (setup.timeout, setup.max_body);
///     move |request: http::Request<()>| {
///         Err(Failure::NotSent(format!("no client to send {} within {timeout:?} and {max_body} bytes", request.method())))
///     }
/// };
/// assert!(check_one("refused", connect).is_some_and(|report| report.is_ok()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setup {
    /// The base URL without a slash at its end: `http://127.0.0.1:port`, or a name that does not exist. The URL of each
    /// request begins with it. No proxy leads there.
    pub url: String,
    /// How long one whole request may take: name lookup, connection, request, response and its body.
    pub timeout: Duration,
    /// The largest response body that the transport may return, in bytes.
    pub max_body: usize,
    /// The token that the requests carry, for a transport that must know what to hide. The transport does not add it.
    pub token: String,
}

/// Why a transport has no response. The text is what people would read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not a byte of the request was sent: the server certainly did not carry it out.
    NotSent(String),
    /// The server may have carried the request out; nobody knows.
    Unknown(String),
}

impl Failure {
    /// Returns the text.
    pub fn message(&self) -> &str {
        match self {
            Self::NotSent(message) | Self::Unknown(message) => message,
        }
    }
}

/// Writes what kind of failure it is, and the text.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(message) => write!(f, "NotSent ({message})"),
            Self::Unknown(message) => write!(f, "Unknown ({message})"),
        }
    }
}

impl std::error::Error for Failure {}
