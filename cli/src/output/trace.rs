//! `-v`: one line a request on standard error. A transport around another one, so that no request goes past it. Knows no
//! operation: which attempt a request is, it sees from the requests themselves.

use crate::output::terminal::{Terminal, escaped};
use http::{Method, Request, Response, StatusCode};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use upstash_dlq_core::client::Transport;
use upstash_dlq_core::{Delivery, Endpoint, TransportFailure};

pub(crate) struct Trace<T> {
    inner: T,
    endpoint: Endpoint,
    terminal: Terminal,
    attempts: Mutex<Attempts>,
}

impl<T: Transport> Trace<T> {
    pub(crate) fn new(inner: T, endpoint: Endpoint, terminal: Terminal) -> Self {
        Self { inner, endpoint, terminal, attempts: Mutex::default() }
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> Transport for Trace<T> {
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        let method = request.method().clone();
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let attempt = self.attempts().begin(&method, &target);
        let begun = Instant::now();
        let result = self.inner.send(request);
        let elapsed = begun.elapsed();
        let status = result.as_ref().map(Response::status);
        if status.is_ok_and(|status| !is_tried_again(status)) {
            self.attempts().end(method.clone(), target.clone());
        }
        self.terminal.note(&line(&method, &without_token(&target, &self.endpoint), status, elapsed, attempt));
        result
    }
}

/// Path and query, each redacted by itself: in a whole URL the query would be hidden.
fn without_token(target: &str, endpoint: &Endpoint) -> String {
    match target.split_once('?') {
        Some((path, query)) => format!("{}?{}", endpoint.redact(path), endpoint.redact(query)),
        None => endpoint.redact(target),
    }
}

/// Whether a response with this status is a reason to send the request again.
fn is_tried_again(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// `GET /v2/workflows/dlq?count=100 -> 200, 12 ms, attempt 1`
fn line(
    method: &Method,
    target: &str,
    status: Result<StatusCode, &TransportFailure>,
    elapsed: Duration,
    attempt: u32,
) -> String {
    let (short, long) = match status {
        Ok(status) => (status.as_u16().to_string(), String::new()),
        Err(failure) => {
            let short = if failure.delivery == Delivery::NotSent { "not sent" } else { "no response" };
            (short.to_owned(), format!(": {}", failure.message))
        }
    };
    escaped(&format!("{method} {target} -> {short}, {} ms, attempt {attempt}{long}", elapsed.as_millis()))
}

/// How often each request was sent since it last had a response that is no reason to send it again. A lane sends the next
/// request only then, so that there are as many entries as lanes.
#[derive(Default)]
struct Attempts(HashMap<(Method, String), u32>);

impl Attempts {
    /// No operation has as many lanes. Requests that were given up stay, and must not add up.
    const MOST: usize = 1_024;

    fn begin(&mut self, method: &Method, target: &str) -> u32 {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let count = self.0.entry((method.clone(), target.to_owned())).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    fn end(&mut self, method: Method, target: String) {
        self.0.remove(&(method, target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_came_of_a_request_and_steers_nothing() {
        let get = |status| line(&Method::GET, "/v2/workflows/dlq?count=1", status, Duration::from_micros(12_900), 2);
        assert_eq!(get(Ok(StatusCode::OK)), "GET /v2/workflows/dlq?count=1 -> 200, 12 ms, attempt 2");
        let hostile = TransportFailure::not_sent("x\u{1b}[2J\n\u{202e}y");
        let shown = get(Err(&hostile));
        assert!(
            shown.starts_with(
                "GET /v2/workflows/dlq?count=1 -> not sent, 12 ms, attempt 2: the request could not be sent"
            )
        );
        assert!(!shown.contains(['\u{1b}', '\n', '\u{202e}']), "{shown:?}");
        let unknown = get(Err(&TransportFailure::unknown("reset")));
        assert!(unknown.contains(" -> no response, 12 ms, attempt 2: no response arrived: reset"), "{unknown}");
    }

    #[test]
    fn a_token_in_the_query_is_hidden_and_all_else_is_there() {
        let token = upstash_dlq_core::Token::new("s3/cret").unwrap();
        let endpoint = Endpoint::new("https://qstash.upstash.io", token).unwrap();
        let shown = without_token("/v2/workflows/dlq?label=a%26b&qstash_token=s3%2Fcret&cursor=x", &endpoint);
        assert_eq!(shown, "/v2/workflows/dlq?label=a%26b&qstash_token=…&cursor=x");
        assert_eq!(without_token("/v2/workflows/dlq/s3/cret", &endpoint), "/v2/workflows/dlq/…");
    }

    #[test]
    fn attempts_are_counted_for_each_request_and_end_with_its_response() {
        let mut attempts = Attempts::default();
        let mut begin = |method: Method, target: &str| attempts.begin(&method, target);
        let counts =
            [begin(Method::GET, "/a"), begin(Method::GET, "/a"), begin(Method::DELETE, "/a"), begin(Method::GET, "/b")];
        assert_eq!(counts, [1, 2, 1, 1]);
        attempts.end(Method::GET, "/a".to_owned());
        assert_eq!(attempts.begin(&Method::GET, "/a"), 1);
        assert_eq!(attempts.begin(&Method::GET, "/b"), 2);
        for n in 0..3_000 {
            attempts.begin(&Method::GET, &n.to_string());
            assert!(attempts.0.len() <= Attempts::MOST);
        }
    }
}
