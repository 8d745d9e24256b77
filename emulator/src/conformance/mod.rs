//! Tests a transport of your own: a client of another HTTP library, a `fetch`, a socket, a middleware.
//!
//! A transport is a function. It sends one `http::Request<()>` once, and returns the whole `http::Response<Vec<u8>>`. If it
//! has no response, it says that the request certainly was not sent ([`Failure::NotSent`]), or that nobody knows
//! ([`Failure::Unknown`]). Whoever starts and deletes runs relies on each word of that: what was not sent is sent again, and
//! what is unknown is not.
//!
//! [`check`] makes transports with your function and runs every check in [`CHECKS`], each against a server of its own on the
//! loopback address. That takes some seconds, and no network. Configure your client without a proxy.
//!
//! ```
//! use upstash_dlq_emulator::conformance::{self, Failure, Setup};
//! # use upstash_dlq_ureq::core::{Delivery, Endpoint, Token, TransportFailure};
//! # struct Client(upstash_dlq_ureq::Client);
//! # impl Client {
//! #     fn new(setup: &Setup) -> Self {
//! #         let token = Token::new(&*setup.token).unwrap();
//! #         let endpoint = Endpoint::builder().allow_plain_http().build(&setup.url, token).unwrap();
//! #         let client = upstash_dlq_ureq::Client::builder(endpoint).timeout(setup.timeout).max_body(setup.max_body);
//! #         Self(client.build().unwrap())
//! #     }
//! #     fn send(&self, request: http::Request<()>) -> Result<http::Response<Vec<u8>>, Error> {
//! #         self.0.send(request).map_err(Error)
//! #     }
//! # }
//! # struct Error(TransportFailure);
//! # impl Error { fn is_connect(&self) -> bool { self.0.delivery == Delivery::NotSent } }
//! # impl std::fmt::Display for Error {
//! #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
//! # }
//!
//! // In a test:
//! conformance::check(|setup: &Setup| {
//!     // Yours, with the timeout and the bound of `setup`.
//!     let client = Client::new(setup);
//!     move |request| {
//!         client.send(request).map_err(|error| match error.is_connect() {
//!             true => Failure::NotSent(error.to_string()),
//!             false => Failure::Unknown(error.to_string()),
//!         })
//!     }
//! })
//! .assert_ok();
//! ```
//!
//! # Async transports
//!
//! Wrap an async transport in its runtime's `block_on`. Several threads call it at once.
//!
//! ```
//! use upstash_dlq_emulator::conformance::{Failure, Setup, check_one};
//!
//! async fn send(request: http::Request<()>) -> Result<http::Response<Vec<u8>>, Failure> {
//!     let host = request.uri().authority().map_or("", |authority| authority.as_str());
//!     let refused = |error: std::io::Error| Failure::NotSent(error.to_string());
//!     let _stream = tokio::net::TcpStream::connect(host).await.map_err(refused)?;
//!     Err(Failure::Unknown("not written yet: send the request, read the response".into()))
//! }
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let connect = |_: &Setup| |request| runtime.block_on(send(request));
//! assert!(check_one("refused", connect).is_some_and(|report| report.is_ok()));
//! assert!(check_one("garbage-response", connect).is_some_and(|report| report.is_ok()));
//! let report = check_one("every-status", connect).ok_or("no such check")?;
//! println!("{report}");
//! assert!(!report.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The checks
//!
//! | name | what must hold |
//! |---|---|
//! | `request-as-given` | method, path, query (30 KB), headers and host arrive as given, with no body |
//! | `post-without-body` | a POST says `content-length: 0`, and nothing about a transfer encoding |
//! | `no-added-headers` | no header is added that changes the response: encodings, cookies, referer, conditions |
//! | `every-status` | a response of any final status is returned, with its headers and the bytes of its body |
//! | `interim-responses` | responses with 100, 102 and 103 are skipped |
//! | `body-framing` | a body is read whole: with a length, chunked, or up to the end of the connection |
//! | `no-redirects` | a redirect is returned, and never followed |
//! | `sent-once` | nothing is sent again: not after a lost response, not because of `retry-after` |
//! | `idle-connection` | a kept connection that the server has closed never makes a request arrive twice |
//! | `refused` | a refused connection is `NotSent` |
//! | `unknown-host` | a host name that does not exist is `NotSent` |
//! | `cut-response` | a response that is cut or reset anywhere is `Unknown` |
//! | `garbage-response` | a response that makes no sense is `Unknown`, two different lengths among them |
//! | `too-large` | more than `max_body` bytes are `Unknown`, and are not read on; nor is a head without an end |
//! | `largest-body` | a body of exactly `max_body` bytes is returned |
//! | `silence` | a server that says nothing is `Unknown` after the timeout |
//! | `whole-timeout` | the timeout is for the whole request, however often a byte comes |
//! | `at-once` | eight requests at once, from eight threads, each get their own response |
//! | `no-token` | no failure's text shows the token |
//!
//! A panic of the transport is a finding, where panics unwind.
//!
//! The suite tests plain HTTP/1.1. TLS, proxies, a connect timeout and happy eyeballs are your library's own business.

