//! What a transport must do: the page for whoever brings HTTP of their own.
//!
//! A client sends each request through a [`Transport`], or through an [`AsyncTransport`] if it awaits. The clients of this
//! project have one of their own. An application gives them another with `Client::with_transport`: its own HTTP library, a
//! mock, or a middleware around ours. Everything else stays: pages, lanes, retries, pacing, checkpoints.
//!
//! The core decides what is sent again. It can do so only if the transport sends each request at most once and says honestly
//! what became of it. A transport that breaks one of these rules can start a run twice.
//!
//! # What to return
//!
//! - **`Ok` for a response of any final status**: 200, 302, 404, 429, 500. An informational one (1xx) is not final.
//! - **[`Delivery::NotSent`] if no byte of the request can have left**: the name was not found, there is no route, the
//!   connection was refused or timed out, a proxy refused, the TLS handshake failed. It is a promise. The core sends such a
//!   request again, even one that starts runs.
//! - **[`Delivery::Unknown`] for everything else**: the connection ended, the response was cut off or not HTTP, the time was
//!   up while a response was awaited. If in doubt, return this. A wrong `Unknown` costs a question. A wrong `NotSent` can start a
//!   run twice.
//!
//! The kind of an I/O error proves nothing. A connection that stands can end as "connection refused", too: an ICMP message
//! does that. What proves it is the step that failed. A library that does not tell the steps apart gives `Unknown`.
//!
//! A failure's message is one line for people: what happened, and what to do. It holds no token. Errors of HTTP libraries
//! often print the URL, and the token can be in its query. [`Endpoint::redact`](crate::model::Endpoint::redact) takes it out.
//!
//! # What to send
//!
//! - **Once.** No retries, no redirects, no second attempt on another connection once a byte has left. Libraries hide some:
//!   the pool of hyper-util (`retry_canceled_requests`, which repeats only what never left), `reqwest::retry`, retries by a
//!   proxy or a service mesh on the way. Switch off what can send a request twice.
//! - **The URI as it is given.** Do not parse it again: the `url` crate drops `%2e` and lets `..` climb. The core builds no
//!   URI that suffers from that, so a library that uses that crate is fine for the core's requests.
//! - **The headers as they are given**, and `host`. A POST has `content-length: 0`; no request has a body, and none is
//!   chunked.
//! - **No `accept-encoding`, no cookies, no referer.** Nothing decodes the response: the bound counts the bytes that arrive.
//! - **No proxy to this machine** (a loopback endpoint): it would see the token in the clear.
//!
//! # What to bound
//!
//! - **The body** is read whole, up to a bound. Without one, a broken server or whoever answers in its place fills the memory.
//!   There are two bounds, and [`ResponseBound::of`](crate::wire::ResponseBound::of) says which one holds for a request: that of a
//!   page ([`MAX_BODY`](crate::client::MAX_BODY) in our clients), or the larger one of a single message
//!   ([`MAX_MESSAGE_BODY`](crate::client::MAX_MESSAGE_BODY)). For a longer response return
//!   [`response_too_large`](crate::client::response_too_large): at once if `content-length` says so, otherwise as soon as the
//!   bound is passed. Close the connection then. A listing asks for fewer messages after it, down to one. A transport that has one
//!   bound for all ends a listing at the first message that is larger.
//! - **All bodies together**, if there are many lanes: our clients share one [`budget`](crate::client::budget) of bytes.
//! - **The time**: one timeout for the whole request, from the name lookup to the last byte of the body (30 s in our
//!   clients). A timeout for each read is not enough: a server that sends a byte a second never meets it. The time to connect has a bound
//!   of its own below that one, because only that can say `NotSent`.
//! - **Idle connections** are dropped after a few seconds (4 s in ours), before servers and proxies drop them. Otherwise a
//!   request meets a connection that has just died, and nobody knows its fate.
//!
//! # Threads, futures and middleware
//!
//! Each lane sends through the same transport, at the same time. A panic of a [`Transport`] ends the operation and reaches the
//! caller. The future of an [`AsyncTransport`] may be dropped at any await. The core then counts its request as unknown.
//!
//! A middleware is a transport that holds another. It may log, count, measure, add a header, or wait before it sends. It must
//! keep the rules of this page: what it holds back is `NotSent`, and it sends nothing twice.
//!
//! ```
//! use upstash_dlq_core::TransportFailure;
//! use upstash_dlq_core::client::Transport;
//! use http::{Request, Response};
//!
//! struct Logging<T>(T);
//!
//! impl<T: Transport> Transport for Logging<T> {
//!     fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
//!         // The path alone: the query can hold the token.
//!         let line = format!("{} {}", request.method(), request.uri().path());
//!         let result = self.0.send(request);
//!         println!("{line}: {:?}", result.as_ref().map(Response::status));
//!         result
//!     }
//! }
//! ```
//!
//! The crate `upstash-dlq-emulator` has a suite, `conformance::check`, that tests all of this on a transport of yours.
//!
//! [`Delivery::NotSent`]: crate::engine::Delivery::NotSent
//! [`Delivery::Unknown`]: crate::engine::Delivery::Unknown

