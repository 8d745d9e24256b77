//! What ureq's errors say about a request: certainly not sent, or unknown.

use crate::not_sent::{NotSent, of_proxy, plain};
use std::io::ErrorKind;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure};
use ureq::{Error, Timeout};

/// `NotSent` only if that is certain. In every other case the request may have been carried out.
pub(crate) fn classify(error: &Error, endpoint: &Endpoint) -> TransportFailure {
    let (delivery, message) = match NotSent::of(error) {
        Some(before) => (Delivery::NotSent, before.to_string()),
        None => unmarked(error),
    };
    let failure = match delivery {
        Delivery::NotSent => TransportFailure::not_sent(error.to_string()),
        Delivery::Unknown => TransportFailure::unknown(error.to_string()),
    };
    failure.with_message(message).redacted(endpoint)
}

/// Errors after the connection, and all errors of the user's own agent. ureq returns some errors only before it sends. The
/// kind of an I/O error does not tell.
fn unmarked(error: &Error) -> (Delivery, String) {
    let not_sent = |message: String| (Delivery::NotSent, message);
    match error {
        Error::HostNotFound => not_sent("the host was not found: check the URL and the network".into()),
        Error::ConnectionFailed => not_sent("the connection could not be made".into()),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => not_sent("the connection timed out".into()),
        Error::ConnectProxyFailed(reason) => not_sent(format!("the proxy did not connect: {}", of_proxy(reason))),
        Error::TlsRequired => {
            not_sent("there is no TLS: enable the feature rustls, platform-verifier or native-tls".into())
        }
        Error::RequireHttpsOnly(_) => not_sent("the agent takes https only, and this URL is http".into()),
        Error::BadUri(_) => not_sent("the URL was not accepted".into()),
        // The library returns it from the handshake alone, and I/O errors afterwards.
        #[cfg(feature = "native-tls")]
        Error::NativeTls(error) => not_sent(format!("the TLS handshake failed: {error}")),
        error if is_bad_certificate(error) => not_sent(format!("TLS: {}", plain(error))),
        Error::Timeout(_) => (Delivery::Unknown, "no response arrived in time".into()),
        error => (Delivery::Unknown, format!("no response arrived: {}", plain(error))),
    }
}

/// Certificates are checked in the handshake, before the request.
fn is_bad_certificate(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    error.kind() == ErrorKind::InvalidData
        && error.get_ref().is_some_and(|cause| cause.to_string().starts_with("invalid peer certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use upstash_dlq_core::Token;

    /// What the library says of data that it cannot read need not be of the handshake.
    #[test]
    fn only_a_certificate_that_was_refused_is_proof() {
        let endpoint = Endpoint::new("https://h.invalid", Token::new("t0ken").unwrap()).unwrap();
        for (kind, said, delivery) in [
            (ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer", Delivery::NotSent),
            (ErrorKind::InvalidData, "received corrupt message", Delivery::Unknown),
            (ErrorKind::ConnectionReset, "invalid peer certificate: UnknownIssuer", Delivery::Unknown),
        ] {
            let failure = classify(&Error::Io(io::Error::new(kind, said)), &endpoint);
            assert_eq!(failure.delivery, delivery, "{kind:?} {said}");
        }
    }
}
