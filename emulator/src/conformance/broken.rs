//! Checks of responses that are cut or make no sense: nobody knows what became of the request.

use crate::conformance::server::{End, Server};
use crate::conformance::trial::Trial;
use http::Method;
use std::io;

const TARGET: &str = "/v2/workflows/dlq/resume?count=100";

/// What comes of the response before the connection ends.
const CUTS: [(&str, &str); 10] = [
    ("before the response", ""),
    ("within the status line", "HTTP/1.1 20"),
    ("behind the status line", "HTTP/1.1 200 OK\r\n"),
    ("within a header", "HTTP/1.1 200 OK\r\ncontent-le"),
    ("before the end of the head", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"),
    ("before the body", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
    ("within the body", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"workflowRuns\":[]}"),
    ("within a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{\"workflowRuns\":[]}"),
    ("behind a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    ("behind an interim response", "HTTP/1.1 100 Continue\r\n\r\n"),
];

pub(super) fn cut_response(trial: &mut Trial<'_>) -> io::Result<()> {
    for method in [Method::GET, Method::POST] {
        for (place, response) in CUTS {
            for (end, what) in [(End::Close, "closed"), (End::Reset, "reset")] {
                let server = Server::leaving(response, end)?;
                let outcome = trial.transport(&server.url()).send(&method, TARGET);
                trial.expect_unknown(&format!("{method} {what} {place}"), &outcome);
            }
        }
        for (end, what) in [(End::Close, "closed"), (End::Reset, "reset")] {
            let server = Server::answering_first(end)?;
            let transport = trial.transport(&server.url());
            let done = format!("{method} answered, and again {method}, {what} before the response");
            trial.expect_response(&done, transport.send(&method, TARGET), 200, b"{}");
            trial.expect_unknown(&done, &transport.send(&method, TARGET));
        }
        let server = Server::leaving("HTTP/1.1 200 OK\r\n\r\n{\"workflowRuns\":[]}", End::Reset)?;
        let outcome = trial.transport(&server.url()).send(&method, TARGET);
        trial.expect_unknown(&format!("{method} reset within a body without a length"), &outcome);
    }
    Ok(())
}

/// A server's words are no proof of anything: some of these are what a library says where nothing was sent.
const GARBAGE: [(&str, &[u8]); 10] = [
    ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    ("words", b"connection refused: failed to lookup address information\r\n\r\n"),
    ("bytes", b"\x15\x03\x01\x00\x02\x02\x28\x00\x00\xff\r\n\r\n"),
    ("a status that is no number", b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\n{}"),
    ("a status of one digit", b"HTTP/1.1 2 OK\r\ncontent-length: 2\r\n\r\n{}"),
    ("a header line without a colon", b"HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 2\r\n\r\n{}"),
    ("two different lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
    ("a length that is no number", b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n{}"),
    ("a length below zero", b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}"),
    ("a chunk size that is no number", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
];

pub(super) fn garbage_response(trial: &mut Trial<'_>) -> io::Result<()> {
    for (what, response) in GARBAGE {
        let server = Server::leaving(response, End::Close)?;
        let outcome = trial.transport(&server.url()).send(&Method::POST, TARGET);
        trial.expect_unknown(&format!("a POST answered with {what}"), &outcome);
    }
    Ok(())
}
