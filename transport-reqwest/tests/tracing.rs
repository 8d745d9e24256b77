//! Spans tell of each operation and each request, counters of what happens, and nothing of a token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::{Request, Response};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use upstash_dlq_core::{DlqId, Endpoint, RetryPolicy, Selection, Token};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Server, ServerOptions, Service, sample};
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

/// What is logged meanwhile.
fn logged<F: Future>(future: F) -> (F::Output, String) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let output = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // Of our own lines: the library below may log what it wants, and is filtered by its target.
    for line in log.lines().filter(|line| line.contains("upstash_dlq")) {
        assert!(!line.contains("s3cret"), "{line}");
    }
    (output, log)
}

fn serve(runs: usize, faults: FaultPlan) -> (Server, Client) {
    let mut service = Service::new(Config::default().token("s3cret").faults(faults));
    sample::runs(runs, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = Endpoint::builder().token_in_query().build(&server.url(), Token::new("s3cret").unwrap()).unwrap();
    (server, Client::new(endpoint).unwrap())
}

#[test]
fn a_span_a_request_and_no_token() {
    let (_server, client) = serve(0, FaultPlan::none());
    let (absent, log) = logged(client.get(DlqId::new("nobody").unwrap()));
    assert!(absent.is_err());
    assert!(log.contains("/v2/workflows/dlq/nobody") && log.contains("404"), "{log}");
}

/// The sum of a counter.
fn sum(log: &str, counter: &str) -> u64 {
    let lines = log.lines().filter(|line| line.contains("DEBUG") && line.contains("upstash_dlq::metrics"));
    let fields = lines.flat_map(|line| line.split_whitespace());
    let prefix = format!("monotonic_counter.upstash_dlq_{counter}=");
    fields.filter_map(|field| field.strip_prefix(&prefix)).map(|value| value.parse::<u64>().unwrap()).sum()
}

#[test]
fn an_operation_has_a_span_and_is_counted() {
    let faults = FaultPlan::script(vec![None, Some(Fault::ServerError(503)), Some(Fault::LostResponse)]);
    let (server, client) = serve(60, faults);
    let policy = RetryPolicy::default().base(Duration::from_micros(10));
    let delete = client.delete(Selection::Everything).page_size(20).retry(policy);
    let (outcome, log) = logged(delete.run());
    let totals = outcome.into_result().unwrap().totals;
    let inside = "upstash_dlq.operation{operation=\"delete\"}:upstash_dlq.request{method=DELETE";
    let requests = log.lines().filter(|line| line.contains(inside) && line.contains("response received"));
    assert_eq!(requests.count() as u64, totals.requests - 1, "{log}");
    let counted = ["requests", "responses", "retries", "affected", "unknown", "unsent"].map(|name| sum(&log, name));
    let requests = server.with_service(|service| service.requests_total());
    assert_eq!(counted, [requests, requests - 1, 2, totals.affected, 1, 0], "{log}");
    assert!(log.lines().any(|line| line.contains("upstash_dlq_responses=1") && line.contains("status=503")), "{log}");
    let end = log.lines().find(|line| line.contains("the operation has ended")).unwrap();
    for field in [format!("affected={}", totals.affected), "retries=2".into(), "outcome=\"complete\"".into()] {
        assert!(end.contains(&field), "{end}");
    }
    // What failed before it was sent, and why an operation stopped short.
    let nobody = Client::new(Endpoint::new("http://127.0.0.1:1", Token::new("s3cret").unwrap()).unwrap()).unwrap();
    let (outcome, log) = logged(nobody.delete(Selection::Everything).retry(policy).run());
    assert!(outcome.halted.is_some() && sum(&log, "unsent") == 6 && sum(&log, "unknown") == 0, "{log}");
    let end = log.lines().find(|line| line.contains("the operation has ended")).unwrap();
    assert!(end.contains("gave up after 6 attempts"), "{end}");
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
