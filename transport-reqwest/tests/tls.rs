//! Which TLS and which roots a set of features gives: run with each set. `.ci/run` names them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![allow(dead_code, reason = "the server is shared with tests that need more of it")]

#[path = "../../transport-ureq/tests/it/suite/tls.rs"]
mod tls;

use reqwest::redirect::Policy;
use std::net::TcpListener;
use std::process::Command;
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_reqwest::{Client, ClientBuilder};

const TLS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));
/// The roots are those of the operating system; there `SSL_CERT_FILE` names them.
const SYSTEM_ROOTS: bool = TLS;

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.send(request)).map(|response| response.status().as_u16())
}

fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| tls::serve_one(stream.unwrap())));
    url
}

/// Ours, one from a builder of the caller's, and one around a ready client.
fn builders(url: &str) -> [ClientBuilder; 3] {
    let theirs = || reqwest::Client::builder().no_proxy().redirect(Policy::none());
    let builder = || Client::builder(endpoint(url));
    [builder(), builder().http(theirs()), builder().client(theirs().build().unwrap())]
}

#[test]
fn an_https_endpoint_needs_tls() {
    for builder in builders("https://service.invalid") {
        let client = builder.build();
        assert_eq!(client.is_ok(), TLS);
        if let Err(error) = client {
            assert!(error.to_string().contains("feature rustls or native-tls"), "{error}");
        }
    }
    for builder in builders("http://127.0.0.1:1") {
        builder.build().unwrap();
    }
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_request() {
    if TLS {
        for builder in builders(&server()) {
            let failure = ask_with(&builder.build().unwrap()).unwrap_err();
            assert_eq!(failure.delivery, Delivery::NotSent);
            assert!(failure.message.contains("certificate"), "{failure:?}");
        }
    }
}

#[test]
fn the_roots_of_the_operating_system_count_where_they_should() {
    const URL: &str = "UPSTASH_DLQ_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let result = ask(endpoint(&url));
        assert_eq!(result.is_ok(), SYSTEM_ROOTS, "{result:?}");
    } else if TLS {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["the_roots_of_the_operating_system_count_where_they_should", "--exact"]);
        let output = again.env(URL, server()).env("SSL_CERT_FILE", tls::CA_FILE).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
