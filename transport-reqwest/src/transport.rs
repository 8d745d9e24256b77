//! HTTP over reqwest: sends one request, and reads its response within the bounds.

use crate::failure::{Conduct, classify, refused_url};
use crate::ready;
use crate::settings::{NEVER, Settings};
use http::{Request, Response};
use std::fmt;
use upstash_dlq_core::client::{AsyncTransport, response_too_large};
use upstash_dlq_core::{Delivery, TransportFailure};

/// Our own HTTP, over reqwest. [`ClientBuilder::build_transport`](crate::ClientBuilder::build_transport) makes one, for a
/// middleware to wrap. Needs a tokio runtime with I/O and time. Clones share the connections.
#[derive(Clone)]
pub struct ReqwestTransport {
    settings: Settings,
    http: reqwest::Client,
    origin: Origin,
}

/// Where the HTTP client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Built here, with all settings in it.
    Ours,
    /// Built here from a builder of the user's, whose own timeout each request must outdo.
    Builder,
    /// Built by the user.
    Ready(Conduct),
}

impl ReqwestTransport {
    pub(crate) fn new(settings: Settings, http: reqwest::Client, origin: Origin) -> Self {
        Self { settings, http, origin }
    }

    fn request(&self, request: Request<()>) -> Result<reqwest::Request, TransportFailure> {
        let mut request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))
            .map_err(|error| refused_url(&error, &self.settings.endpoint))?;
        *request.body_mut() = match self.origin {
            Origin::Ours | Origin::Builder => None,
            Origin::Ready(_) => Some(ready::body_sent_once()),
        };
        if self.origin != Origin::Ours {
            *request.timeout_mut() = Some(NEVER);
        }
        Ok(request)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response<Vec<u8>>, TransportFailure> {
        let conduct = match self.origin {
            Origin::Ours | Origin::Builder => Conduct::Known,
            Origin::Ready(conduct) => conduct,
        };
        let failed = |error: reqwest::Error| classify(&error, &self.settings.endpoint, conduct);
        let asked = (conduct == Conduct::Unknown).then(|| request.url().clone());
        let mut incoming = self.http.execute(request).await.map_err(failed)?;
        if asked.is_some_and(|asked| asked != *incoming.url()) {
            return Err(unknown("the HTTP client followed a redirect: set its redirect policy to none".into()));
        }
        let max_body = self.settings.max_body;
        let bound = u64::try_from(max_body).unwrap_or(u64::MAX);
        if incoming.content_length().is_some_and(|length| length > bound) {
            return Err(response_too_large(max_body));
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = incoming.status();
        std::mem::swap(response.headers_mut(), incoming.headers_mut());
        while let Some(chunk) = incoming.chunk().await.map_err(failed)? {
            if chunk.len() > max_body - response.body().len() {
                return Err(response_too_large(max_body));
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

impl AsyncTransport for ReqwestTransport {
    async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let request = self.request(request)?;
        // One timeout for the whole request, its body included. reqwest's own starts over in some places.
        match tokio::time::timeout(self.settings.timeout, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(unknown("no response arrived in time".into())),
        }
    }
}

fn unknown(message: String) -> TransportFailure {
    TransportFailure::from(Delivery::Unknown).with_message(message)
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("settings", &self.settings).finish_non_exhaustive()
    }
}
