//! HTTP over ureq: sends one request, and reads its response within the bounds.

use crate::budget::{Budget, Held, OperationNumber};
use crate::failure::classify;
use crate::settings::settled;
use http::{Method, Request, Response};
use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;
use upstash_dlq_core::client::budget::{FREE_BODY, room_for};
use upstash_dlq_core::client::http_settings::HttpSettings;
use upstash_dlq_core::client::{Transport, response_too_large};
use upstash_dlq_core::wire::ResponseBound;
use upstash_dlq_core::{Delivery, TransportFailure};

/// Our own HTTP, over ureq. [`ClientBuilder::build_transport`](crate::ClientBuilder::build_transport) makes one, for a
/// middleware to wrap. Clones share the connections.
#[derive(Clone)]
pub struct UreqTransport {
    settings: HttpSettings,
    agent: ureq::Agent,
    /// Whether the agent was built here, with all settings in it.
    is_ours: bool,
    budget: Budget,
}

impl UreqTransport {
    pub(crate) fn new(settings: HttpSettings, agent: ureq::Agent, is_ours: bool) -> Self {
        let budget = Budget::new(settings.body_budget);
        Self { settings, agent, is_ours, budget }
    }

    fn exchange<S: ureq::AsSendBody>(&self, request: Request<S>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let settings = &self.settings;
        let max_body = settings.bound(ResponseBound::of(&request));
        let operation = OperationNumber::of(&request);
        let reads = request.method() == Method::GET;
        if reads {
            self.budget.wait_for_queue(operation);
        }
        let deadline = Instant::now().checked_add(settings.timeout);
        let hold = |bytes: u64| match reads {
            true => self.budget.take(operation, bytes, deadline).ok_or_else(no_room),
            false => Ok(self.budget.take_at_once(operation, bytes)),
        };
        let request =
            if self.is_ours { request } else { settled!(self.agent.configure_request(request), settings).build() };
        let response = self.agent.run(request).map_err(|error| classify(&error, &settings.endpoint))?;
        let (mut parts, body) = response.into_parts();
        let bound = u64::try_from(max_body).unwrap_or(u64::MAX);
        let length = body.content_length();
        if length.is_some_and(|length| length > bound) {
            return Err(response_too_large(max_body));
        }
        let mut held: Option<Held> = None;
        let mut bytes = Vec::new();
        if let Some(length) = length.filter(|length| *length > FREE) {
            held = Some(hold(length)?);
            make_room(&mut bytes, length);
        }
        let cut_off = |error: std::io::Error| {
            let message = format!("the response was cut off: {error}");
            TransportFailure::unknown(error).with_message(message).redacted(&settings.endpoint)
        };
        let mut reader = body.into_reader();
        if held.is_none() {
            reader.by_ref().take(bound.min(FREE)).read_to_end(&mut bytes).map_err(cut_off)?;
            if bytes.len() == FREE_BODY {
                held = Some(hold(bound)?);
                make_room(&mut bytes, bound);
            }
        }
        if let Some(held) = &mut held {
            let left = bound.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            reader.by_ref().take(left).read_to_end(&mut bytes).map_err(cut_off)?;
            held.shrink_to(bytes.len());
        }
        // One byte more is one too many. It is not kept: the bytes would move to a place of twice the size.
        if bytes.len() == max_body && reader.take(1).read_to_end(&mut Vec::new()).map_err(cut_off)? > 0 {
            return Err(response_too_large(max_body));
        }
        if let Some(held) = held {
            // Held as long as the response is: until the core has read it.
            parts.extensions.insert(Arc::new(held));
        }
        Ok(Response::from_parts(parts, bytes))
    }
}

/// What a response may have without taking from the budget.
const FREE: u64 = FREE_BODY as u64;

/// Makes room for a body of so many bytes, if there is any. Otherwise reading makes room as it goes.
fn make_room(bytes: &mut Vec<u8>, length: u64) {
    let room = usize::try_from(room_for(length)).unwrap_or(usize::MAX);
    let _ = bytes.try_reserve_exact(room.saturating_sub(bytes.len()));
}

/// The bodies of other lanes have taken all memory until the time was up.
fn no_room() -> TransportFailure {
    TransportFailure::from(Delivery::Unknown).with_message(
        "the response was not read in time, because others of the same operation took all memory for bodies",
    )
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
