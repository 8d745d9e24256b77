//! What reqwest's errors say of a request: surely not sent, or unknown.

use std::error::Error;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure};

/// Whether the client is known to send a request once at most, and only where it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Known,
    /// It may have followed a redirect, or tried again: an error of its last attempt says nothing of those before.
    Unknown,
}

/// `NotSent` only where it is certain; all else may have been carried out. reqwest puts the whole way to a connection under
/// "connect" (name lookup, proxy and TLS as well), and nothing that happens on one that stands, whatever the kind of the
/// I/O error. Its own text holds the URL, so that only the cause at the end is told.
pub(crate) fn classify(error: &reqwest::Error, endpoint: &Endpoint, conduct: Conduct) -> TransportFailure {
    let connecting = error.is_connect();
    let sure = conduct == Conduct::Known && (connecting || error.is_builder());
    let what = match (connecting, error.is_timeout()) {
        (true, true) => format!("connecting to {} took too long", authority(endpoint)),
        (true, false) => format!("no connection to {} could be made", authority(endpoint)),
        (false, true) => "no answer came in time".to_owned(),
        (false, false) if error.is_builder() => "the URL was not accepted".to_owned(),
        (false, false) => "no answer came, or it broke off".to_owned(),
    };
    let message = match innermost(error) {
        Some(cause) => endpoint.redact(&format!("{what}: {cause}")),
        None => what,
    };
    TransportFailure { delivery: if sure { Delivery::NotSent } else { Delivery::Unknown }, message }
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
