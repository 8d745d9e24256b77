//! An agent of the user's: what is ours all the same, and what is not known of it.

use crate::suite::environment::{again, case};
use crate::suite::wire::{Reply, Wire, ok, status};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use upstash_dlq_core::{BulkResume, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_ureq::Client;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Agent, Error, Timeout};

/// Every name leads to one address.
#[derive(Debug)]
struct To(SocketAddr);

impl Resolver for To {
    fn resolve(&self, _: &http::Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        if timeout.after.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        let mut found = self.empty();
        found.push(self.0);
        Ok(found)
    }
}

/// To a name that only the agent's own resolver knows.
fn send(
    address: SocketAddr,
    configure: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
) -> Result<http::Response<Vec<u8>>, TransportFailure> {
    let config = configure(Agent::config_builder().proxy(None)).build();
    send_with(Agent::with_parts(config, DefaultConnector::default(), To(address)))
}

fn send_with(agent: Agent) -> Result<http::Response<Vec<u8>>, TransportFailure> {
    let token = Token::new("s3cret/token").unwrap();
    let endpoint =
        Endpoint::builder().allow_plain_http().token_in_query().build("http://service.invalid", token).unwrap();
    let mut resume = BulkResume::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = resume.poll(std::time::Duration::ZERO) else { panic!() };
    Client::builder(endpoint).agent(agent).build().unwrap().send(request)
}

#[test]
fn an_agent_of_the_caller_is_used_like_ours() {
    let redirect = status("302 Found", "location: /elsewhere\r\n", "");
    for (reply, expected) in [(Reply::Sized(1 << 20), 200), (redirect, 302), (status("500 Oops", "", ""), 500)] {
        let wire = Wire::start(vec![reply]);
        let strict = |config: ConfigBuilder<AgentScope>| {
            let none = Some(Duration::ZERO);
            config
                .http_status_as_error(true)
                .max_redirects(5)
                .timeout_global(none)
                .timeout_per_call(none)
                .timeout_per_read(none)
                .timeout_per_write(none)
                .timeout_resolve(none)
                .timeout_connect(none)
                .timeout_send_request(none)
                .timeout_send_body(none)
                .timeout_recv_response(none)
                .timeout_recv_body(none)
        };
        assert_eq!(send(wire.addr, strict).unwrap().status(), expected);
        let heads = wire.requests();
        assert!(heads.len() == 1 && heads[0].contains(&"host: service.invalid".to_owned()), "{heads:?}");
    }
}

#[test]
fn a_refused_connection_of_the_callers_agent_counts_as_unknown() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(closed, |config| config).unwrap_err();
    assert_eq!(failure.delivery, Delivery::Unknown, "{failure:?}");
}

/// An agent whose every connection fails with this error.
fn failing(error: impl Fn() -> Error + Send + Sync + 'static) -> TransportFailure {
    struct Failing<F>(F);
    impl<F> std::fmt::Debug for Failing<F> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Failing")
        }
    }
    impl<F: Fn() -> Error + Send + Sync + 'static> Connector<()> for Failing<F> {
        type Out = Box<dyn Transport>;
        fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Self::Out>, Error> {
            Err((self.0)())
        }
    }
    let config = Agent::config_builder().proxy(None).build();
    let agent = Agent::with_parts(config, Failing(error), To(([127, 0, 0, 1], 1).into()));
    send_with(agent).unwrap_err()
}

#[test]
fn what_an_agent_says_before_it_sends_is_certain_and_an_io_error_is_not() {
    type Fails = fn() -> Error;
    let certain: [Fails; 7] = [
        || Error::HostNotFound,
        || Error::ConnectionFailed,
        || Error::ConnectProxyFailed("407".into()),
        || Error::TlsRequired,
        || Error::BadUri("no host".into()),
        || Error::Timeout(Timeout::Connect),
        || Error::Timeout(Timeout::Resolve),
    ];
    for error in certain {
        let failure = failing(error);
        assert_eq!(failure.delivery, Delivery::NotSent, "{failure:?}");
    }
    let uncertain: [Fails; 4] = [
        || std::io::Error::from(ErrorKind::ConnectionRefused).into(),
        || std::io::Error::from(ErrorKind::NetworkUnreachable).into(),
        || Error::Tls("a connector of somebody's"),
        || Error::Timeout(Timeout::Global),
    ];
    for error in uncertain {
        let failure = failing(error);
        assert_eq!(failure.delivery, Delivery::Unknown, "{failure:?}");
    }
}

