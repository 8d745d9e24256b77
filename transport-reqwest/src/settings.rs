//! The settings of our HTTP.

use std::time::Duration;
use upstash_dlq_core::Endpoint;
use upstash_dlq_core::client::budget::BODY_BUDGET;
use upstash_dlq_core::client::{MAX_BODY, MAX_MESSAGE_BODY};
use upstash_dlq_core::wire::ResponseBound;

/// Idle connections are dropped before the usual servers and proxies drop them, so that a request seldom meets a
/// connection that has just died.
pub(crate) const IDLE: Duration = Duration::from_secs(4);

/// The timeouts of a given builder cannot be removed, so they are set to a time that is never reached.
pub(crate) const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// The bound of a page, in bytes.
    pub(crate) max_body: usize,
    /// The bound of a response with one message, in bytes. That of a page holds if it is larger.
    pub(crate) max_message_body: usize,
    /// The bytes of bodies that all lanes may hold at once.
    pub(crate) body_budget: usize,
}

impl Settings {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let (timeout, connect_timeout) = (Duration::from_secs(30), Duration::from_secs(10));
        Self {
            endpoint,
            timeout,
            connect_timeout,
            max_body: MAX_BODY,
            max_message_body: MAX_MESSAGE_BODY,
            body_budget: BODY_BUDGET,
        }
    }

    /// The bound of a response, in bytes.
    pub(crate) fn bound(&self, bound: ResponseBound) -> usize {
        match bound {
            ResponseBound::Page => self.max_body,
            ResponseBound::Message => self.max_message_body.max(self.max_body),
        }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.endpoint.base_url().starts_with("https:")
    }
}
