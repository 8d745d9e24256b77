//! Checks that a request goes where it was sent, once: no redirect is followed, nothing is sent again.

use crate::conformance::server::{End, Server, lock};
use crate::conformance::setup::Failure;
use crate::conformance::trial::{Outcome, Trial};
use http::Method;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const METHODS: [Method; 3] = [Method::GET, Method::DELETE, Method::POST];
const TARGET: &str = "/v2/workflows/dlq/resume/a?count=100";

pub(super) fn no_redirects(trial: &mut Trial<'_>) -> io::Result<()> {
    for status in [301, 302, 303, 307, 308] {
        for method in METHODS {
            let elsewhere = Server::answering(vec![OK.to_vec()])?;
            let location = format!("{}/elsewhere", elsewhere.url());
            let redirect = format!("HTTP/1.1 {status} Go\r\nlocation: {location}\r\ncontent-length: 3\r\n\r\ngo!");
            let server = Server::answering(vec![redirect.into_bytes()])?;
            let done = format!("{method} answered with {status} to another port");
            let outcome = trial.transport(&server.url()).send(&method, TARGET);
            if let Some(response) = trial.expect_response(&done, outcome, status, b"go!") {
                let given = response.headers().get("location");
                let same = given.is_some_and(|given| given == &*location);
                trial.expect(same, &done, &format!("`location: {location}`"), format!("{given:?}"));
            }
            trial.expect_requests(&done, &server.finish(), 1);
            let followed = elsewhere.finish().len();
            trial.expect(followed == 0, &done, "no request elsewhere", followed);
        }
    }
    Ok(())
}

pub(super) fn sent_once(trial: &mut Trial<'_>) -> io::Result<()> {
    // What a transport makes of it is the subject of others: here only the server's view counts.
    for method in METHODS {
        for (end, what) in [(End::Close, "closed"), (End::Reset, "reset")] {
            let done = format!("{method} {what} without a response");
            let server = Server::leaving("", end)?;
            trial.transport(&server.url()).send(&method, TARGET);
            trial.expect_requests(&done, &server.finish(), 1);

            // Many clients send again only what went over a connection that was used before.
            let done = format!("{method} {what} without a response, after one that was answered");
            let server = Server::answering_first(end)?;
            let transport = trial.transport(&server.url());
            transport.send(&method, TARGET);
            transport.send(&method, TARGET);
            trial.expect_requests(&done, &server.finish(), 2);
        }
        for status in [408, 429, 503] {
            let done = format!("{method} answered with {status} and `retry-after: 0`");
            let response = format!("HTTP/1.1 {status} Later\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{{}}");
            let server = Server::answering(vec![response.into_bytes()])?;
            trial.transport(&server.url()).send(&method, TARGET);
            trial.expect_requests(&done, &server.finish(), 1);
        }
    }
    Ok(())
}

pub(super) fn idle_connection(trial: &mut Trial<'_>) -> io::Result<()> {
    for method in METHODS {
        for (half, what) in [(true, "whose server ends writing"), (false, "that the server closes")] {
            let done = format!("{method} after an idle connection {what}");
            let (close, closing) = mpsc::channel::<()>();
            let (closed, is_closed) = mpsc::channel();
            let first = Mutex::new(Some((closing, closed)));
            let server = Server::start(move |conn| {
                let first = lock(&first).take();
                let Some((closing, closed)) = first else {
                    while conn.request().is_some() && conn.write(OK) {}
                    return;
                };
                if conn.request().is_some() && conn.write(OK) {
                    // Ends at once if the suite has gone.
                    let _ = closing.recv();
                    conn.end_writing();
                    let _ = closed.send(());
                    // A request that comes now has crossed the end: it may be carried out, but is never answered.
                    while half && conn.request().is_some() {}
                }
            })?;
            let transport = trial.transport(&server.url());
            let outcome = transport.send(&method, "/first");
            let answered = trial.expect_response(&done, outcome, 200, b"{}").is_some();
            drop(close);
            if !answered {
                continue;
            }
            let _ = is_closed.recv();
            let outcome = transport.send(&method, "/second");
            match &outcome {
                Outcome::Response(response) if response.status().as_u16() == 200 => {}
                Outcome::Failure(Failure::Unknown(_)) => {}
                other => trial.problem(&done, "a response with status 200, or Unknown", other),
            }
            let seen = server.finish();
            let second = seen.iter().filter(|seen| seen.target == "/second").count();
            trial.expect(second <= 1, &done, "the server to read the second request once at most", second);
        }
    }
    Ok(())
}
