//! A client that sends one request at a time and waits for the response: how it is built, how it sends, and what it offers.

use crate::connect::Marking;
use crate::failure::classify;
use crate::proxy;
use crate::resolver::{CachingResolver, Names};
use http::{Method, Request, Response};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure, UnixMillis};
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

/// The longest response body that is read, in bytes (16 MiB).
pub const MAX_BODY: u64 = 16 * 1024 * 1024;

/// Idle connections are dropped before the usual servers and proxies drop them, so that a request seldom meets a
/// connection that has just died.
const IDLE: Duration = Duration::from_secs(4);

const MAX_IDLE: usize = 256;

/// The buffers of every connection, in bytes. The input buffer has room for the longest response head that ureq accepts
/// (64 KiB). The output buffer has room for the longest request head that the core can build.
const INPUT_BUFFER: usize = 64 * 1024;
const OUTPUT_BUFFER: usize = 80 * 1024;

/// The settings that no other configuration may change. Our own agent gets them once; the user's agent gets them with each
/// request. This is a macro because the two builders have no nameable trait in common.
macro_rules! settled {
    ($config:expr, $endpoint:expr, $timeout:expr, $connect_timeout:expr) => {{
        let config = $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .save_redirect_history(false)
            .accept_encoding("")
            .max_idle_age(IDLE)
            .timeout_global(finite($timeout))
            .timeout_connect(finite($connect_timeout.min($timeout)))
            .timeout_per_call(None)
            .timeout_per_read(None)
            .timeout_per_write(None)
            .timeout_resolve(None)
            .timeout_send_request(None)
            .timeout_send_body(None)
            .timeout_recv_response(None)
            .timeout_recv_body(None);
        // A proxy would see the token in the clear, and could not reach this machine anyway.
        if $endpoint.is_loopback() { config.proxy(None) } else { config }
    }};
}

/// Sends the requests that the core builds, and waits for the responses. Clones share the connections.
#[derive(Clone)]
pub struct Client {
    endpoint: Endpoint,
    agent: ureq::Agent,
    /// Whether the agent was built here, with all settings in it.
    is_ours: bool,
    timeout: Duration,
    connect_timeout: Duration,
}

/// Collects the settings of a [`Client`] that are not the default.
#[must_use]
pub struct ClientBuilder {
    endpoint: Endpoint,
    agent: Option<ureq::Agent>,
    config: ConfigBuilder<AgentScope>,
    configured: bool,
    timeout: Duration,
    connect_timeout: Duration,
}

impl ClientBuilder {
    /// Sets how long one whole request may take, name lookup and body included. The default is 30 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how long making a connection may take. The default is 10 s.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout, ..self }
    }

    /// Changes the TLS, proxy or pool configuration:
    /// `builder.configure(|config| config.proxy(proxy))`. Redirects, errors by status and timeouts stay as this client sets
    /// them. Has no effect together with [`Self::agent`].
    pub fn configure(self, configure: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>) -> Self {
        Self { config: configure(self.config), configured: true, ..self }
    }

    /// Uses an agent of your own: for connectors, for resolvers, or to share its connections. For anything else,
    /// [`Self::configure`] is the better choice. This client sets redirects, errors by status, all timeouts and the time that
    /// connections may idle for each request, whatever the agent says. Three things it cannot set:
    ///
    /// - No middleware of the agent may send a request twice. Retries are left to the core, which knows what must not be
    ///   repeated.
    /// - An agent keeps 3 idle connections by default. For many lanes, set `max_idle_connections_per_host` (and
    ///   `max_idle_connections`) to their number, and give it a resolver that does not look the name up for each request.
    /// - The agent's connectors do not tell whether a failed connection had been established. So more failures count as
    ///   [`Delivery::Unknown`], a refused connection among them.
    pub fn agent(self, agent: ureq::Agent) -> Self {
        Self { agent: Some(agent), ..self }
    }

    /// Builds the client.
    ///
    /// # Errors
    /// Returns a [`BuildError`] if the endpoint is `https` and no TLS feature is enabled, or if the proxy of the environment
    /// or of the configuration cannot be used.
    pub fn build(self) -> Result<Client, BuildError> {
        let Self { endpoint, agent, config, configured, timeout, connect_timeout } = self;
        let is_ours = agent.is_none();
        let agent = match agent {
            Some(agent) => agent,
            None => {
                let config = settled!(config, endpoint, timeout, connect_timeout);
                own_agent(&endpoint, config.build(), configured)?
            }
        };
        Ok(Client { endpoint, agent, is_ours, timeout, connect_timeout })
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

fn own_agent(endpoint: &Endpoint, config: Config, configured: bool) -> Result<ureq::Agent, BuildError> {
    if cfg!(not(any(feature = "rustls", feature = "native-tls"))) && endpoint.base_url().starts_with("https:") {
        return Err(BuildError::new(
            "https needs TLS: enable the feature rustls, platform-verifier or native-tls of upstash-dlq-ureq",
        ));
    }
    if !endpoint.is_loopback() {
        match config.proxy() {
            Some(proxy) if !proxy.is_from_env() => {
                if !proxy::is_usable(proxy) {
                    return Err(proxy::unusable("the configuration"));
                }
            }
            // Taken out on purpose.
            None if configured => {}
            Some(_) | None => proxy::check_environment(endpoint.base_url())?,
        }
    }
    let names = Names::default();
    let connector = Marking { inner: DefaultConnector::default(), names: names.clone() };
    Ok(ureq::Agent::with_parts(config, connector, CachingResolver::new(DefaultResolver::default(), names)))
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
            agent: None,
            config: defaults(),
            configured: false,
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
    pub fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        #[cfg(feature = "tracing")]
        let _span = crate::trace::request(&request).entered();
        // A POST with `()` would go out chunked, one with an empty body has its length stated.
        let result = if request.method() == Method::POST {
            self.exchange(request.map(|()| Vec::<u8>::new()))
        } else {
            self.exchange(request)
        };
        #[cfg(feature = "tracing")]
        crate::trace::response(&result);
        result
    }

    fn exchange<S: ureq::AsSendBody>(&self, request: Request<S>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let request = if self.is_ours {
            request
        } else {
            let config = self.agent.configure_request(request);
            settled!(config, self.endpoint, self.timeout, self.connect_timeout).build()
        };
        let response = self.agent.run(request).map_err(|error| classify(&error, &self.endpoint))?;
        let (parts, body) = response.into_parts();
        let unknown = |message: String| TransportFailure::from(Delivery::Unknown).with_message(message);
        let mut bytes = Vec::new();
        body.into_reader()
            .take(MAX_BODY + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unknown(self.endpoint.redact(&format!("the response was cut off: {error}"))))?;
        if bytes.len() as u64 > MAX_BODY {
            return Err(unknown("the response is larger than 16 MiB".into()));
        }
        Ok(Response::from_parts(parts, bytes))
    }
}

/// ureq adds a timeout to the present moment, and panics where that does not fit. Nobody waits for a hundred years.
fn finite(timeout: Duration) -> Option<Duration> {
    (timeout < Duration::from_secs(100 * 365 * 86_400)).then_some(timeout)
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
