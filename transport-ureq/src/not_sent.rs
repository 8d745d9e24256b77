//! Marks the errors that happen before the first byte of a request is sent. Only the connector and the resolver know that for
//! certain.
//!
//! An error's kind does not tell: an established connection can also end as "refused", when its host goes away. So every
//! error on the way to a connection is put into a type of our own, and no later error is.

use http::{StatusCode, Uri};
use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use ureq::{Error, Timeout};

/// An error from before the first byte.
#[derive(Debug)]
pub(crate) struct NotSent {
    step: Step,
    /// The host to connect to: the service, or a proxy on the way to it.
    host: String,
    error: Error,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Lookup,
    Connect,
}

impl NotSent {
    /// Marks an error. An error that is marked already stays as it is: the inner mark knows more.
    pub(crate) fn mark(step: Step, uri: &Uri, error: Error) -> Error {
        if Self::of(&error).is_some() {
            return error;
        }
        Error::Other(Box::new(Self { step, host: authority(uri).to_owned(), error }))
    }

    pub(crate) fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Other(other) => other.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match (self.step, &self.error) {
            (Step::Lookup, Error::Timeout(_)) => write!(f, "looking up {host} timed out"),
            (Step::Lookup, Error::Io(error)) => {
                write!(f, "{host} was not found ({error}): check the URL and the network")
            }
            (Step::Lookup, _) => write!(f, "{host} was not found: check the URL and the network"),
            (Step::Connect, Error::Timeout(Timeout::Resolve | Timeout::Connect | Timeout::Global)) => {
                write!(f, "the connection to {host} timed out")
            }
            (Step::Connect, Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                write!(f, "the connection to {host} was refused: check the URL, or whether the server runs")
            }
            (Step::Connect, Error::ConnectProxyFailed(reason)) => {
                write!(f, "the proxy did not connect to {host}: {}", of_proxy(reason))
            }
            (Step::Connect, error) => write!(f, "no connection to {host} could be made: {}", plain(error)),
        }
    }
}

impl std::error::Error for NotSent {}

/// What an error says, for a sentence. ureq puts a word of its own before the texts of other libraries.
pub(crate) fn plain(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Http(error) => error.to_string(),
        Error::Protocol(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Why a proxy did not connect. ureq gives the status of its response twice.
pub(crate) fn of_proxy(reason: &str) -> Cow<'_, str> {
    let status = reason.strip_prefix("proxy server responded ").and_then(|status| status.split('/').next());
    match status.and_then(|status| status.parse::<StatusCode>().ok()) {
        Some(status) => Cow::Owned(format!("it responded with {status}")),
        None => Cow::Borrowed(reason),
    }
}

/// Host and port, without a proxy's user and password.
pub(crate) fn authority(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or_default()
}
