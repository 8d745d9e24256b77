//! The settings of our HTTP, and how ureq takes them.

use std::time::Duration;
use upstash_dlq_core::Endpoint;
use upstash_dlq_core::client::budget::BODY_BUDGET;
use upstash_dlq_core::client::{MAX_BODY, MAX_MESSAGE_BODY};
use upstash_dlq_core::wire::ResponseBound;

/// Idle connections are dropped before the usual servers and proxies drop them, so that a request seldom meets a
/// connection that has just died.
pub(crate) const IDLE: Duration = Duration::from_secs(4);

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

/// The settings that no other configuration may change. Our own agent gets them once; the user's agent gets them with each
/// request. This is a macro because the two builders have no nameable trait in common.
macro_rules! settled {
    ($config:expr, $settings:expr) => {{
        use crate::settings::{IDLE, finite};
        let config = $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .save_redirect_history(false)
            .accept_encoding("")
            .max_idle_age(IDLE)
            .timeout_global(finite($settings.timeout))
            .timeout_connect(finite($settings.connect_timeout.min($settings.timeout)))
            .timeout_per_call(None)
            .timeout_per_read(None)
            .timeout_per_write(None)
            .timeout_resolve(None)
            .timeout_send_request(None)
            .timeout_send_body(None)
            .timeout_recv_response(None)
            .timeout_recv_body(None);
        // A proxy would see the token in the clear, and could not reach this machine anyway.
        if $settings.endpoint.is_loopback() { config.proxy(None) } else { config }
    }};
}
pub(crate) use settled;

/// ureq adds a timeout to the present moment, and panics where that does not fit. Nobody waits for a hundred years.
pub(crate) fn finite(timeout: Duration) -> Option<Duration> {
    (timeout < Duration::from_secs(100 * 365 * 86_400)).then_some(timeout)
}