mod as_given;
mod at_once;
mod bounds;
mod broken;
mod once;
mod report;
mod secrets;
mod seen;
mod server;
mod setup;
mod trial;
mod unsent;
mod whole;

pub use report::{Finding, Report};
pub use setup::{Failure, Setup};

use http::{Request, Response};
use std::io;
use std::time::Duration;
use trial::{Bounds, Connect, Trial};

struct Check {
    name: &'static str,
    help: &'static str,
    run: fn(&mut Trial<'_>) -> io::Result<()>,
}

const fn check_of(name: &'static str, run: fn(&mut Trial<'_>) -> io::Result<()>, help: &'static str) -> Check {
    Check { name, help, run }
}

const ALL: [Check; 19] = [
    check_of(
        "request-as-given",
        as_given::request_as_given,
        "send the bytes of `uri().path_and_query()` and each header as they are; do not parse the URL again",
    ),
    check_of(
        "post-without-body",
        as_given::post_without_body,
        "send an empty body of known length, or none and the header as given, rather than a stream",
    ),
    check_of(
        "no-added-headers",
        as_given::no_added_headers,
        "switch off decompression, cookies, referer and caches of the client",
    ),
    check_of(
        "every-status",
        whole::every_status,
        "return a response whatever its status: the caller reads errors itself",
    ),
    check_of("interim-responses", whole::interim_responses, "read on until a status of 200 or more"),
    check_of("body-framing", whole::body_framing, "read to the end of the body before returning, and no further"),
    check_of("no-redirects", once::no_redirects, "switch off redirects: the token is for this server alone"),
    check_of(
        "sent-once",
        once::sent_once,
        "switch off retries, also those on connections that were used before: the caller knows what may be sent again",
    ),
    check_of(
        "idle-connection",
        once::idle_connection,
        "drop idle connections that have ended before sending; once a byte is sent, do not send again",
    ),
    check_of("refused", unsent::refused, "return NotSent where the connection was never made"),
    check_of("unknown-host", unsent::unknown_host, "return NotSent where the name was not found"),
    check_of(
        "cut-response",
        broken::cut_response,
        "return Unknown for whatever goes wrong once the connection stands, and check the length of the body",
    ),
    check_of("garbage-response", broken::garbage_response, "return Unknown for a response that cannot be understood"),
    check_of(
        "too-large",
        bounds::too_large,
        "count bytes while reading, stop at `Setup::max_body`, close the connection and return Unknown",
    ),
    check_of("largest-body", bounds::largest_body, "`Setup::max_body` is the last size that is allowed"),
    check_of("silence", bounds::silence, "end the request after `Setup::timeout` and return Unknown"),
    check_of(
        "whole-timeout",
        bounds::whole_timeout,
        "set one deadline for the whole request, not a timeout for each read",
    ),
    check_of("at-once", at_once::at_once, "give each request in flight a connection of its own"),
    check_of(
        "no-token",
        secrets::no_token,
        "keep headers, the query and the server's words out of the text, or hide the token",
    ),
];

