//! Why a request failed.

use crate::model::text::Escaped;
use crate::wire::error::ResponseError;
use alloc::string::{String, ToString};
use core::fmt;

/// What a transport knows about a request that got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No byte of the request can have reached the server: the name was not found, or no connection was made.
    NotSent,
    /// The server may have carried out the request.
    Unknown,
}

/// Why a request got no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportFailure {
    /// Whether the server may have carried out the request.
    pub delivery: Delivery,
    /// A sentence for people. It must not contain a token.
    pub message: String,
}

impl From<Delivery> for TransportFailure {
    fn from(delivery: Delivery) -> Self {
        let message = match delivery {
            Delivery::NotSent => "the request could not be sent",
            Delivery::Unknown => "no response arrived",
        };
        Self { delivery, message: message.to_string() }
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.message).fmt(f)
    }
}

impl core::error::Error for TransportFailure {}

/// Why a request failed, or why its result is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The response is not the expected one.
    Response(ResponseError),
    /// No response arrived.
    Transport(TransportFailure),
    /// An earlier process ended while the request was in flight.
    ProcessEnded,
    /// An earlier process left the request in doubt.
    LeftInDoubt,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(error) => error.fmt(f),
            Self::Transport(failure) => failure.fmt(f),
            Self::ProcessEnded => f.write_str("an earlier process ended before the response arrived"),
            Self::LeftInDoubt => f.write_str("an earlier process did not learn the result of a request"),
        }
    }
}
