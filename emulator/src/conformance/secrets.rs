//! A check of what people read: no failure shows the token, wherever it stood.

use crate::conformance::server::{End, Server};
use crate::conformance::trial::{Outcome, PART_OF_TOKEN, TOKEN, Tested, Trial, request};
use crate::conformance::unsent::Refusing;
use http::{HeaderValue, Method};
use std::io;

/// The token as a query holds it.
const IN_QUERY: &str = "/v2/workflows/dlq?qstash_token=c0nf%2Fs3cr3t%2Btoken%3D&count=100";

pub(super) fn no_token(trial: &mut Trial<'_>) -> io::Result<()> {
    let refusing = Refusing::start()?;
    shows_none(trial, "a refused connection", |trial| Ok(trial.transport(&refusing.url()?)))?;
    let nowhere = format!("http://{}.invalid", "a".repeat(64));
    shows_none(trial, "a host name that does not exist", |trial| Ok(trial.transport(&nowhere)))?;

    let echo = |text: &str| text.replace('*', TOKEN).into_bytes();
    for (what, response, end) in [
        ("a lost response", Vec::new(), End::Close),
        ("a reset", Vec::new(), End::Reset),
        ("a status line with the token", echo("HTTP/1.1 2OO * Bearer *\r\n\r\n"), End::Close),
        ("only the token", echo("*\r\n\r\n"), End::Close),
        ("a header line with the token and no colon", echo("HTTP/1.1 200 OK\r\nBearer *\r\n\r\n"), End::Close),
        ("a length that is the token", echo("HTTP/1.1 200 OK\r\ncontent-length: *\r\n\r\n"), End::Close),
        (
            "a chunk size that is the token",
            echo("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n*\r\n"),
            End::Close,
        ),
        ("a cut body with the token", echo("HTTP/1.1 401 No\r\ncontent-length: 999\r\n\r\nBearer *"), End::Close),
        (
            "a redirect to the token",
            echo("HTTP/1.1 302 Go\r\nlocation: /?a=*\r\ncontent-length: 9\r\n\r\n"),
            End::Close,
        ),
    ] {
        let server = Server::leaving(response, end)?;
        shows_none(trial, what, |trial| Ok(trial.transport(&server.url())))?;
    }
    let max = trial.bounds.max_body;
    let large =
        [format!("HTTP/1.1 401 No\r\ncontent-length: {}\r\n\r\n{TOKEN}", max + 1).into_bytes(), vec![b' '; max]];
    let server = Server::leaving(large.concat(), End::Close)?;
    shows_none(trial, "a body with the token that is too large", |trial| Ok(trial.transport(&server.url())))?;
    let timeout = trial.bounds.timeout / 2;
    let server = Server::start(move |conn| {
        conn.request();
        conn.hold(timeout * 4);
    })?;
    shows_none(trial, "a timeout", |trial| Ok(trial.transport_within(&server.url(), timeout)))
}

/// Sends the token in a header, then in the query, and looks at what the transport says.
fn shows_none<'a>(
    trial: &mut Trial<'a>,
    what: &str,
    transport: impl Fn(&Trial<'a>) -> io::Result<Tested<'a>>,
) -> io::Result<()> {
    for (place, target) in [("header", "/v2/workflows/dlq?count=100"), ("query", IN_QUERY)] {
        let transport = transport(trial)?;
        let mut request = request(&Method::GET, &transport.url, target)?;
        if place == "query" {
            request.headers_mut().clear();
        } else {
            request.headers_mut().insert("x-also", HeaderValue::from_static(TOKEN));
        }
        let text = match transport.send_request(request) {
            Outcome::Failure(failure) => failure.message().to_owned(),
            Outcome::Panic(message) => message,
            // What to do with a response is the caller's business.
            Outcome::Response(_) => continue,
        };
        let done = format!("{what}, the token in the {place}");
        trial.expect(!text.contains(PART_OF_TOKEN), &done, "a text without the token", format!("{text:?}"));
    }
    Ok(())
}