/// The names of all checks, in the order in which they run.
pub const CHECKS: &[&str] = &NAMES;

const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        names[at] = ALL[at].name;
        at += 1;
    }
    names
};

/// The suite, with bounds of your choice.
///
/// ```
/// # use upstash_dlq_emulator::conformance::{Failure, Setup, Suite};
/// # use upstash_dlq_ureq::core::{Delivery, Endpoint, Token};
/// # fn connect(setup: &Setup) -> impl Fn(http::Request<()>) -> Result<http::Response<Vec<u8>>, Failure> + Sync + use<> {
/// #     let endpoint = Endpoint::builder().allow_plain_http().build(&setup.url, Token::new(&*setup.token).unwrap()).unwrap();
/// #     let client = upstash_dlq_ureq::Client::builder(endpoint).timeout(setup.timeout).max_body(setup.max_body).build().unwrap();
/// #     move |request| client.send(request).map_err(|failure| match failure.delivery {
/// #         Delivery::NotSent => Failure::NotSent(failure.to_string()),
/// #         Delivery::Unknown => Failure::Unknown(failure.to_string()),
/// #     })
/// # }
/// // A transport whose bound is fixed.
/// Suite::new().max_body(4 * 1024 * 1024).check(connect).assert_ok();
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Suite {
    timeout: Duration,
    max_body: usize,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// A timeout of 500 ms where time is the subject, and bodies of 64 KiB at most.
    pub const fn new() -> Self {
        Self { timeout: Duration::from_millis(500), max_body: 64 * 1024 }
    }

    /// Sets the [`Setup::timeout`] of the checks about time. They allow ten times as much.
    pub const fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets [`Setup::max_body`], in bytes, for a transport whose bound is fixed.
    pub const fn max_body(self, bytes: usize) -> Self {
        Self { max_body: bytes, ..self }
    }

    /// Runs every check. `connect` makes a transport for a setup, often more than once for a check.
    ///
    /// No server waits for ever, so a transport without a timeout ends, too. One that waits for something else hangs.
    pub fn check<T>(self, connect: impl Fn(&Setup) -> T) -> Report
    where
        T: Fn(Request<()>) -> Result<Response<Vec<u8>>, Failure> + Sync,
    {
        self.run(&ALL, &|setup| Box::new(connect(setup)))
    }

    /// Runs one of [`CHECKS`]; `None` if none has this name.
    pub fn check_one<T>(self, name: &str, connect: impl Fn(&Setup) -> T) -> Option<Report>
    where
        T: Fn(Request<()>) -> Result<Response<Vec<u8>>, Failure> + Sync,
    {
        let check = ALL.iter().find(|check| check.name == name)?;
        Some(self.run(std::slice::from_ref(check), &|setup| Box::new(connect(setup))))
    }

    fn run<'a>(self, checks: &[Check], connect: &'a Connect<'a>) -> Report {
        let mut report = Report::default();
        for check in checks {
            let mut trial = Trial::new(connect, Bounds { timeout: self.timeout, max_body: self.max_body });
            if let Err(error) = (check.run)(&mut trial) {
                trial.could_not_run(&error);
            }
            report.add(check.name, check.help, trial.finish());
        }
        report
    }
}

/// Runs every check with the bounds of [`Suite::new`]. See [`Suite::check`].
pub fn check<T>(connect: impl Fn(&Setup) -> T) -> Report
where
    T: Fn(Request<()>) -> Result<Response<Vec<u8>>, Failure> + Sync,
{
    Suite::new().check(connect)
}

/// Runs one of [`CHECKS`] with the bounds of [`Suite::new`]; `None` if none has this name.
pub fn check_one<T>(name: &str, connect: impl Fn(&Setup) -> T) -> Option<Report>
where
    T: Fn(Request<()>) -> Result<Response<Vec<u8>>, Failure> + Sync,
{
    Suite::new().check_one(name, connect)
}
