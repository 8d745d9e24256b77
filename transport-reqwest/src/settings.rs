//! The settings of our HTTP.

use std::time::Duration;
use upstash_dlq_core::Endpoint;
use upstash_dlq_core::client::MAX_BODY;

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
    pub(crate) max_body: usize,
}

impl Settings {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let (timeout, connect_timeout) = (Duration::from_secs(30), Duration::from_secs(10));
        Self { endpoint, timeout, connect_timeout, max_body: MAX_BODY }
    }

    pub(crate) fn is_https(&self) -> bool {
        self.endpoint.base_url().starts_with("https:")
    }
}