use crate::engine::TransportFailure;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};

/// Sends one request and waits for its whole response. [The module](self) says what it must do.
///
/// A closure `Fn(Request<()>) -> Result<Response<Vec<u8>>, TransportFailure>` is a transport.
pub trait Transport: Send + Sync {
    /// Sends the request at most once. A response of any final status is `Ok`.
    ///
    /// # Errors
    /// Returns a [`TransportFailure`] if no whole response arrived, or none within the bounds of size and time. It says
    /// whether the request may have been carried out.
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure>;
}

impl<F> Transport for F
where
    F: Fn(Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> + Send + Sync,
{
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        self(request)
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        (**self).send(request)
    }
}

/// Sends one request and awaits its whole response. [The module](self) says what it must do.
///
/// A closure that returns such a future is a transport, if the future owns what it uses:
/// `move |request| { let http = http.clone(); async move { … } }`.
pub trait AsyncTransport: Send + Sync {
    /// Sends the request at most once. A response of any final status is `Ok`. The future may be dropped at any await.
    ///
    /// # Errors
    /// Returns a [`TransportFailure`] if no whole response arrived, or none within the bounds of size and time. It says
    /// whether the request may have been carried out.
    fn send(&self, request: Request<()>) -> impl Future<Output = Result<Response<Vec<u8>>, TransportFailure>> + Send;
}

impl<F, R> AsyncTransport for F
where
    F: Fn(Request<()>) -> R + Send + Sync,
    R: Future<Output = Result<Response<Vec<u8>>, TransportFailure>> + Send,
{
    fn send(&self, request: Request<()>) -> impl Future<Output = Result<Response<Vec<u8>>, TransportFailure>> + Send {
        self(request)
    }
}

impl<T: AsyncTransport> AsyncTransport for Arc<T> {
    fn send(&self, request: Request<()>) -> impl Future<Output = Result<Response<Vec<u8>>, TransportFailure>> + Send {
        (**self).send(request)
    }
}

/// Returns the request as it is written on a connection to its server: path and query in place of the whole URI, and a `host`
/// header with the authority. For transports over a connection of their own. HTTP libraries that take a whole URI do this
/// themselves.
///
/// ```
/// use http::Request;
/// use upstash_dlq_core::client::transport::into_origin_form;
/// let request = Request::delete("http://127.0.0.1:8080/v2/workflows/dlq?count=100").body(())?;
/// let request = into_origin_form(request);
/// assert_eq!(request.uri(), "/v2/workflows/dlq?count=100");
/// assert_eq!(request.headers()["host"], "127.0.0.1:8080");
/// # Ok::<(), http::Error>(())
/// ```
pub fn into_origin_form(mut request: Request<()>) -> Request<()> {
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    if let Some(target) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(target);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    fn no_content(request: &Request<()>) -> Response<Vec<u8>> {
        Response::builder().status(204).body(request.uri().path().into()).unwrap()
    }

    fn get(path: &str) -> Request<()> {
        Request::get(path).body(()).unwrap()
    }

    #[test]
    fn closures_and_shared_ones_are_transports() {
        let transport = |request: Request<()>| Ok(no_content(&request));
        let shared: Arc<dyn Transport> = Arc::new(transport);
        assert_eq!(shared.send(get("/a")).unwrap().body(), b"/a");
    }

    #[test]
    fn closures_that_return_a_future_are_async_transports() {
        let transport = |request: Request<()>| async move { Ok(no_content(&request)) };
        let shared = Arc::new(transport);
        let mut sent = pin!(AsyncTransport::send(&shared, get("/b")));
        let Poll::Ready(result) = sent.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
        assert_eq!(result.unwrap().body(), b"/b");
    }
}
