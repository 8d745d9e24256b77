//! How a client is built: the settings that are not the default, and the HTTP client that is built from them.

use crate::client::Client;
use crate::failure::innermost;
use crate::proxy;
use crate::ready;
use crate::tls;
use crate::transport::{NEVER, Origin, ReqwestTransport};
use std::fmt;
use std::time::Duration;
use upstash_dlq_core::Endpoint;
use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::client::http_settings::{HttpSettings, IDLE_TIMEOUT};

/// Collects the settings of a [`Client`] that are not the default.
///
/// ```
/// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
/// use std::time::Duration;
/// use upstash_dlq_reqwest::Client;
/// use upstash_dlq_reqwest::core::{Endpoint, List, Token};
/// let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;
/// let client = Client::builder(endpoint.clone())
///     .timeout(Duration::from_secs(60))
///     .max_body(32 * 1024 * 1024)
///     .http(reqwest::Client::builder().no_proxy())
///     .build()?;
/// assert_eq!(client.count(List::everything()).run().await.into_result()?.listed, 0);
///
/// let follows_redirects = reqwest::Client::new();
/// assert!(Client::builder(endpoint).client(follows_redirects).build().is_err());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ClientBuilder {
    settings: HttpSettings,
    http: Http,
}

enum Http {
    Ours,
    Builder(Box<reqwest::ClientBuilder>),
    Ready(reqwest::Client),
}

impl Client {
    /// A client with the default settings: connecting may take 10 s, a whole request 30 s.
    ///
    /// # Errors
    /// See [`ClientBuilder::build`]. Nothing has been sent.
    pub fn new(endpoint: Endpoint) -> Result<Self, BuildError> {
        Self::builder(endpoint).build()
    }

    /// Starts with the default settings, to change them.
    pub fn builder(endpoint: Endpoint) -> ClientBuilder {
        ClientBuilder::new(endpoint)
    }
}

impl ClientBuilder {
    fn new(endpoint: Endpoint) -> Self {
        Self { settings: HttpSettings::new(endpoint), http: Http::Ours }
    }

