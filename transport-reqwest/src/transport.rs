//! HTTP over reqwest: sends one request, and reads its response within the bounds.

use crate::budget::{Budget, OperationNumber};
use crate::failure::{Conduct, classify, refused_url};
use crate::ready;
use http::{Method, Request, Response};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use upstash_dlq_core::client::budget::{FREE_BODY, room_for};
use upstash_dlq_core::client::http_settings::HttpSettings;
use upstash_dlq_core::client::{AsyncTransport, response_too_large};
use upstash_dlq_core::wire::ResponseBound;
use upstash_dlq_core::{Delivery, TransportFailure};

/// The timeouts of a given builder cannot be removed, so they are set to a time that is never reached.
pub(crate) const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Our own HTTP, over reqwest. [`ClientBuilder::build_transport`](crate::ClientBuilder::build_transport) makes one, for a
/// middleware to wrap. Needs a tokio runtime with I/O and time. Clones share the connections.
#[derive(Clone)]
pub struct ReqwestTransport {
    settings: HttpSettings,
    http: reqwest::Client,
    origin: Origin,
    budget: Budget,
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
    pub(crate) fn new(settings: HttpSettings, http: reqwest::Client, origin: Origin) -> Self {
        let budget = Budget::new(settings.body_budget);
        Self { settings, http, origin, budget }
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

    async fn exchange(
        &self,
        request: reqwest::Request,
        max_body: usize,
        operation: OperationNumber,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        let reads = request.method() == Method::GET;
        let hold = async |bytes: u64| match reads {
            true => self.budget.take(operation, bytes).await,
            false => self.budget.take_at_once(operation, bytes),
        };
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
        let bound = u64::try_from(max_body).unwrap_or(u64::MAX);
        let length = incoming.content_length();
        if length.is_some_and(|length| length > bound) {
            return Err(response_too_large(max_body));
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = incoming.status();
        std::mem::swap(response.headers_mut(), incoming.headers_mut());
        let mut held = None;
        if let Some(length) = length.filter(|length| usize::try_from(*length).is_ok_and(|length| length > FREE_BODY)) {
            held = Some(hold(length).await);
            make_room(response.body_mut(), length);
        }
        while let Some(chunk) = incoming.chunk().await.map_err(failed)? {
            if chunk.len() > max_body - response.body().len() {
                return Err(response_too_large(max_body));
            }
            if held.is_none() && chunk.len() + response.body().len() > FREE_BODY {
                held = Some(hold(bound).await);
                make_room(response.body_mut(), bound);
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        if let Some(mut held) = held {
            held.shrink_to(response.body().len());
            // Held as long as the response is: until the core has read it.
            response.extensions_mut().insert(Arc::new(held));
        }
        Ok(response)
    }
}

impl AsyncTransport for ReqwestTransport {
    async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let (bound, operation) = (ResponseBound::of(&request), OperationNumber::of(&request));
        if request.method() == Method::GET {
            self.budget.wait_for_queue(operation).await;
        }
        let request = self.request(request)?;
        // One timeout for the whole request, its body included. reqwest's own starts over in some places.
        match tokio::time::timeout(self.settings.timeout, self.exchange(request, self.settings.bound(bound), operation))
            .await
        {
            Ok(result) => result,
            Err(_) => Err(unknown("no response arrived in time".into())),
        }
    }
}

/// Makes room for a body of so many bytes, if there is any. Otherwise reading makes room as it goes.
fn make_room(bytes: &mut Vec<u8>, length: u64) {
    let room = usize::try_from(room_for(length)).unwrap_or(usize::MAX);
    let _ = bytes.try_reserve_exact(room.saturating_sub(bytes.len()));
}

fn unknown(message: String) -> TransportFailure {
    TransportFailure::from(Delivery::Unknown).with_message(message)
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use upstash_dlq_core::{Endpoint, Token};

    /// What a client makes of this status that follows redirects, as nobody could tell, and the request lines that it sent.
    fn post_to_a_redirect(status: &str) -> (Result<u16, TransportFailure>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let replies = [format!("{status}\r\nlocation: /elsewhere"), "200 OK".to_owned()];
        let (heard, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for (stream, reply) in listener.incoming().zip(replies) {
                let mut stream = stream.unwrap();
                let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                heard.send(head.next().unwrap()).unwrap();
                head.find(String::is_empty);
                write!(stream, "HTTP/1.1 {reply}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
        let endpoint = Endpoint::new(&url, Token::new("t0ken").unwrap()).unwrap();
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::limited(1)).build().unwrap();
        let transport = ReqwestTransport::new(HttpSettings::new(endpoint), http, Origin::Ready(Conduct::Unknown));
        let request = Request::post(format!("{url}/x")).header("content-length", 0).body(()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(transport.send(request)).map(|response| response.status().as_u16());
        (result, lines.try_iter().collect())
    }

    #[test]
    fn a_redirect_that_was_followed_sent_no_post_again_and_is_noticed() {
        for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
            let (result, lines) = post_to_a_redirect(status);
            assert!(result.is_ok_and(|code| status.starts_with(&code.to_string())));
            assert_eq!(lines, ["POST /x HTTP/1.1"], "{status}");
        }
        for status in ["301 Moved", "302 Found", "303 See Other"] {
            let (result, lines) = post_to_a_redirect(status);
            let failure = result.unwrap_err();
            assert_eq!(failure.delivery, Delivery::Unknown);
            assert!(failure.message.contains("followed a redirect"), "{failure:?}");
            assert_eq!(lines, ["POST /x HTTP/1.1", "GET /elsewhere HTTP/1.1"], "{status}");
        }
    }
}
