//! What reqwest's errors say about a request: certainly not sent, or unknown.

use std::error::Error;
use upstash_dlq_core::{Endpoint, TransportFailure};

/// Whether the HTTP client is known to send a request at most once, and only to the URL it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Known,
    /// It may have followed a redirect, or tried again. The error of its last attempt says nothing about earlier ones.
    Unknown,
}

/// `NotSent` only if that is certain. In every other case the request may have been carried out. reqwest
/// reports every error on the way to a connection as "connect" (name lookup, proxy and TLS, too), and no error of an
/// established one. Its own text holds the URL, so the message has only the innermost cause.
pub(crate) fn classify(error: &reqwest::Error, endpoint: &Endpoint, conduct: Conduct) -> TransportFailure {
    let connecting = error.is_connect();
    let sure = conduct == Conduct::Known && (connecting || error.is_builder());
    let what = match (connecting, error.is_timeout()) {
        (true, true) => format!("the connection to {} timed out", authority(endpoint)),
        (true, false) => format!("no connection to {} could be made", authority(endpoint)),
        (false, true) => "no response arrived in time".to_owned(),
        (false, false) if error.is_builder() => "the URL was not accepted".to_owned(),
        (false, false) => "no response arrived, or it was cut off".to_owned(),
    };
    let library = innermost(error).map(|cause| endpoint.redact(&cause.to_string()));
    let message = library.as_ref().map_or_else(|| what.clone(), |cause| format!("{what}: {cause}"));
    let library = library.unwrap_or_default();
    let failure = if sure { TransportFailure::not_sent(library) } else { TransportFailure::unknown(library) };
    failure.with_message(message)
}

/// The cause at the end of the chain.
pub(crate) fn innermost(error: &reqwest::Error) -> Option<&(dyn Error + 'static)> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause)
}

/// Host and port.
fn authority(endpoint: &Endpoint) -> &str {
    let after_scheme = endpoint.base_url().split_once("://").map_or("", |(_, rest)| rest);
    after_scheme.split('/').next().unwrap_or_default()
}
