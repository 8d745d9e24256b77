//! Checks of responses that are sound: each is returned as it came, whatever its status and however its end is marked.

use crate::conformance::server::{End, Server};
use crate::conformance::trial::Trial;
use http::Method;
use std::io;

/// Not UTF-8, with line ends and zeros.
const BODY: &[u8] = b"\xff\xfe\x00{\"a\":\r\n\r\n0\r\n\r\n\xc3}";

const STATUSES: [u16; 16] = [200, 201, 202, 400, 401, 404, 408, 409, 412, 413, 421, 425, 429, 500, 502, 503];

pub(super) fn every_status(trial: &mut Trial<'_>) -> io::Result<()> {
    for status in STATUSES {
        let mut response = format!(
            "HTTP/1.1 {status} Something else\r\nx-many: one\r\nContent-Type: application/json\r\nx-many: two, three\r\n\
             retry-after: 7\r\nwww-authenticate: Bearer\r\ncontent-length: {}\r\n\r\n",
            BODY.len()
        )
        .into_bytes();
        response.extend_from_slice(BODY);
        answered(trial, status, response, BODY)?;
    }
    let empty = b"HTTP/1.1 204 No Content\r\nx-many: one\r\nx-many: two, three\r\nretry-after: 7\r\n\
        content-type: application/json\r\n\r\n";
    answered(trial, 204, empty.to_vec(), b"")
}

fn answered(trial: &mut Trial<'_>, status: u16, response: Vec<u8>, body: &[u8]) -> io::Result<()> {
    let server = Server::answering(vec![response])?;
    let done = format!("a request answered with {status}");
    let outcome = trial.transport(&server.url()).send(&Method::DELETE, "/v2/workflows/dlq?count=100");
    let Some(response) = trial.expect_response(&done, outcome, status, body) else { return Ok(()) };
    for (name, expected) in
        [("x-many", &["one", "two, three"][..]), ("retry-after", &["7"]), ("content-type", &["application/json"])]
    {
        let values: Vec<_> = response.headers().get_all(name).iter().collect();
        trial.expect(
            values == expected,
            &done,
            &format!("`{name}` with the values {expected:?}"),
            format!("{values:?}"),
        );
    }
    Ok(())
}

pub(super) fn interim_responses(trial: &mut Trial<'_>) -> io::Result<()> {
    let last = "HTTP/1.1 200 OK\r\nx-last: 1\r\ncontent-length: 2\r\n\r\n{}";
    for (name, interim) in [
        ("100", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("102", "HTTP/1.1 102 Processing\r\n\r\n"),
        ("103 with headers", "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n"),
        ("100 and two 103", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 A\r\nx-a: b\r\n\r\nHTTP/1.1 103 B\r\n\r\n"),
    ] {
        let done = format!("a POST answered with {name}, then 200");
        let server = Server::answering(vec![format!("{interim}{last}").into_bytes()])?;
        let outcome = trial.transport(&server.url()).send(&Method::POST, "/v2/workflows/dlq/resume?count=100");
        if let Some(response) = trial.expect_response(&done, outcome, 200, b"{}") {
            let kept = response.headers().contains_key("x-last") && !response.headers().contains_key("link");
            trial.expect(kept, &done, "the headers of the last response alone", format!("{:?}", response.headers()));
        }
        trial.expect_requests(&done, &server.finish(), 1);
    }
    Ok(())
}

pub(super) fn body_framing(trial: &mut Trial<'_>) -> io::Result<()> {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (name, head, body) in [
        ("a chunked body", chunked, "3\r\n{\"a\r\n2\r\n\":\r\n2\r\n1}\r\n0\r\n\r\n"),
        (
            "a chunked body with extensions and trailers",
            chunked,
            "03;x=y\r\n{\"a\r\n004\r\n\":1}\r\n0\r\nx-sum: 1\r\n\r\n",
        ),
        ("a chunk size in capitals", chunked, "A\r\n{\"a\":1}   \r\n0\r\n\r\n"),
        ("a body up to the end of the connection", "HTTP/1.1 200 OK\r\n\r\n", "{\"a\":1}"),
        ("a body up to the end, HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", "{\"a\":1}"),
        (
            "a length and `connection: close`",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\n",
            "{\"a\":1}",
        ),
    ] {
        let whole = if body.starts_with("A\r\n") { "{\"a\":1}   " } else { "{\"a\":1}" };
        let server = Server::leaving(format!("{head}{body}"), End::Close)?;
        let outcome = trial.transport(&server.url()).send(&Method::GET, "/v2/workflows/dlq");
        trial.expect_response(name, outcome, 200, whole.as_bytes());

        // The same, a byte a packet.
        let response = format!("{head}{body}").into_bytes();
        let server = Server::start(move |conn| {
            if conn.request().is_some() {
                for byte in &response {
                    conn.write(&[*byte]);
                }
            }
        })?;
        let outcome = trial.transport(&server.url()).send(&Method::GET, "/v2/workflows/dlq");
        trial.expect_response(&format!("{name}, byte by byte"), outcome, 200, whole.as_bytes());
    }
    // What comes behind a body belongs to the next response.
    let server = Server::answering(vec![
        format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n").into_bytes(),
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno!".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ])?;
    let transport = trial.transport(&server.url());
    for (status, body) in [(200, &b"{}"[..]), (404, b"no!"), (200, b"")] {
        let outcome = transport.send(&Method::GET, "/v2/workflows/dlq");
        trial.expect_response("three requests, one after the other", outcome, status, body);
    }
    Ok(())
}
