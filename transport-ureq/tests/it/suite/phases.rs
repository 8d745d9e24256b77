//! What went wrong, when, and whether the request may have been carried out: one table for every transport.

use super::{Driver, LONG, Setup, endpoint, tls};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use upstash_dlq_core::{BulkResume, Delivery, Endpoint, Operation, Selection, Step, Token};

/// Long enough for a loopback connection, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Nobody listens here. The port is a client's, which keeps it to the end of the process: one that was only free a moment ago
/// could be the next listener's.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = client.local_addr().unwrap();
    std::mem::forget((listener, client));
    address
}

/// Somebody listens, and has no room for one more: further connections are never made. Holds what fills it.
fn full() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, SHORT) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the queue of a listener has no end here");
    }
    (address, listener, waiting)
}

/// Closes so that the other side sees a reset: with something unread.
fn reset(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
}

fn hold(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A proxy that does what the name of the host says.
fn proxy(mut stream: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let host = head.strip_prefix("CONNECT ").unwrap().split(['.', ':']).next().unwrap();
    let status = match host {
        "p407" => "407 Proxy Authentication Required",
        "p502" => "502 Bad Gateway",
        "closes" => return,
        "silent" => return hold(stream),
        _ => "200 OK",
    };
    write!(stream, "HTTP/1.1 {status}\r\n\r\n").unwrap();
    match host {
        "plain" => plain(stream),
        "behind" => {
            let mut stream = tls::accept(stream);
            tls::read_head(&mut stream);
        }
        _ => {}
    }
}

/// Responds to a greeting in TLS with HTTP, as a plain port does.
fn plain(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 16_384]);
    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    hold(stream);
}

/// After a whole request, these bytes and the end.
fn after_request(bytes: &'static [u8]) -> SocketAddr {
    listen(move |mut stream| {
        if tls::read_head(&mut stream) {
            let _ = stream.write_all(bytes);
        }
    })
}

/// To a host that need not be this machine.
fn anywhere(url: &str) -> Endpoint {
    Endpoint::builder().allow_plain_http().build(url, Token::new("s3cret").unwrap()).unwrap()
}

/// What is sent, how, and what has to be said of it.
type Row = (String, Endpoint, Setup, Delivery);

/// Sends it, and returns what is wrong. Most of the time it waits, so several are sent at once.
fn send<D: Driver>((what, endpoint, setup, expected): &Row) -> Option<String> {
    // A POST that starts runs: what all this is for.
    let mut bulk = BulkResume::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = bulk.poll(std::time::Duration::ZERO) else { panic!() };
    let start = Instant::now();
    let result = D::send_with(endpoint, setup, request);
    // The shorter of the two counts, and neither outcome would show it.
    if setup.timeout.min(setup.connect_timeout) < LONG && start.elapsed() > LONG / 2 {
        return Some(format!("{what}: took {:?}", start.elapsed()));
    }
    match result {
        Ok(response) => Some(format!("{what}: {response:?}")),
        Err(failure) if failure.delivery != *expected => Some(format!("{what}: {failure:?}")),
        Err(failure) if failure.message.contains("s3cret") => Some(format!("{what}, with a token: {failure:?}")),
        Err(_) => None,
    }
}

pub(crate) fn each_phase_and_its_delivery<D: Driver>() {
    let mut rows: Vec<Row> = Vec::new();
    let mut before = |what: &str, endpoint: &Endpoint, setup: &Setup| {
        rows.push((what.into(), endpoint.clone(), setup.clone(), Delivery::NotSent));
    };
    let usual = Setup { connect_timeout: LONG, ..Setup::default() };
    let trusting = Setup { trusting: true, ..usual.clone() };
    let short_connect = Setup { connect_timeout: SHORT, ..trusting.clone() };
    let short_whole = Setup { timeout: SHORT, ..trusting.clone() };

    // Too long a label for a name: no server is asked for it.
    before("lookup", &anywhere(&format!("http://{}.invalid", "a".repeat(64))), &usual);
    before("route", &anywhere("http://255.255.255.255:9"), &usual);
    before("refused", &endpoint(&format!("http://{}", closed())), &usual);
    let (address, _listener, _waiting) = full();
    before("connect timeout", &endpoint(&format!("http://{address}")), &short_connect);
    before("whole timeout while connecting", &endpoint(&format!("http://{address}")), &short_whole);

    let through = |proxy: SocketAddr, setup: &Setup| Setup { proxy: Some(format!("http://{proxy}")), ..setup.clone() };
    let proxy = listen(proxy);
    for host in ["p407", "p502", "closes", "plain", "ends"] {
        before(host, &anywhere(&format!("https://{host}.invalid")), &through(proxy, &trusting));
    }
    before("proxy silent", &anywhere("https://silent.invalid"), &through(proxy, &short_connect));
    before("proxy silent, whole", &anywhere("https://silent.invalid"), &through(proxy, &short_whole));
    before("proxy refused", &anywhere("https://p200.invalid"), &through(closed(), &trusting));
    let nowhere = Setup { proxy: Some(format!("http://{}.invalid:1", "a".repeat(64))), ..trusting.clone() };
    before("proxy not found", &anywhere("https://p200.invalid"), &nowhere);

    let https = |address: SocketAddr| endpoint(&format!("https://{address}"));
    before("certificate", &https(listen(tls::serve_one)), &usual);
    before("TLS to a plain port", &https(listen(plain)), &trusting);
    before("handshake reset", &https(listen(reset)), &trusting);
    before("handshake ended", &https(listen(drop)), &trusting);
    before("handshake silent", &https(listen(hold)), &short_connect);
    before("handshake silent, whole", &https(listen(hold)), &short_whole);

    let mut after = |what: &str, endpoint: &Endpoint, setup: &Setup| {
        rows.push((what.into(), endpoint.clone(), setup.clone(), Delivery::Unknown));
    };
    // Even a busy machine has connected by then: before, it would not count as sent.
    let ample = Setup { timeout: Duration::from_secs(2), ..trusting.clone() };
    let http = |address: SocketAddr| endpoint(&format!("http://{address}"));
    after("ended", &http(after_request(b"")), &usual);
    after("reset", &http(listen(reset)), &usual);
    after("silent", &http(listen(hold)), &ample);
    after("half a head", &http(after_request(b"HTTP/1.1 200 OK\r\ncontent-")), &usual);
    after("not HTTP", &http(after_request(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")), &usual);
    // A server's words are no proof of anything.
    let words = b"invalid peer certificate: connection refused 200\r\n\r\n";
    after("words", &http(after_request(words)), &usual);
    after("half a body", &http(after_request(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")), &usual);
    let ends = listen(|stream| {
        tls::read_head(&mut tls::accept(stream));
    });
    after("TLS ended", &https(ends), &trusting);
    after("TLS silent", &https(listen(|stream| hold_tls(tls::accept(stream)))), &ample);
    after("ended behind a proxy", &anywhere("https://behind.invalid"), &through(proxy, &trusting));

    let left = Mutex::new(rows.iter());
    let wrong = Mutex::new(Vec::new());
    let send_all = || {
        while let Some(row) = { left.lock().unwrap().next() } {
            let found = send::<D>(row);
            wrong.lock().unwrap().extend(found);
        }
    };
    std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(send_all))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn hold_tls(mut stream: tls::TlsStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}
