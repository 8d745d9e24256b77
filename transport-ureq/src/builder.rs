//! How a client is built: the settings that are not the default, and the agent that is built from them.

use crate::chain;
use crate::client::Client;
use crate::connect::Marking;
use crate::proxy;
use crate::resolver::{CachingResolver, Lookup, Names};
use crate::settings::settled;
use crate::transport::UreqTransport;
use std::fmt;
use std::time::Duration;
use upstash_dlq_core::Endpoint;
use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::client::http_settings::HttpSettings;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;

const MAX_IDLE: usize = 256;

/// The buffers of every connection, in bytes. The input buffer has room for the longest response head that ureq accepts
/// (64 KiB). The output buffer has room for the longest request head that the core can build.
const INPUT_BUFFER: usize = 64 * 1024;
const OUTPUT_BUFFER: usize = 80 * 1024;

/// Collects the settings of a [`Client`] that are not the default.
///
/// ```
/// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
/// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
/// use std::time::Duration;
/// use upstash_dlq_ureq::Client;
/// use upstash_dlq_ureq::core::{Endpoint, List, Token};
/// let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;
/// let client = Client::builder(endpoint.clone())
///     .timeout(Duration::from_secs(60))
///     .max_body(32 * 1024 * 1024)
///     .configure(|config| config.proxy(None))
///     .build()?;
/// assert_eq!(client.count(List::everything()).run().into_result()?.listed, 0);
///
/// let agent = ureq::Agent::new_with_defaults();
/// let error = Client::builder(endpoint).agent(agent).configure(|config| config.proxy(None)).build().unwrap_err();
/// assert!(error.to_string().contains("configure the agent"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct ClientBuilder {
    settings: HttpSettings,
    agent: Option<ureq::Agent>,
    config: ConfigBuilder<AgentScope>,
    configured: bool,
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
        Self { settings: HttpSettings::new(endpoint), agent: None, config: defaults(), configured: false }
    }

    /// Sets how long one whole request may take, name lookup and body included. The default is 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how long making a connection may take. The default is 10 s.
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

    /// Changes the TLS, proxy or pool configuration:
    /// `builder.configure(|config| config.proxy(proxy))`. Redirects, errors by status and timeouts stay as this client sets
    /// them. Together with [`Self::agent`] it is an error when the client is built.
    pub fn configure(self, configure: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>) -> Self {
        Self { config: configure(self.config), configured: true, ..self }
    }

    /// Uses an agent of your own: for connectors, for resolvers, or to share its connections. For anything else,
    /// [`Self::configure`] is the better choice. This client sets redirects, errors by status, accepted encodings, all timeouts
    /// and the time that connections may idle for each request, whatever the agent says. These it cannot set:
    ///
    /// - No middleware of the agent may send a request twice. Retries are left to the core, which knows what must not be
    ///   repeated.
    /// - Our own agent looks for bytes behind a response also below TLS, and does not reuse such a connection. An agent with ureq's
    ///   own connectors may take them for the next response.
    /// - An agent keeps 3 idle connections by default. For many lanes, set `max_idle_connections_per_host` (and
    ///   `max_idle_connections`) to their number, and give it a resolver that does not look the name up for each request.
    /// - Cookies, if another crate of the build enables them in ureq.
    ///
    /// The connectors of our own agent mark what failed before the first byte. Those of another agent cannot be marked from
    /// outside, so fewer failures are certain. Only these of an agent are [`Delivery::NotSent`]:
    ///
    /// - ureq's own errors for a name that was not found, a proxy that did not connect, a connection that could not be made,
    ///   the timeouts of lookup and connecting, and TLS that is missing.
    /// - A certificate that was not accepted. With `native-tls`, every failed handshake.
    ///
    /// The others are [`Delivery::Unknown`]: every other I/O error (a refused connection, no route, a lookup that failed with
    /// the system's error), the timeout of the whole request, and with rustls a handshake that failed for another reason than
    /// the certificate.
    ///
    /// [`Delivery::NotSent`]: upstash_dlq_core::Delivery::NotSent
    /// [`Delivery::Unknown`]: upstash_dlq_core::Delivery::Unknown
    pub fn agent(self, agent: ureq::Agent) -> Self {
        Self { agent: Some(agent), ..self }
    }

    /// Builds the client.
    ///
    /// # Errors
    /// Returns a [`BuildError`], and nothing has been sent,
    ///
    /// - if the endpoint is `https` and no TLS feature is enabled (an agent may have TLS of its own; if it has none, each
    ///   request fails unsent),
    /// - if the endpoint is `https` and the configuration or the agent names TLS or roots whose feature is not enabled,
    /// - if the proxy of the environment, of the configuration or of the agent cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let endpoint = self.settings.endpoint.clone();
        Ok(Client::with_transport(endpoint, self.build_transport()?))
    }

    /// Builds only what sends, for a middleware to wrap. Give [`Client::with_transport`] the same endpoint.
    ///
    /// # Errors
    /// See [`Self::build`]. Nothing has been sent.
    pub fn build_transport(self) -> Result<UreqTransport, BuildError> {
        let Self { settings, agent, config, configured } = self;
        if let Some(agent) = agent {
            if configured {
                return Err(BuildError::new("`configure` does not reach an agent of your own: configure the agent"));
            }
            check_agent(&settings, agent.config())?;
            return Ok(UreqTransport::new(settings, agent, false));
        }
        let config = settled!(config, settings);
        let agent = own_agent(&settings, config.build(), configured)?;
        Ok(UreqTransport::new(settings, agent, true))
    }
}

