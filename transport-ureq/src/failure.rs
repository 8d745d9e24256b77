//! What ureq's errors say of a request: surely not sent, or unknown.

use crate::not_sent::NotSent;
use std::io::ErrorKind;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure};
use ureq::{Error, Timeout};

/// `NotSent` only where it is certain; all else may have been carried out.
pub(crate) fn classify(error: &Error, endpoint: &Endpoint) -> TransportFailure {
    let (delivery, message) = match NotSent::of(error) {
        Some(before) => (Delivery::NotSent, before.to_string()),
        None => unmarked(error),
    };
    TransportFailure { delivery, message: endpoint.redact(&message) }
}

/// What comes after the connection, and all errors of an agent that is not ours. The library says some things only before
/// it sends; the kind of an I/O error is none of them.
fn unmarked(error: &Error) -> (Delivery, String) {
    let not_sent = |message: String| (Delivery::NotSent, message);
    match error {
        Error::HostNotFound => not_sent("the host was not found: check the URL and the network".into()),
        Error::ConnectionFailed => not_sent("the connection could not be made".into()),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => not_sent("connecting took too long".into()),
        Error::ConnectProxyFailed(reason) => not_sent(format!("the proxy did not connect: {reason}")),
        Error::TlsRequired => {
            not_sent("there is no TLS: switch on the feature rustls, platform-verifier or native-tls".into())
        }
        Error::RequireHttpsOnly(_) => not_sent("the agent takes https only, and this URL is http".into()),
        Error::BadUri(_) => not_sent("the URL was not accepted".into()),
        error if is_bad_certificate(error) => not_sent(format!("TLS: {error}")),
        Error::Timeout(_) => (Delivery::Unknown, "no answer came in time".into()),
        error => (Delivery::Unknown, format!("no answer came: {error}")),
    }
}

/// Certificates are checked in the handshake, before the request.
fn is_bad_certificate(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    error.kind() == ErrorKind::InvalidData
        && error.get_ref().is_some_and(|cause| cause.to_string().starts_with("invalid peer certificate"))
}
