//! What reqwest's errors say about a request: certainly not sent, or unknown.

use std::error::Error;
use std::str::FromStr;
use upstash_dlq_core::{Endpoint, TransportFailure};

/// Whether the HTTP client is known to send a request at most once, and only to the URL it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    Known,
    /// It may have followed a redirect. The error of its last request says nothing about earlier ones.
    Unknown,
}

/// `NotSent` only if that is certain. In every other case the request may have been carried out. reqwest
/// reports every error on the way to a connection as "connect" (name lookup, proxy and TLS, too), and no error of an
/// established one. Its own text holds the URL, so the message has only the innermost cause.
///
/// What makes "connect" certain: hyper-util's pool returns it only while a request has no connection. The one request it sends
/// again was still in the queue of a connection that closed, so no byte of it had left.
pub(crate) fn classify(error: &reqwest::Error, endpoint: &Endpoint, conduct: Conduct) -> TransportFailure {
    let connecting = error.is_connect();
    let refused = error.is_builder() && !is_of_a_location(error);
    let sure = conduct == Conduct::Known && (connecting || refused);
    let what = match (connecting, error.is_timeout()) {
        (true, true) => format!("the connection to {} timed out", authority(endpoint)),
        (true, false) => format!("no connection to {} could be made", authority(endpoint)),
        (false, true) => "no response arrived in time".to_owned(),
        (false, false) if refused => "the URL was not accepted".to_owned(),
        (false, false) => "no response arrived, or it was cut off".to_owned(),
    };
    failure(error, &what, sure).redacted(endpoint)
}

fn failure(error: &reqwest::Error, what: &str, is_unsent: bool) -> TransportFailure {
    let library = innermost(error).map(ToString::to_string).unwrap_or_default();
    let message = if library.is_empty() { what.to_owned() } else { format!("{what}: {library}") };
    let failure = if is_unsent { TransportFailure::not_sent(library) } else { TransportFailure::unknown(library) };
    failure.with_message(message)
}

/// The failure for a URL that reqwest does not take.
pub(crate) fn refused_url(error: &reqwest::Error, endpoint: &Endpoint) -> TransportFailure {
    failure(error, "the URL was not accepted", true).redacted(endpoint)
}

/// Whether a response had a `location` that could not be read. reqwest parses it before it asks its redirect policy, and calls
/// the error one of the builder. The request had been sent.
fn is_of_a_location(error: &reqwest::Error) -> bool {
    type ParseError = <reqwest::Url as FromStr>::Err;
    error.source().is_some_and(|cause| cause.is::<ParseError>())
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

#[cfg(test)]
mod tests {
    use super::*;
    use upstash_dlq_core::{Delivery, Token};

    #[test]
    fn a_request_that_cannot_be_built_was_not_sent() {
        let endpoint = Endpoint::new("https://h.invalid:8443/v2", Token::new("t0ken").unwrap()).unwrap();
        assert_eq!(authority(&endpoint), "h.invalid:8443");
        let error = reqwest::Client::new().get("https://h.invalid").header("a\n", "b").build().unwrap_err();
        for (conduct, delivery) in [(Conduct::Known, Delivery::NotSent), (Conduct::Unknown, Delivery::Unknown)] {
            let failure = classify(&error, &endpoint, conduct);
            assert_eq!(failure.delivery, delivery);
            assert!(failure.message.starts_with("the URL was not accepted"), "{failure:?}");
        }
    }

    #[test]
    fn a_location_that_cannot_be_parsed_is_no_proof() {
        let endpoint = Endpoint::new("https://h.invalid", Token::new("t0ken").unwrap()).unwrap();
        // reqwest gives the same error for a URL of the request and for a location of the response.
        let error = reqwest::Client::new().get("http://[").build().unwrap_err();
        assert!(error.is_builder());
        assert_eq!(classify(&error, &endpoint, Conduct::Known).delivery, Delivery::Unknown);
        let failure = classify(&error, &endpoint, Conduct::Known);
        assert!(failure.message.starts_with("no response arrived, or it was cut off"), "{failure:?}");
        // Before the request is handed over, it can only be the former.
        let failure = refused_url(&error, &endpoint);
        assert_eq!(failure.delivery, Delivery::NotSent);
        assert!(failure.message.starts_with("the URL was not accepted: "), "{failure:?}");
    }
}
