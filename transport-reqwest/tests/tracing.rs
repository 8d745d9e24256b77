//! Spans tell of each request, and never of a token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::{Request, Response};
use std::io::Write;
use std::sync::{Arc, Mutex};
use upstash_dlq_core::{DlqId, Endpoint, Token};
use upstash_dlq_emulator::{Config, Server, ServerOptions, Service};
use upstash_dlq_reqwest::Client;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_span_a_request_and_no_token() {
    let config = Config { token: "s3cret".into(), ..Config::default() };
    let server = Server::start(Service::new(config), ServerOptions::default()).unwrap();
    let endpoint = Endpoint::builder().token_in_query().build(&server.url(), Token::new("s3cret").unwrap()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let absent = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(Client::new(endpoint).unwrap().get(DlqId::new("nobody").unwrap()));
    assert!(absent.is_err());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v2/workflows/dlq/nobody") && log.contains("404"), "{log}");
    // Of our own lines: the library below may log what it wants, and is filtered by its target.
    for line in log.lines().filter(|line| line.contains("upstash_dlq")) {
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn a_transport_of_the_callers_is_traced_too() {
    let endpoint = Endpoint::new("https://service.invalid", Token::new("s3cret").unwrap()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mock = |_: Request<()>| async { Ok(Response::new(br#"{"dlqId":"somebody"}"#.to_vec())) };
    let client = Client::with_transport(endpoint, mock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.get(DlqId::new("somebody").unwrap())).unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v2/workflows/dlq/somebody") && log.contains("status=200"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}
