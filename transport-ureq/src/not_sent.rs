//! What went wrong before the first byte of a request: only here is that known for certain.
//!
//! An error's kind does not tell: a connection that stands can end as "refused", too, when its host goes away. So every
//! error on the way to a connection is put into a type of our own, and nothing that comes later is.

use http::Uri;
use std::fmt;
use std::io::ErrorKind;
use ureq::{Error, Timeout};

/// An error from before the first byte.
#[derive(Debug)]
pub(crate) struct NotSent {
    step: Step,
    /// What was to be reached: the service, or a proxy on the way to it.
    host: String,
    error: Error,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Lookup,
    Connect,
}

impl NotSent {
    /// The innermost mark stays: it knows more.
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
            (Step::Lookup, Error::Timeout(_)) => write!(f, "looking up {host} took too long"),
            (Step::Lookup, Error::Io(error)) => {
                write!(f, "{host} was not found ({error}): check the URL and the network")
            }
            (Step::Lookup, _) => write!(f, "{host} was not found: check the URL and the network"),
            (Step::Connect, Error::Timeout(Timeout::Resolve | Timeout::Connect | Timeout::Global)) => {
                write!(f, "connecting to {host} took too long")
            }
            (Step::Connect, Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                write!(f, "the connection to {host} was refused: check the URL, or whether the server runs")
            }
            (Step::Connect, Error::ConnectProxyFailed(reason)) => {
                write!(f, "the proxy did not connect to {host}: {reason}")
            }
            (Step::Connect, error) => write!(f, "no connection to {host} could be made: {error}"),
        }
    }
}

impl std::error::Error for NotSent {}

/// Host and port, without a proxy's user and password.
pub(crate) fn authority(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit('@').next().unwrap_or_default()
}
