//! HTTP of the user's: a middleware around ours, a mock, and a transport of a few lines.

use crate::driver::{Ureq, Wrapped};
use crate::suite;
use http::{Request, Response};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use upstash_dlq_core::client::Transport;
use upstash_dlq_core::{Delivery, Endpoint, Selection, Token, TransportFailure};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

suite!(Ureq<Wrapped>:
    golden_wire_bytes_of_every_operation_on_one_run nothing_that_starts_runs_is_repeated_by_itself
    each_phase_and_its_delivery no_token_is_shown
);

/// A middleware that counts the requests.
#[derive(Clone)]
pub(crate) struct Counting<T> {
    inner: T,
    sent: Arc<AtomicU64>,
}

impl<T> Counting<T> {
    pub(crate) fn around(inner: T) -> Self {
        Self { inner, sent: Arc::default() }
    }
}

impl<T: Transport> Transport for Counting<T> {
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.inner.send(request)
    }
}

fn emulator(runs: usize) -> (Server, Endpoint) {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
    (server, endpoint)
}

#[test]
fn a_middleware_sees_each_request_of_all_lanes_once() {
    let (server, endpoint) = emulator(2_000);
    let ours = Client::builder(endpoint.clone()).build_transport().unwrap();
    let counting = Counting::around(ours);
    let client = Client::with_transport(endpoint, counting.clone());
    let outcome = client.delete(Selection::Everything).lanes(8.try_into().unwrap()).run();
    assert!(outcome.verified && outcome.totals.affected == 2_000, "{outcome:?}");
    let sent = counting.sent.load(Ordering::SeqCst);
    assert_eq!((sent, sent), (outcome.totals.requests, server.with_service(|s| s.requests_total())));
}

#[test]
fn a_mock_sees_each_attempt_once() {
    let endpoint = Endpoint::new("https://service.invalid", Token::new("s3cret").unwrap()).unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&sent);
    let mock = move |request: Request<()>| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Delivery::NotSent.into()),
        1 => Err(Delivery::Unknown.into()),
        sent => {
            assert_eq!(request.headers()["authorization"], "Bearer s3cret");
            let body = if sent == 2 { "{\"deleted\":2}" } else { "{\"deleted\":0}" };
            Ok(Response::new(body.into()))
        }
    };
    let client = Client::with_transport(endpoint, mock);
    assert!(!format!("{client:?}").contains("s3cret"), "{client:?}");
    let outcome = client.delete(Selection::Everything).retry(suite::fast(3)).run();
    assert!(outcome.verified && outcome.totals.unconfirmed == 1, "{outcome:?}");
    // Of a request that was not sent, nothing is counted but the attempt.
    assert_eq!((outcome.totals.affected, outcome.totals.requests, sent.load(Ordering::SeqCst)), (2, 3, 4));
}

/// A connection for each request, and no bounds: not for real use.
fn over_tcp(request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
    let failed =
        |delivery| move |error: std::io::Error| TransportFailure::from(delivery).with_message(error.to_string());
    let (uri, unknown) = (request.uri(), failed(Delivery::Unknown));
    let authority = uri.authority().unwrap().as_str();
    let mut stream = TcpStream::connect(authority).map_err(failed(Delivery::NotSent))?;
    let target = uri.path_and_query().unwrap();
    let mut head = format!("{} {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n", request.method());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    head.push_str("\r\n");
    let mut received = Vec::new();
    stream.write_all(head.as_bytes()).and_then(|()| stream.read_to_end(&mut received)).map_err(unknown)?;
    let body = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let status = std::str::from_utf8(&received[9..12]).unwrap().parse::<u16>().unwrap();
    Ok(Response::builder().status(status).body(received.split_off(body)).unwrap())
}

#[test]
fn a_transport_of_a_few_lines_deletes_on_several_lanes() {
    let (server, endpoint) = emulator(1_000);
    let client = Client::with_transport(endpoint, over_tcp);
    let outcome = client.delete(Selection::Everything).lanes(4).run();
    assert!(outcome.verified && outcome.totals.affected == 1_000, "{outcome:?}");
    assert_eq!(server.with_service(|s| (s.len(), s.requests_total())), (0, outcome.totals.requests));
}
