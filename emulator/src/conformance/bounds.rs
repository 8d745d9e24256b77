//! Checks of how much a transport takes, and how long it waits: a server decides neither.

use crate::conformance::server::{Conn, End, Server};
use crate::conformance::setup::Failure;
use crate::conformance::trial::{Outcome, Tested, Trial};
use http::Method;
use std::io;
use std::time::{Duration, Instant};

const TARGET: &str = "/v2/workflows/dlq?count=100";

/// What the systems on both sides may hold for a client that has stopped reading, in bytes, and far more.
const IN_FLIGHT: usize = 32 * 1024 * 1024;

/// How many timeouts a request may take: a busy machine is no fault of the transport.
const PATIENCE: u32 = 10;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

pub(super) fn too_large(trial: &mut Trial<'_>) -> io::Result<()> {
    let max = trial.bounds.max_body;
    for (what, response) in sized(max + 1) {
        let server = Server::leaving(response, End::Close)?;
        let outcome = trial.transport(&server.url()).send(&Method::GET, TARGET);
        trial.expect_unknown(&format!("{what} of {} bytes, one more than may be", max + 1), &outcome);
    }
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let most = max.saturating_mul(2).saturating_add(IN_FLIGHT);
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX / 4);
    for (what, head, piece) in [
        ("a body that says it has exabytes", huge.as_str(), vec![b' '; 0x10000]),
        ("a chunked body without an end", CHUNKED, chunk),
        ("a body without a length or an end", "HTTP/1.1 200 OK\r\n\r\n", vec![b' '; 0x10000]),
        ("a head without an end", "HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".repeat(4096)),
        ("a header without an end", "HTTP/1.1 200 OK\r\nx-more: ", vec![b'a'; 0x10000]),
    ] {
        let head = head.to_owned();
        let server = Server::start(move |conn| {
            if conn.request().is_some() && conn.write(head.as_bytes()) {
                conn.pour(&piece, most);
            }
        })?;
        let outcome = trial.transport(&server.url()).send(&Method::GET, TARGET);
        let sent = server.sent();
        trial.expect_unknown(what, &outcome);
        let expected = format!("the transport to stop reading soon after {max} bytes");
        trial.expect(sent < most, what, &expected, format!("{sent} bytes read"));
    }
    Ok(())
}

pub(super) fn largest_body(trial: &mut Trial<'_>) -> io::Result<()> {
    let max = trial.bounds.max_body;
    for (what, response) in sized(max) {
        let server = Server::leaving(response, End::Close)?;
        let outcome = trial.transport(&server.url()).send(&Method::GET, TARGET);
        trial.expect_response(&format!("{what} of exactly {max} bytes"), outcome, 200, &vec![b' '; max]);
    }
    Ok(())
}

/// Responses with a body of this size, one for each way to mark its end.
fn sized(size: usize) -> [(&'static str, Vec<u8>); 3] {
    let body = vec![b' '; size];
    let length = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
    let chunked = format!("{CHUNKED}{size:x}\r\n");
    [
        ("a body with a length", [length.as_bytes(), &body].concat()),
        ("a chunked body", [chunked.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()),
        ("a body up to the end of the connection", [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &body].concat()),
    ]
}

pub(super) fn silence(trial: &mut Trial<'_>) -> io::Result<()> {
    let cases = [("silence after the request", ""), ("silence after the head of the response", HEAD)];
    wait(trial, cases, |conn, time| conn.hold(time))
}

pub(super) fn whole_timeout(trial: &mut Trial<'_>) -> io::Result<()> {
    let cases = [
        ("a header with a byte every 50 ms for ever", "HTTP/1.1 200 OK\r\nx-slow: "),
        ("a body with a byte every 50 ms for ever", HEAD),
    ];
    wait(trial, cases, |conn, time| conn.trickle(b'a', Duration::from_millis(50), time))
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n";

/// Sends to servers that write so much and then only go on somehow. All wait at the same time.
fn wait(trial: &mut Trial<'_>, cases: [(&str, &'static str); 2], go_on: fn(&mut Conn, Duration)) -> io::Result<()> {
    let mut timeout = trial.bounds.timeout;
    let mut left = cases.to_vec();
    // On a machine that is too busy to connect in time, the case proves nothing: once more, with more time.
    for attempt in 1..=3 {
        let most = timeout.saturating_mul(PATIENCE);
        let mut waiting = Vec::new();
        for (what, start) in left.drain(..) {
            let server = Server::start(move |conn| {
                if conn.request().is_some() && conn.write(start.as_bytes()) {
                    go_on(conn, most.saturating_add(timeout));
                }
            })?;
            let transport = trial.transport_within(&server.url(), timeout);
            waiting.push((what, start, server, transport));
        }
        let outcomes = at_the_same_time(waiting.iter().map(|(.., transport)| transport).collect())?;
        for ((what, start, server, _), (outcome, elapsed)) in waiting.into_iter().zip(outcomes) {
            let sent = !server.finish().is_empty();
            if !sent && attempt < 3 && matches!(outcome, Outcome::Failure(Failure::NotSent(_))) {
                left.push((what, start));
                continue;
            }
            let done = format!("{what}, with a timeout of {timeout:?}");
            trial.expect_unknown(&done, &outcome);
            trial.expect(
                elapsed < most,
                &done,
                &format!("an end in less than {most:?}"),
                format!("one after {elapsed:?}"),
            );
        }
        timeout = timeout.saturating_mul(2);
    }
    Ok(())
}

/// Sends with each transport on a thread of its own, and says how long that took.
fn at_the_same_time(transports: Vec<&Tested<'_>>) -> io::Result<Vec<(Outcome, Duration)>> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for transport in transports {
            let work = move || {
                let start = Instant::now();
                (transport.send(&Method::POST, TARGET), start.elapsed())
            };
            threads.push(std::thread::Builder::new().spawn_scoped(scope, work)?);
        }
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a thread panicked")));
        joined.collect()
    })
}
