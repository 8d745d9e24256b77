use std::error::Error;
use upstash_dlq_core::{Delivery, TransportFailure};

/// `NotSent` only where it is certain; all else may have been carried out. No message repeats a URL: reqwest's own text
/// holds it, so that only the causes below it are told.
pub(crate) fn classify(error: &reqwest::Error) -> TransportFailure {
    let delivery = if error.is_connect() || error.is_builder() { Delivery::NotSent } else { Delivery::Unknown };
    let what = match (error.is_timeout(), delivery) {
        (true, Delivery::NotSent) => "connecting took too long",
        (false, Delivery::NotSent) => "the connection could not be made",
        (true, Delivery::Unknown) => "no answer came in time",
        (false, Delivery::Unknown) => "no answer came, or it broke off",
    };
    let mut root: &dyn Error = error;
    let mut message = what.to_owned();
    while let Some(cause) = root.source() {
        root = cause;
    }
    if root.source().is_none() && !std::ptr::addr_eq(root, error) {
        message = format!("{what}: {root}");
    }
    TransportFailure { delivery, message }
}
