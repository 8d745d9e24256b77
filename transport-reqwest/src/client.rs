//! A client that sends requests and awaits their responses: how it is built, how it sends, and what it offers.

use crate::failure::{Conduct, classify, innermost};
use crate::proxy;
use http::{Request, Response};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure, UnixMillis};

/// The longest response body that is read, in bytes (16 MiB).
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// Idle connections are dropped before the usual servers and proxies drop them, so that a request seldom meets a
/// connection that has just died.
const IDLE: Duration = Duration::from_secs(4);

/// The timeouts of a given builder cannot be removed, so they are set to a time that is never reached.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Sends the requests that the core builds, and awaits the responses. Needs a tokio runtime with I/O and time. Clones share
/// the connections.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    http: reqwest::Client,
    conduct: Conduct,
    /// Whether the client has no timeout of its own that each request must outdo.
    is_ours: bool,
    timeout: Duration,
}

/// Collects the settings of a [`Client`] that are not the default.
#[must_use]
pub struct ClientBuilder {
    endpoint: Endpoint,
    http: Http,
    timeout: Duration,
    connect_timeout: Duration,
}

enum Http {
    Ours,
    Builder(Box<reqwest::ClientBuilder>),
    Ready(reqwest::Client),
}

impl ClientBuilder {
    /// Sets how long one whole request may take, name lookup and body included. The default is 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how long making a connection may take, at most nine tenths of [`Self::timeout`]. The default is 10 s.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Uses a TLS, proxy or pool configuration of your own. Redirects, retries, the referer, all timeouts and the time that
    /// connections may idle stay as this client sets them. A loopback endpoint is never reached through a proxy.
    pub fn http(self, http: reqwest::ClientBuilder) -> Self {
        Self { http: Http::Builder(Box::new(http)), ..self }
    }

    /// Uses an HTTP client of your own, to share its connections. For anything else, [`Self::http`] is the better choice. The
    /// timeout of a whole request is set for each request, whatever the client says. Everything else must be set in that
    /// client:
    ///
    /// - `redirect(Policy::none())`: a redirect that was followed is an error, but by then the request went there.
    /// - `retry(reqwest::retry::never())`: retries are left to the core, which knows what must not be repeated.
    /// - `referer(false)`, no `read_timeout` below the timeout here, and a `connect_timeout`.
    /// - `pool_idle_timeout` of a few seconds, below that of the servers and proxies on the way.
    /// - `no_proxy()` for a loopback endpoint: a proxy would see the token in the clear.
    ///
    /// This cannot be checked from outside. So every failure counts as [`Delivery::Unknown`], a refused connection among
    /// them.
    pub fn client(self, client: reqwest::Client) -> Self {
        Self { http: Http::Ready(client), ..self }
    }

    /// Builds the client.
    ///
    /// # Errors
    /// Returns a [`BuildError`] if the HTTP client cannot be set up, if the endpoint is `https` and no TLS feature is enabled,
    /// or if the proxy of the environment cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let is_ours = matches!(self.http, Http::Ours);
        let (http, conduct) = match self.http {
            Http::Ready(client) => (client, Conduct::Unknown),
            Http::Builder(builder) => {
                let builder = builder.read_timeout(NEVER);
                let http = own_client(&self.endpoint, builder, self.connect_timeout, self.timeout)?;
                (http, Conduct::Known)
            }
            Http::Ours => {
                let https = self.endpoint.base_url().starts_with("https:");
                if https && cfg!(not(any(feature = "rustls", feature = "native-tls"))) {
                    return Err(BuildError::new(
                        "https needs TLS: enable the feature rustls or native-tls of upstash-dlq-reqwest",
                    ));
                }
                if !self.endpoint.is_loopback() {
                    proxy::check_environment(self.endpoint.base_url())?;
                }
                let http = own_client(&self.endpoint, reqwest::Client::builder(), self.connect_timeout, self.timeout)?;
                (http, Conduct::Known)
            }
        };
        Ok(Client { endpoint: self.endpoint, http, conduct, is_ours, timeout: self.timeout })
    }
}

