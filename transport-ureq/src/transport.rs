//! HTTP over ureq: sends one request, and reads its response within the bounds.

use crate::failure::classify;
use crate::settings::{Settings, settled};
use http::{Method, Request, Response};
use std::fmt;
use std::io::Read;
use upstash_dlq_core::TransportFailure;
use upstash_dlq_core::client::{Transport, response_too_large};

/// Our own HTTP, over ureq. [`ClientBuilder::build_transport`](crate::ClientBuilder::build_transport) makes one, for a
/// middleware to wrap. Clones share the connections.
#[derive(Clone)]
pub struct UreqTransport {
    settings: Settings,
    agent: ureq::Agent,
    /// Whether the agent was built here, with all settings in it.
    is_ours: bool,
}

impl UreqTransport {
    pub(crate) fn new(settings: Settings, agent: ureq::Agent, is_ours: bool) -> Self {
        Self { settings, agent, is_ours }
    }

    fn exchange<S: ureq::AsSendBody>(&self, request: Request<S>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let settings = &self.settings;
        let request =
            if self.is_ours { request } else { settled!(self.agent.configure_request(request), settings).build() };
        let response = self.agent.run(request).map_err(|error| classify(&error, &settings.endpoint))?;
        let (parts, body) = response.into_parts();
        let bound = u64::try_from(settings.max_body).unwrap_or(u64::MAX);
        if body.content_length().is_some_and(|length| length > bound) {
            return Err(response_too_large(settings.max_body));
        }
        let mut bytes = Vec::new();
        body.into_reader().take(bound.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| {
            let message = format!("the response was cut off: {error}");
            TransportFailure::unknown(error).with_message(message).redacted(&settings.endpoint)
        })?;
        if bytes.len() > settings.max_body {
            return Err(response_too_large(settings.max_body));
        }
        Ok(Response::from_parts(parts, bytes))
    }
}

impl Transport for UreqTransport {
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        // A POST with `()` would go out chunked, one with an empty body has its length stated.
        if request.method() == Method::POST {
            self.exchange(request.map(|()| Vec::<u8>::new()))
        } else {
            self.exchange(request)
        }
    }
}

impl fmt::Debug for UreqTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UreqTransport").field("settings", &self.settings).finish_non_exhaustive()
    }
}
