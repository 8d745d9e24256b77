//! Which TLS and which roots a set of features gives: run with each set. `.ci/run` names them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![allow(dead_code, reason = "the server is shared with tests that need more of it")]

#[path = "it/suite/tls.rs"]
mod tls;

use std::net::TcpListener;
use std::process::Command;
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_ureq::Client;
use ureq::Agent;

const TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));
/// Whether the roots are those of the operating system; there `SSL_CERT_FILE` names them.
const SYSTEM_ROOTS: bool =
    cfg!(any(feature = "platform-verifier", all(feature = "native-tls", not(feature = "rustls"))));

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Token::new("s3cret").unwrap()).unwrap()
}

fn ask(endpoint: Endpoint) -> Result<u16, TransportFailure> {
    ask_with(&Client::new(endpoint).unwrap())
}

fn ask_with(client: &Client) -> Result<u16, TransportFailure> {
    let endpoint = client.endpoint();
    let mut operation = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = operation.poll(std::time::Duration::ZERO) else { panic!() };
    client.send(request).map(|response| response.status().as_u16())
}

fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| tls::serve_one(stream.unwrap())));
    url
}

#[test]
fn an_https_endpoint_needs_tls() {
    let client = Client::new(endpoint("https://service.invalid"));
    assert_eq!(client.is_ok(), TLS);
    if let Err(error) = client {
        assert!(error.to_string().contains("feature rustls, platform-verifier or native-tls"), "{error}");
    }
    Client::new(endpoint("http://127.0.0.1:1")).unwrap();
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_request() {
    if TLS {
        let failure = ask(endpoint(&server())).unwrap_err();
        assert_eq!(failure.delivery, Delivery::NotSent);
        assert!(failure.message.contains("certificate"), "{failure:?}");
    }
}

#[test]
fn an_agent_without_tls_sends_nothing() {
    // With TLS, the next module has its cases.
    if !TLS {
        let client = Client::builder(endpoint(&server())).agent(Agent::new_with_defaults()).build().unwrap();
        let failure = ask_with(&client).unwrap_err();
        assert_eq!(failure.delivery, Delivery::NotSent);
        assert!(failure.message.contains("feature"), "{failure:?}");
    }
}

#[test]
fn the_roots_of_the_operating_system_count_where_they_should_and_are_read_once() {
    const URL: &str = "UPSTASH_DLQ_TEST_URL";
    const ROOTS: &str = "SSL_CERT_FILE";
    if let Ok(url) = std::env::var(URL) {
        let client = Client::new(endpoint(&url)).unwrap();
        let result = ask_with(&client);
        assert_eq!(result.is_ok(), SYSTEM_ROOTS, "{result:?}");
        // Another connection: the server closes each.
        std::fs::remove_file(std::env::var(ROOTS).unwrap()).unwrap();
        let result = ask_with(&client);
        assert_eq!(result.is_ok(), SYSTEM_ROOTS, "{result:?}");
    } else if TLS {
        let roots = std::env::temp_dir().join(format!("upstash-dlq-roots-{}.pem", std::process::id()));
        std::fs::write(&roots, tls::CA).unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["the_roots_of_the_operating_system_count_where_they_should_and_are_read_once", "--exact"]);
        let output = again.env(URL, server()).env(ROOTS, &roots).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!roots.exists(), "the test did not run again");
    }
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod agents {
    use super::{SYSTEM_ROOTS, ask_with, endpoint, server};
    use upstash_dlq_core::Delivery;
    use upstash_dlq_ureq::Client;
    use ureq::Agent;
    use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

    const PROVIDER: TlsProvider = if cfg!(feature = "rustls") { TlsProvider::Rustls } else { TlsProvider::NativeTls };

    fn tls_agent(provider: TlsProvider, roots: RootCerts) -> Agent {
        let tls = TlsConfig::builder().provider(provider).root_certs(roots).build();
        Agent::config_builder().proxy(None).tls_config(tls).build().into()
    }

    #[test]
    fn a_server_that_nobody_vouches_for_gets_no_request_of_an_agent() {
        let agent = tls_agent(PROVIDER, if SYSTEM_ROOTS { RootCerts::PlatformVerifier } else { RootCerts::WebPki });
        let client = Client::builder(endpoint(&server())).agent(agent).build().unwrap();
        let failure = ask_with(&client).unwrap_err();
        assert_eq!(failure.delivery, Delivery::NotSent);
        assert!(failure.message.contains("certificate"), "{failure:?}");
    }

    #[test]
    fn tls_that_is_not_enabled_is_refused_where_the_library_would_panic() {
        let verifier = |provider| (provider, RootCerts::PlatformVerifier);
        let cases = [
            (verifier(TlsProvider::Rustls), cfg!(feature = "platform-verifier"), "platform-verifier"),
            (verifier(TlsProvider::NativeTls), cfg!(feature = "native-tls"), "native-tls"),
            ((TlsProvider::Rustls, RootCerts::WebPki), cfg!(feature = "rustls"), "rustls"),
        ];
        for ((provider, roots), enabled, feature) in cases {
            let agent = tls_agent(provider, roots);
            let tls = agent.config().tls_config().clone();
            let builder = |url| Client::builder(endpoint(url));
            for url in ["https://service.invalid", "http://127.0.0.1:1"] {
                let by_agent = builder(url).agent(agent.clone()).build();
                let tls = tls.clone();
                let configured = builder(url).configure(|config| config.proxy(None).tls_config(tls)).build();
                let https = url.starts_with("https");
                assert_eq!(by_agent.is_ok(), enabled || !https, "{url} {feature}");
                assert_eq!(configured.is_ok(), enabled || !https, "{url} {feature}");
                for error in [by_agent, configured].into_iter().filter_map(Result::err) {
                    assert!(error.to_string().contains("enable the feature"), "{error}");
                    assert!(error.to_string().contains(feature) || feature == "platform-verifier", "{error}");
                }
            }
        }
    }
}
