//! A client: an endpoint, and the transport that its requests go through.

use crate::budget::Held;
use futures_core::future::BoxFuture;
use http::{Request, Response};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use upstash_dlq_core::client::AsyncTransport;
use upstash_dlq_core::{Endpoint, RetryPolicy, TransportFailure, UnixMillis};

/// Sends the requests that the core builds, and awaits the responses. Needs a tokio runtime with time, and for our own HTTP
/// with I/O. Clones share the transport and its connections.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    transport: Arc<dyn DynTransport>,
    retry: RetryPolicy,
    /// `None`: a fresh one for each operation.
    seed: Option<u64>,
}

/// An [`AsyncTransport`] of any type. Its futures are boxed.
trait DynTransport: Send + Sync {
    fn send_boxed(&self, request: Request<()>) -> BoxFuture<'_, Result<Response<Vec<u8>>, TransportFailure>>;
}

impl<T: AsyncTransport> DynTransport for T {
    fn send_boxed(&self, request: Request<()>) -> BoxFuture<'_, Result<Response<Vec<u8>>, TransportFailure>> {
        Box::pin(self.send(request))
    }
}

impl Client {
    /// A client over HTTP of your own: another library, a mock, or a middleware around ours. What a transport must do is said
    /// in [`core::client::transport`](upstash_dlq_core::client::transport).
    ///
    /// ```
    /// use upstash_dlq_reqwest::Client;
    /// use upstash_dlq_reqwest::core::client::AsyncTransport;
    /// use upstash_dlq_reqwest::core::{Endpoint, Token};
    /// # use std::sync::{Arc, Mutex};
    /// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
    /// # use upstash_dlq_reqwest::core::List;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
    /// let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;
    /// let ours = Client::builder(endpoint.clone()).build_transport()?;
    /// let lines = Arc::new(Mutex::new(Vec::new()));
    /// let log = Arc::clone(&lines);
    /// let client = Client::with_transport(endpoint, move |request: http::Request<()>| {
    ///     // The path alone: the query can hold the token.
    ///     log.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
    ///     let ours = ours.clone();
    ///     async move { ours.send(request).await }
    /// });
    /// client.count(List::everything()).run().await.into_result()?;
    /// assert_eq!(*lines.lock().unwrap(), ["GET /v2/workflows/dlq"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_transport(endpoint: Endpoint, transport: impl AsyncTransport + 'static) -> Self {
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
    pub async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let mut response = self.send_held(request).await?;
        // Nobody knows how long the caller keeps it.
        response.extensions_mut().remove::<Arc<Held>>();
        Ok(response)
    }

    /// The same for a caller who soon drops the response: until then it holds its part of the budget.
    pub(crate) async fn send_held(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        #[cfg(feature = "tracing")]
        {
            use tracing::Instrument;
            let span = crate::trace::request(&request);
            let traced = async {
                let result = self.send_redacted(request).await;
                crate::trace::response(&result);
                result
            };
            traced.instrument(span).await
        }
        #[cfg(not(feature = "tracing"))]
        self.send_redacted(request).await
    }

    /// A transport of the application's own may repeat the token.
    async fn send_redacted(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        self.transport.send_boxed(request).await.map_err(|failure| failure.redacted(&self.endpoint))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
