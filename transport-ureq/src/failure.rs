use std::io::ErrorKind;
use upstash_dlq_core::{Delivery, TransportFailure};

/// `NotSent` only where it is certain; all else may have been carried out. No message repeats a URL.
pub(crate) fn classify(error: &ureq::Error) -> TransportFailure {
    use ureq::{Error, Timeout};
    let (delivery, message) = match error {
        Error::HostNotFound => (Delivery::NotSent, "the host was not found: check the URL and the network".into()),
        Error::ConnectionFailed => (Delivery::NotSent, "the connection could not be made".into()),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => (Delivery::NotSent, "connecting took too long".into()),
        // Only making a connection can be refused; one that stands is reset.
        Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
            (Delivery::NotSent, "the connection was refused: check the URL, or whether the server runs".into())
        }
        // Checked in the handshake, before the request.
        other if other.to_string().contains("invalid peer certificate") => (Delivery::NotSent, format!("TLS: {other}")),
        Error::Timeout(_) => (Delivery::Unknown, "no answer came in time".into()),
        Error::BadUri(_) => (Delivery::NotSent, "the URL was not accepted".into()),
        other => (Delivery::Unknown, format!("no answer came: {other}")),
    };
    TransportFailure { delivery, message }
}