    /// Sets how long one whole request may take, name lookup and body included. The default is 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how long making a connection may take, at most nine tenths of [`Self::timeout`]. The default is 10 s.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.settings.connect_timeout = connect_timeout;
        self
    }

    /// Sets how long a response's body may be, in bytes. The default is 16 MiB ([`MAX_BODY`](crate::MAX_BODY)). A longer one
    /// is a failure whose message names the bound. A listing then asks for fewer messages at once, down to one.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// Sets how long the body of a response with one message may be, in bytes: of a run that is got by its id, or of a listed page
    /// of one. The default is 64 MiB ([`MAX_MESSAGE_BODY`](upstash_dlq_core::client::MAX_MESSAGE_BODY)). If [`Self::max_body`] is
    /// larger, that holds.
    pub fn max_message_body(mut self, bytes: usize) -> Self {
        self.settings.max_message_body = bytes;
        self
    }

    /// Sets how many bytes of response bodies all lanes may hold at once, together. The default is 64 MiB. Responses up to 1 MiB do
    /// not count. An operation that holds nothing may always read one response, however long. A request that reads is not sent
    /// while another of its operation waits for bytes; that wait does not count. If its own response has to wait for bytes, that
    /// counts as time of the request. See [`core::client::budget`](upstash_dlq_core::client::budget).
    pub fn body_budget(mut self, bytes: usize) -> Self {
        self.settings.body_budget = bytes;
        self
    }

    /// Uses a TLS, proxy or pool configuration of your own. Redirects, retries, the referer, accepted encodings, all timeouts
    /// and the time that connections may idle stay as this client sets them. A loopback endpoint is never reached through a
    /// proxy. Leave out default headers and a cookie store: they cannot be taken out again. The proxy of the environment is not
    /// checked: reqwest ignores one that it cannot read, and connects directly. Set `proxy(…)` or `no_proxy()`.
    pub fn http(self, http: reqwest::ClientBuilder) -> Self {
        Self { http: Http::Builder(Box::new(http)), ..self }
    }

    /// Uses an HTTP client of your own, to share its connections. For anything else, [`Self::http`] is the better choice.
    ///
    /// These hold for it, too:
    ///
    /// - `redirect(Policy::none())` must be set in it. [`Self::build`] refuses a client that follows redirects.
    /// - Its retries have no effect: each request has a body that reqwest cannot send again.
    /// - The timeout of a whole request is the one here, whatever the client says.
    /// - A failure on the way to a connection is [`Delivery::NotSent`](upstash_dlq_core::Delivery::NotSent).
    ///
    /// The rest cannot be checked from outside, and must be set in that client:
    ///
    /// - `connect_timeout`, below the timeout here. Otherwise a connection that is never made ends in the timeout of the
    ///   whole request, which is [`Delivery::Unknown`](upstash_dlq_core::Delivery::Unknown).
    /// - No `read_timeout` below the timeout here.
    /// - `pool_idle_timeout` of a few seconds, below that of the servers and proxies on the way. The default is 90 s. A
    ///   request on a connection that has just died is `Unknown`.
    /// - `no_proxy()` for a loopback endpoint: a proxy would see the token in the clear. Otherwise `proxy(…)` or `no_proxy()`:
    ///   reqwest ignores a proxy of the environment that it cannot read, and connects directly.
    /// - No `default_headers`, and no cookie store: they would go out with each request.
    /// - `no_gzip()`, `no_brotli()`, `no_deflate()` and `no_zstd()`, if any crate of the build enables those features. The
    ///   bound of [`Self::max_body`] counts decoded bytes otherwise.
    /// - `referer(false)`. Without redirects none is sent anyway.
    pub fn client(self, client: reqwest::Client) -> Self {
        Self { http: Http::Ready(client), ..self }
    }

    /// Builds the client.
    ///
    /// # Errors
    /// Returns a [`BuildError`], and nothing has been sent,
    ///
    /// - if the HTTP client cannot be set up,
    /// - if the endpoint is `https` and no TLS feature is enabled (for a builder or a client of your own: by no crate of the
    ///   build),
    /// - if the proxy of the environment cannot be used (not checked with [`Self::http`] or [`Self::client`]),
    /// - if a ready client follows redirects.
    pub fn build(self) -> Result<Client, BuildError> {
        let endpoint = self.settings.endpoint.clone();
        Ok(Client::with_transport(endpoint, self.build_transport()?))
    }

    /// Builds only what sends, for a middleware to wrap. Give [`Client::with_transport`] the same endpoint.
    ///
    /// # Errors
    /// See [`Self::build`]. Nothing has been sent.
    pub fn build_transport(self) -> Result<ReqwestTransport, BuildError> {
        let Self { settings, http } = self;
        let (http, origin) = match http {
            Http::Ready(client) => {
                tls::check_theirs(&settings)?;
                let conduct = ready::conduct(&client)?;
                (client, Origin::Ready(conduct))
            }
            Http::Builder(builder) => {
                tls::check_theirs(&settings)?;
                (own_client(&settings, builder.read_timeout(NEVER))?, Origin::Builder)
            }
            Http::Ours => {
                tls::check_ours(&settings)?;
                if !settings.endpoint.is_loopback() {
                    proxy::check_environment(settings.endpoint.base_url())?;
                }
                (own_client(&settings, reqwest::Client::builder())?, Origin::Ours)
            }
        };
        Ok(ReqwestTransport::new(settings, http, origin))
    }
}

fn own_client(settings: &HttpSettings, http: reqwest::ClientBuilder) -> Result<reqwest::Client, BuildError> {
    let HttpSettings { endpoint, timeout, connect_timeout, .. } = settings;
    // If both would end at once, this one must end first, because it knows that nothing was sent.
    let connect_timeout = (*connect_timeout).min(timeout.saturating_sub(*timeout / 10)).min(NEVER);
    let mut http = http
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Another crate of the build may have enabled these features.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .pool_idle_timeout(IDLE_TIMEOUT)
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

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
