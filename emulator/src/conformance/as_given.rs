//! Checks of the request: it arrives as it was given, with nothing that changes the response.

use crate::conformance::seen::Seen;
use crate::conformance::server::Server;
use crate::conformance::trial::{Trial, request};
use http::{HeaderName, HeaderValue, Method};
use std::io;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// No segment is a dot segment, encoded or not: the URL standard removes those, and no id is one.
const PATH: &str = "/v2/workflows/dlq/a%2Fb%2eb%2E%2e%c3%BC~%7E%25..%3F/...//x;y=1,2:@!$'()*+&=";

pub(super) fn request_as_given(trial: &mut Trial<'_>) -> io::Result<()> {
    let long =
        format!("/v2/workflows/dlq?cursor=%2f+%20~a%2F&empty=&{}dlqIds=z", "dlqIds=1752829295505-0&".repeat(1300));
    let given = [
        ("accept", "application/json"),
        ("user-agent", "conformance/1.0 (as given)"),
        ("upstash-label", "second try"),
        ("upstash-retry-delay", "pow(2, retried) * 1000 \"a\""),
    ];
    for method in [Method::GET, Method::DELETE, Method::POST] {
        for target in [PATH, &long, "/?", "/"] {
            let server = Server::answering(vec![OK.to_vec()])?;
            let mut request = request(&method, &server.url(), target)?;
            for (name, value) in given {
                request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let expected: Vec<(String, String)> = request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .chain([("host".to_owned(), server.host())])
                .collect();
            let done = format!("{method} {}", shortened(target));
            let outcome = trial.transport(&server.url()).send_request(request);
            trial.expect_response(&done, outcome, 200, b"{}");
            let seen = server.finish();
            trial.expect_requests(&done, &seen, 1);
            if let [seen] = &*seen {
                arrived(trial, &done, seen, (method.as_str(), target), &expected);
            }
        }
    }
    Ok(())
}

fn arrived(trial: &mut Trial<'_>, done: &str, seen: &Seen, line: (&str, &str), expected: &[(String, String)]) {
    let (method, target) = line;
    trial.expect(seen.method == method, done, "the method as given", &seen.method);
    trial.expect(seen.target == target, done, "path and query as given", shortened(&seen.target));
    for (name, value) in expected {
        // The next check is about this one.
        if name != "content-length" {
            trial.expect(
                seen.values(name) == [value],
                done,
                &format!("one header `{name}: {value}`"),
                format!("{:?}", seen.values(name)),
            );
        }
    }
    trial.expect(seen.body_len == 0, done, "no body", format!("{} bytes", seen.body_len));
}

fn shortened(target: &str) -> String {
    match target.get(..100) {
        Some(start) if target.len() > 100 => format!("{start}… ({} bytes)", target.len()),
        _ => target.to_owned(),
    }
}

pub(super) fn post_without_body(trial: &mut Trial<'_>) -> io::Result<()> {
    let server = Server::answering(vec![OK.to_vec()])?;
    let done = "POST with `content-length: 0`";
    let outcome = trial.transport(&server.url()).send(&Method::POST, "/v2/workflows/dlq/resume?count=100");
    trial.expect_response(done, outcome, 200, b"{}");
    for seen in server.finish() {
        let lengths = seen.values("content-length");
        trial.expect(lengths == ["0"], done, "one header `content-length: 0`", format!("{lengths:?}"));
        let encodings = seen.values("transfer-encoding");
        trial.expect(encodings.is_empty(), done, "no `transfer-encoding`", format!("{encodings:?}"));
    }
    Ok(())
}

/// Headers that nobody gave and that make another response of it.
const CHANGING: [&str; 14] = [
    "referer",
    "cookie",
    "range",
    "expect",
    "upgrade",
    "te",
    "transfer-encoding",
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "if-range",
    "origin",
    "proxy-authorization",
];

pub(super) fn no_added_headers(trial: &mut Trial<'_>) -> io::Result<()> {
    // A response to remember, for whoever remembers.
    let tempting =
        b"HTTP/1.1 200 OK\r\nset-cookie: id=1; Path=/\r\netag: \"1\"\r\ncache-control: public, max-age=3600\r\n\
        last-modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nalt-svc: clear\r\ncontent-length: 2\r\n\r\n{}";
    for method in [Method::GET, Method::DELETE] {
        let server = Server::answering(vec![tempting.to_vec()])?;
        let transport = trial.transport(&server.url());
        let done = format!("{method} twice, answered with cookie, etag and max-age");
        for _ in 0..2 {
            let outcome = transport.send(&method, "/v2/workflows/dlq?count=100");
            trial.expect_response(&done, outcome, 200, b"{}");
        }
        let seen = server.finish();
        trial.expect_requests(&done, &seen, 2);
        for seen in &seen {
            for name in CHANGING {
                let values = seen.values(name);
                trial.expect(values.is_empty(), &done, &format!("no header `{name}`"), format!("{values:?}"));
            }
            let encodings = seen.values("accept-encoding");
            let plain = encodings.iter().all(|encoding| *encoding == "identity");
            trial.expect(plain, &done, "no `accept-encoding` but identity", format!("{encodings:?}"));
        }
    }
    Ok(())
}
