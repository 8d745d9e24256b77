//! A client: an endpoint, and the transport that its requests go through.

use crate::budget::Held;
use crate::trace;
use http::{Request, Response};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use upstash_dlq_core::client::Transport;
use upstash_dlq_core::{Endpoint, RetryPolicy, TransportFailure, UnixMillis};

/// Sends the requests that the core builds, and waits for the responses. Clones share the transport and its connections.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    transport: Arc<dyn Transport>,
    retry: RetryPolicy,
    /// `None`: a fresh one for each operation.
    seed: Option<u64>,
}

impl Client {
    /// A client over HTTP of your own: another library, a mock, or a middleware around ours. What a transport must do is said
    /// in [`core::client::transport`](upstash_dlq_core::client::transport).
    ///
    /// ```
    /// use upstash_dlq_ureq::Client;
    /// use upstash_dlq_ureq::core::client::Transport;
    /// use upstash_dlq_ureq::core::{Endpoint, Token};
    /// # use std::sync::{Arc, Mutex};
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
    /// # use upstash_dlq_ureq::core::List;
    /// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
    /// let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;
    /// let ours = Client::builder(endpoint.clone()).build_transport()?;
    /// let lines = Arc::new(Mutex::new(Vec::new()));
    /// let log = Arc::clone(&lines);
    /// let client = Client::with_transport(endpoint, move |request: http::Request<()>| {
    ///     // The path alone: the query can hold the token.
    ///     log.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
    ///     ours.send(request)
    /// });
    /// client.count(List::everything()).run().into_result()?;
    /// assert_eq!(*lines.lock().unwrap(), ["GET /v2/workflows/dlq"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_transport(endpoint: Endpoint, transport: impl Transport + 'static) -> Self {
        Self { endpoint, transport: Arc::new(transport), retry: RetryPolicy::default(), seed: None }
    }

    /// Sets how requests are retried, for every operation that sets no other policy. In tests, a short wait saves time.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets the seed of the random waits between attempts. The same seed and the same responses give the same waits, for tests that
    /// have to repeat exactly. By default each operation gets a fresh random one.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// The endpoint that the client sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The seed of the waits between attempts: the one of [`Self::with_seed`], or a fresh random one.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish())
    }

    /// The present, up to which an open window is cut. A clock set before 1970 makes bad windows: slow, but not wrong.
    pub(crate) fn now(&self) -> UnixMillis {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        UnixMillis::new(now.and_then(|now| i64::try_from(now.as_millis()).ok()).unwrap_or(0))
    }

    /// Sends one request once. A response of any status is a success here.
    ///
    /// # Errors
    /// Returns a [`TransportFailure`] if no response arrived, or none that could be read in whole within
    /// [`ClientBuilder::max_body`](crate::ClientBuilder::max_body) and the timeout. The failure says whether the request may have been carried out.
    pub fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let mut response = self.send_held(request)?;
        // Nobody knows how long the caller keeps it.
        response.extensions_mut().remove::<Arc<Held>>();
        Ok(response)
    }

    /// The same for a caller who soon drops the response: until then it holds its part of the budget.
    pub(crate) fn send_held(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        // A transport of the application's own may repeat the token.
        let redacted = |failure: TransportFailure| failure.redacted(&self.endpoint);
        trace::send(request, |request| self.transport.send(request).map_err(redacted))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
