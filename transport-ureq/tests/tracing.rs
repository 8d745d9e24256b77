//! Spans tell of each request, and never of a token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::{Request, Response};
use std::io::Write;
use std::sync::{Arc, Mutex};
use upstash_dlq_core::{DlqId, Endpoint, Selection, Token};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

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
    let config = Config::default().token("s3cret");
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
    let absent = Client::new(endpoint).unwrap().get(DlqId::new("nobody").unwrap());
    assert!(absent.is_err());
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v2/workflows/dlq/nobody") && log.contains("404"), "{log}");
    // Of our own lines: the library below may log what it wants, and is filtered by its target.
    for line in log.lines().filter(|line| line.contains("upstash_dlq")) {
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn the_threads_of_many_lanes_are_in_the_span_of_their_caller() {
    let mut service = Service::new(Config::default());
    sample::runs(2_000, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Of this thread alone.
    let outcome = tracing::subscriber::with_default(subscriber, || {
        let _nightly = tracing::info_span!("nightly_job").entered();
        Client::new(endpoint).unwrap().delete(Selection::Everything).lanes(8).run()
    });
    assert!(outcome.verified && outcome.totals.affected == 2_000, "{outcome:?}");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let responses: Vec<&str> = log.lines().filter(|line| line.contains("response received")).collect();
    assert_eq!(responses.len() as u64, server.with_service(|s| s.requests_total()), "{log}");
    let within = "nightly_job:upstash_dlq.operation{operation=\"delete\"}:upstash_dlq.request{method=DELETE";
    assert!(responses.iter().all(|line| line.contains(within)), "{log}");
    // Each counter adds up.
    let sum = |counter: &str| -> u64 {
        let counter = format!("upstash_dlq::metrics: monotonic_counter.upstash_dlq_{counter}=");
        let counts = log.lines().filter_map(|line| line.split_once(&counter)?.1.split(' ').next()?.parse::<u64>().ok());
        counts.sum()
    };
    let totals = outcome.totals;
    assert_eq!((sum("affected"), sum("requests"), sum("responses")), (2_000, totals.requests, totals.requests));
    assert!(log.contains("the operation has ended affected=2000"), "{log}");
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
    let mock = |_: Request<()>| Ok(Response::new(br#"{"dlqId":"somebody"}"#.to_vec()));
    Client::with_transport(endpoint, mock).get(DlqId::new("somebody").unwrap()).unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/v2/workflows/dlq/somebody") && log.contains("status=200"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

/// What is logged meanwhile by this thread.
fn logged<T>(work: impl FnOnce() -> T) -> (T, String) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let output = tracing::subscriber::with_default(subscriber, work);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (output, log)
}

/// One operation has one span and one end, however it is driven, and the end says how.
#[test]
fn an_operation_ends_once() {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(50, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
    let client = Client::new(endpoint).unwrap();
    let ends = |log: &str| log.lines().filter(|line| line.contains("the operation has ended")).count();
    let (pages, log) = logged(|| client.delete(Selection::Everything).max(30).page_size(10).pages().count());
    assert_eq!((pages, ends(&log)), (3, 1), "{log}");
    assert!(log.contains("outcome=\"complete\""), "{log}");
    let full = |_: &upstash_dlq_core::Checkpoint| Err(std::io::Error::other("disk full"));
    let (_, log) = logged(|| drop(client.delete(Selection::Everything).checkpoint(full).run()));
    assert!(ends(&log) == 1 && log.contains("outcome=\"disk full\""), "{log}");
}

#[test]
fn what_is_sent_again_is_said() {
    let lost = FaultPlan::script(vec![Some(Fault::ServerError(502))]);
    let server = Server::start(Service::new(Config::default().faults(lost)), ServerOptions::default()).unwrap();
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
    let client = Client::new(endpoint).unwrap();
    let (outcome, log) = logged(|| client.delete(Selection::Everything).run());
    assert_eq!((outcome.halted, outcome.totals.retries), (None, 1));
    assert_eq!(log.matches("the request will be sent again").count(), 1, "{log}");
}

/// The errors of a transport of the application's own are not trusted with the token.
#[test]
fn no_token_of_a_foreign_error() {
    let token = Token::new("s3cret").unwrap();
    let endpoint = Endpoint::builder().token_in_query().build("https://h.invalid", token).unwrap();
    let failing = |request: http::Request<()>| {
        Err(upstash_dlq_core::TransportFailure::unknown(format!("error for {}", request.uri())))
    };
    let client = Client::with_transport(endpoint, failing);
    let client = client.with_retry(upstash_dlq_core::RetryPolicy::default().max_attempts(1.try_into().unwrap()));
    let (result, log) = logged(|| client.get(DlqId::new("nobody").unwrap()));
    assert!(log.contains("no response") && !log.contains("s3cret"), "{log}");
    assert!(!format!("{result:?}").contains("s3cret"));
}