/// The configuration that each of our own agents begins with.
fn defaults() -> ConfigBuilder<AgentScope> {
    let config = ureq::Agent::config_builder();
    let config = config.input_buffer_size(INPUT_BUFFER).output_buffer_size(OUTPUT_BUFFER);
    // Every lane keeps its connection.
    let config = config.max_idle_connections(MAX_IDLE).max_idle_connections_per_host(MAX_IDLE);
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    let config = config.tls_config(crate::tls::config());
    config
}

fn own_agent(settings: &HttpSettings, config: Config, configured: bool) -> Result<ureq::Agent, BuildError> {
    if cfg!(not(any(feature = "rustls", feature = "native-tls"))) && settings.is_https() {
        return Err(BuildError::new(
            "https needs TLS: enable the feature rustls, platform-verifier or native-tls of upstash-dlq-ureq",
        ));
    }
    check_tls(settings, &config)?;
    if !settings.endpoint.is_loopback() {
        match config.proxy() {
            Some(proxy) if !proxy.is_from_env() => {
                if !proxy::is_usable(proxy) {
                    return Err(proxy::unusable("the configuration", false));
                }
            }
            // Taken out on purpose.
            None if configured => {}
            Some(_) | None => proxy::check_environment(settings.endpoint.base_url())?,
        }
    }
    let names = Names::default();
    let connector = Marking { inner: chain::connector(), names: names.clone() };
    Ok(ureq::Agent::with_parts(config, connector, CachingResolver::new(Lookup, names)))
}

/// ureq passes over a proxy that it cannot use, or panics.
fn check_agent(settings: &HttpSettings, config: &Config) -> Result<(), BuildError> {
    check_tls(settings, config)?;
    let endpoint = &settings.endpoint;
    let Some(proxy) = config.proxy() else { return Ok(()) };
    let is_exempt = || proxy.is_from_env() && proxy::is_exempt_from(proxy, endpoint.base_url());
    if endpoint.is_loopback() || proxy::is_usable(proxy) || is_exempt() {
        Ok(())
    } else {
        Err(proxy::unusable("the agent", proxy.is_from_env()))
    }
}

/// ureq panics if a feature is missing that the configuration needs. Without any TLS feature it has no connector for TLS, and
/// says so for each request.
#[cfg(any(feature = "rustls", feature = "native-tls"))]
fn check_tls(settings: &HttpSettings, config: &Config) -> Result<(), BuildError> {
    if settings.is_https() { crate::tls::check(config.tls_config()) } else { Ok(()) }
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
fn check_tls(_: &HttpSettings, _: &Config) -> Result<(), BuildError> {
    Ok(())
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
