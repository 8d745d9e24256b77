//! Why a request brought no page.

use crate::model::text::Escaped;
use crate::wire::error::ResponseError;
use alloc::string::{String, ToString};
use core::fmt;
use http::StatusCode;

/// What a transport knows about a request that brought no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// No byte of it can have reached the server: the name was not found, or no connection was made.
    NotSent,
    /// The server may have carried it out.
    Unknown,
}

/// A request that brought no response, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportFailure {
    /// Whether the server may have carried it out.
    pub delivery: Delivery,
    /// For people. It must not hold a URL with a token.
    pub message: String,
}

impl From<Delivery> for TransportFailure {
    fn from(delivery: Delivery) -> Self {
        let message = match delivery {
            Delivery::NotSent => "the request could not be sent",
            Delivery::Unknown => "no response came",
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

/// What kept a request from its page.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A response that is not the one asked for.
    Response(ResponseError),
    /// No response.
    Transport(TransportFailure),
}

impl Cause {
    pub(crate) fn is_rate_limit(&self) -> bool {
        matches!(self, Self::Response(ResponseError::Status { status: StatusCode::TOO_MANY_REQUESTS, .. }))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(error) => error.fmt(f),
            Self::Transport(failure) => failure.fmt(f),
        }
    }
}
