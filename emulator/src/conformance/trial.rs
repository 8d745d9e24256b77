//! One check in progress: makes transports, sends with them, and notes what is not as expected.

use crate::conformance::seen::Seen;
use crate::conformance::server::lock;
use crate::conformance::setup::{Failure, Setup};
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response};
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The token of every request. The middle of it stands in no other text, and looks the same in a URL.
pub(super) const TOKEN: &str = "c0nf/s3cr3t+token=";
pub(super) const PART_OF_TOKEN: &str = "s3cr3t";

/// A transport of any type.
pub(super) type Transport<'a> = Box<dyn Fn(Request<()>) -> Result<Response<Vec<u8>>, Failure> + Sync + 'a>;

/// Makes transports.
pub(super) type Connect<'a> = dyn Fn(&Setup) -> Transport<'a> + 'a;

/// How long a request may take where time is not the subject: long enough for a machine that has much else to do.
const AMPLE: Duration = Duration::from_secs(10);

/// What the checks ask of every transport.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// The timeout where time is the subject.
    pub(super) timeout: Duration,
    /// The largest body, in bytes.
    pub(super) max_body: usize,
}

/// One check in progress.
pub(super) struct Trial<'a> {
    connect: &'a Connect<'a>,
    pub(super) bounds: Bounds,
    problems: Vec<String>,
    panics: Arc<Mutex<Vec<String>>>,
}

/// A transport that is tested. It never panics.
pub(super) struct Tested<'a> {
    /// Nothing, with the panic's words, if it could not be made.
    transport: Result<Transport<'a>, String>,
    pub(super) url: String,
    panics: Arc<Mutex<Vec<String>>>,
}

/// How sending ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Response(Response<Vec<u8>>),
    Failure(Failure),
    Panic(String),
}

impl Tested<'_> {
    /// Sends a request with the suite's token to a path of the server.
    pub(super) fn send(&self, method: &Method, target: &str) -> Outcome {
        match request(method, &self.url, target) {
            Ok(request) => self.send_request(request),
            Err(error) => Outcome::Panic(format!("of the suite, which could not build a request: {error}")),
        }
    }

    pub(super) fn send_request(&self, request: Request<()>) -> Outcome {
        let transport = match &self.transport {
            Ok(transport) => transport,
            Err(message) => return self.panicked(message.clone()),
        };
        match catch_unwind(AssertUnwindSafe(|| transport(request))) {
            Ok(Ok(response)) => Outcome::Response(response),
            Ok(Err(failure)) => Outcome::Failure(failure),
            Err(panic) => self.panicked(words(&*panic)),
        }
    }

    fn panicked(&self, message: String) -> Outcome {
        lock(&self.panics).push(message.clone());
        Outcome::Panic(message)
    }
}

/// A request as the client builds it: with a token, and a POST says that it has no body.
pub(super) fn request(method: &Method, url: &str, target: &str) -> io::Result<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = format!("{url}{target}").parse().map_err(io::Error::other)?;
    let mut token = HeaderValue::from_str(&format!("Bearer {TOKEN}")).map_err(io::Error::other)?;
    token.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, token);
    if method == Method::POST {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without words").to_owned()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => {
                write!(f, "a response with status {} and {} bytes", response.status().as_u16(), response.body().len())
            }
            Self::Failure(failure) => failure.fmt(f),
            Self::Panic(message) => write!(f, "a panic ({message})"),
        }
    }
}

impl<'a> Trial<'a> {
    pub(super) fn new(connect: &'a Connect<'a>, bounds: Bounds) -> Self {
        Self { connect, bounds, problems: Vec::new(), panics: Arc::default() }
    }

    /// Makes a transport with ample time.
    pub(super) fn transport(&self, url: &str) -> Tested<'a> {
        self.transport_within(url, AMPLE)
    }

    pub(super) fn transport_within(&self, url: &str, timeout: Duration) -> Tested<'a> {
        let max_body = self.bounds.max_body;
        let setup = Setup { url: url.to_owned(), timeout, max_body, token: TOKEN.to_owned() };
        let made = catch_unwind(AssertUnwindSafe(|| (self.connect)(&setup)));
        Tested { transport: made.map_err(|panic| words(&*panic)), url: setup.url, panics: Arc::clone(&self.panics) }
    }

    /// Notes that the check itself went wrong.
    pub(super) fn could_not_run(&mut self, error: &io::Error) {
        self.problems.push(format!("the check could not run: {error}"));
    }

    /// Returns every problem; a panic is one, also where nobody looked at how sending ended.
    pub(super) fn finish(mut self) -> Vec<String> {
        for message in lock(&self.panics).drain(..) {
            if !self.problems.iter().any(|problem| problem.contains(&message)) {
                self.problems.push(format!("sending: expected no panic, got one ({message})"));
            }
        }
        self.problems
    }

    /// Notes what was done, what was expected, and what happened instead.
    pub(super) fn problem(&mut self, done: &str, expected: &str, happened: impl fmt::Display) {
        self.problems.push(format!("{done}: expected {expected}, got {happened}"));
    }

    pub(super) fn expect(&mut self, holds: bool, done: &str, expected: &str, happened: impl fmt::Display) {
        if !holds {
            self.problem(done, expected, happened);
        }
    }

    pub(super) fn expect_unknown(&mut self, done: &str, outcome: &Outcome) {
        self.expect(matches!(outcome, Outcome::Failure(Failure::Unknown(_))), done, "Unknown", outcome);
    }

    pub(super) fn expect_not_sent(&mut self, done: &str, outcome: &Outcome) {
        self.expect(matches!(outcome, Outcome::Failure(Failure::NotSent(_))), done, "NotSent", outcome);
    }

    /// Expects a response with this status and body, and returns it.
    pub(super) fn expect_response(
        &mut self,
        done: &str,
        outcome: Outcome,
        status: u16,
        body: &[u8],
    ) -> Option<Response<Vec<u8>>> {
        let Outcome::Response(response) = outcome else {
            self.problem(done, &format!("a response with status {status}"), outcome);
            return None;
        };
        let expected = format!("a response with status {status} and {} bytes", body.len());
        if response.status().as_u16() != status || response.body().len() != body.len() {
            self.problem(done, &expected, Outcome::Response(response));
            return None;
        }
        self.expect(response.body() == body, done, "the bytes of the body as they came", "other bytes");
        Some(response)
    }

    /// Expects that the server has read so many requests.
    pub(super) fn expect_requests(&mut self, done: &str, seen: &[Seen], count: usize) {
        let lines: Vec<String> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        let happened = format!("{}: {}", seen.len(), lines.join(", "));
        self.expect(seen.len() == count, done, &format!("requests at the server: {count}"), happened);
    }
}