#[test]
fn a_proxy_that_the_agent_cannot_use_is_refused() {
    let agent = |proxy| Agent::config_builder().proxy(Some(ureq::Proxy::new(proxy).unwrap())).build().into();
    let build = |url, proxy| {
        let endpoint = Endpoint::builder().allow_plain_http().build(url, Token::new("s3cret").unwrap()).unwrap();
        Client::builder(endpoint).agent(agent(proxy)).build().map(|_| ())
    };
    build("http://service.invalid", "http://proxy.invalid:1").unwrap();
    build("http://127.0.0.1:1", "socks5://me:hidden@proxy.invalid").unwrap();
    let socks = build("http://service.invalid", "socks5://me:hidden@proxy.invalid");
    assert_eq!(socks.is_ok(), cfg!(feature = "socks-proxy"));
    if let Err(error) = socks {
        assert!(error.to_string().contains("feature socks-proxy") && !error.to_string().contains("hidden"), "{error}");
    }
}

#[test]
fn a_proxy_of_the_configuration_that_cannot_be_used_is_refused() {
    let build = |url, proxy| {
        let endpoint = Endpoint::builder().allow_plain_http().build(url, Token::new("s3cret").unwrap()).unwrap();
        let proxy = ureq::Proxy::new(proxy).unwrap();
        Client::builder(endpoint).configure(|config| config.proxy(Some(proxy))).build().map(|_| ())
    };
    build("http://service.invalid", "http://proxy.invalid:1").unwrap();
    build("http://127.0.0.1:1", "socks5://me:hidden@proxy.invalid").unwrap();
    let socks = build("http://service.invalid", "socks5://me:hidden@proxy.invalid");
    assert_eq!(socks.is_ok(), cfg!(feature = "socks-proxy"));
    if let Err(error) = socks {
        let told = error.to_string();
        assert!(told.starts_with("the configuration holds a proxy") && !told.contains("hidden"), "{told}");
    }
}

/// An agent takes the proxy of the environment, and with it the hosts that are exempt.
#[test]
fn an_agent_does_not_need_a_proxy_for_an_exempt_host() {
    if let Some(url) = case() {
        let endpoint = Endpoint::builder().allow_plain_http().build(&url, Token::new("s3cret").unwrap()).unwrap();
        let built = Client::builder(endpoint).agent(Agent::new_with_defaults()).build();
        println!("built: {:?}", built.map(|_| ()).map_err(|error| error.to_string()));
        return;
    }
    let test = "own_agent::an_agent_does_not_need_a_proxy_for_an_exempt_host";
    for (exempt, is_usable) in [("service.invalid", true), ("other.invalid", cfg!(feature = "socks-proxy"))] {
        let variables = [("ALL_PROXY", "socks5://me:hidden@proxy.invalid"), ("NO_PROXY", exempt)];
        let printed = again(test, "http://service.invalid", &variables);
        let expected = if is_usable { "built: Ok(())" } else { "built: Err(\"the agent holds a proxy" };
        assert!(printed.contains(expected) && !printed.contains("hidden"), "{exempt}: {printed}");
    }
}

#[test]
fn errors_of_the_callers_agent_contain_no_token() {
    let wire = Wire::start(vec![ok("{}")]);
    let failure = send(wire.addr, |config| config.https_only(true)).unwrap_err();
    assert_eq!((failure.delivery, wire.requests().len()), (Delivery::NotSent, 0));
    assert!(!format!("{failure:?} {failure}").contains("s3cret"), "{failure:?}");
}

/// A configuration that would be passed over is an error.
#[test]
fn an_agent_is_not_configured_twice() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("t").unwrap()).unwrap();
    let builder = Client::builder(endpoint).agent(ureq::Agent::new_with_defaults());
    let error = builder.configure(|config| config.https_only(true)).build().unwrap_err();
    assert!(error.to_string().contains("configure the agent"), "{error}");
}

#[test]
fn a_url_that_is_not_whole_is_refused_before_it_is_sent() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("s3cret").unwrap()).unwrap();
    let failure = Client::new(endpoint).unwrap().send(http::Request::get("/x?s3cret").body(()).unwrap()).unwrap_err();
    assert_eq!((failure.delivery, failure.message.as_str()), (Delivery::NotSent, "the URL was not accepted"));
    assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
}
