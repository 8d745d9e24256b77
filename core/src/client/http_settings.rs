//! What a client sets for its HTTP, and what it takes if nothing is set.

use crate::client::body_limit::{MAX_BODY, MAX_MESSAGE_BODY};
use crate::client::budget::BODY_BUDGET;
use crate::model::endpoint::Endpoint;
use crate::wire::bound::ResponseBound;
use core::time::Duration;

/// How long an idle connection is kept (4 s). The usual servers and proxies drop one later, so a request seldom meets a connection
/// that has just died.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The settings of a client's HTTP, which its builder changes.
///
/// ```
/// use std::time::Duration;
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use upstash_dlq_core::client::http_settings::HttpSettings;
/// use upstash_dlq_core::wire::ResponseBound;
/// let settings = HttpSettings::new(endpoint);
/// assert_eq!((settings.timeout, settings.connect_timeout), (Duration::from_secs(30), Duration::from_secs(10)));
/// assert_eq!(settings.bound(ResponseBound::Page), 16 * 1024 * 1024);
/// assert_eq!(settings.bound(ResponseBound::Message), 64 * 1024 * 1024);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Where requests go.
    pub endpoint: Endpoint,
    /// How long a request may take, from the connection to the last byte of the body (30 s).
    pub timeout: Duration,
    /// How long a connection may take to be made (10 s).
    pub connect_timeout: Duration,
    /// The bound of a page, in bytes ([`MAX_BODY`]).
    pub max_body: usize,
    /// The bound of a response with one message, in bytes ([`MAX_MESSAGE_BODY`]). That of a page holds if it is larger.
    pub max_message_body: usize,
    /// The bytes of bodies that all lanes may hold at once ([`BODY_BUDGET`]).
    pub body_budget: usize,
}

impl HttpSettings {
    /// The settings of a client whose builder changes none of them.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_body: MAX_BODY,
            max_message_body: MAX_MESSAGE_BODY,
            body_budget: BODY_BUDGET,
        }
    }

    /// The bound of a response, in bytes.
    pub fn bound(&self, bound: ResponseBound) -> usize {
        match bound {
            ResponseBound::Page => self.max_body,
            ResponseBound::Message => self.max_message_body.max(self.max_body),
        }
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.endpoint.base_url().starts_with("https:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::Token;

    #[test]
    fn the_bound_of_a_message_is_never_below_that_of_a_page() {
        let mut settings = HttpSettings::new(Endpoint::new("https://h.invalid", Token::new("t").unwrap()).unwrap());
        assert_eq!(
            [ResponseBound::Page, ResponseBound::Message].map(|bound| settings.bound(bound)),
            [MAX_BODY, MAX_MESSAGE_BODY]
        );
        settings.max_body = MAX_MESSAGE_BODY + 1;
        assert_eq!(settings.bound(ResponseBound::Message), MAX_MESSAGE_BODY + 1);
        assert!(settings.is_https());
        settings.endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("t").unwrap()).unwrap();
        assert!(!settings.is_https());
    }
}