fn own_client(
    endpoint: &Endpoint,
    http: reqwest::ClientBuilder,
    connect_timeout: Duration,
    timeout: Duration,
) -> Result<reqwest::Client, BuildError> {
    // If both would end at once, this one must end first, because it knows that nothing was sent.
    let connect_timeout = connect_timeout.min(timeout.saturating_sub(timeout / 10)).min(NEVER);
    let mut http = http
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_idle_timeout(IDLE)
        .connect_timeout(connect_timeout);
    if endpoint.is_loopback() {
        // A proxy would see the token in the clear, and could not reach this machine anyway.
        http = http.no_proxy();
    }
    http.build().map_err(|error| {
        let cause = innermost(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        BuildError::new(endpoint.redact(&format!("the HTTP client could not be set up{cause}")))
    })
}

impl Client {
    /// A client with the default settings: connecting may take 10 s, a whole request 30 s.
    ///
    /// # Errors
    /// See [`ClientBuilder::build`].
    pub fn new(endpoint: Endpoint) -> Result<Self, BuildError> {
        Self::builder(endpoint).build()
    }

    /// Starts with the default settings, to change them.
    pub fn builder(endpoint: Endpoint) -> ClientBuilder {
        ClientBuilder {
            endpoint,
            http: Http::Ours,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// The endpoint that the client sends to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A fresh random seed for the waits between attempts.
    pub fn seed(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }

    /// The present, up to which an open window is cut. A clock set before 1970 makes bad windows: slow, but not wrong.
    pub(crate) fn now(&self) -> UnixMillis {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        UnixMillis::new(now.and_then(|now| i64::try_from(now.as_millis()).ok()).unwrap_or(0))
    }

    /// Sends one request once. A response of any status is a success here.
    ///
    /// # Errors
    /// Returns a [`TransportFailure`] if no response arrived, or none that could be read in whole within [`MAX_BODY`] and the
    /// timeout. The failure says whether the request may have been carried out.
    pub async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        #[cfg(feature = "tracing")]
        {
            use tracing::Instrument;
            let span = crate::trace::span(&request);
            let traced = async {
                let result = self.attempt(request).await;
                crate::trace::record(&result);
                result
            };
            traced.instrument(span).await
        }
        #[cfg(not(feature = "tracing"))]
        self.attempt(request).await
    }

    async fn attempt(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let mut request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))
            .map_err(|error| classify(&error, &self.endpoint, Conduct::Known))?;
        *request.body_mut() = None;
        if !self.is_ours {
            *request.timeout_mut() = Some(NEVER);
        }
        // One timeout for the whole request, its body included. reqwest's own starts over in some places.
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(unknown("no response arrived in time".into())),
        }
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response<Vec<u8>>, TransportFailure> {
        let failed = |error: reqwest::Error| classify(&error, &self.endpoint, self.conduct);
        let asked = (self.conduct == Conduct::Unknown).then(|| request.url().clone());
        let mut incoming = self.http.execute(request).await.map_err(failed)?;
        if asked.is_some_and(|asked| asked != *incoming.url()) {
            return Err(unknown("the HTTP client followed a redirect: set its redirect policy to none".into()));
        }
        let mut response = Response::new(Vec::new());
        *response.status_mut() = incoming.status();
        std::mem::swap(response.headers_mut(), incoming.headers_mut());
        while let Some(chunk) = incoming.chunk().await.map_err(failed)? {
            if response.body().len() + chunk.len() > MAX_BODY {
                return Err(unknown("the response is larger than 16 MiB".into()));
            }
            response.body_mut().extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn unknown(message: String) -> TransportFailure {
    TransportFailure::from(Delivery::Unknown).with_message(message)
}
