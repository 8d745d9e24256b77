//! A blocking transport over a bare socket: all that the suite asks of one, and each fault that it must notice.

use super::response::{Deadline, Head, Incoming};
use http::{Method, Request, Response, header};
use std::io::{ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use upstash_dlq_emulator::conformance::{Failure, Setup};

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    AcceptsGzip,
    AddsReferer,
    CallsCutNotSent,
    CallsLostNotSent,
    CallsNoHostUnknown,
    CallsRefusedUnknown,
    ChunkedPost,
    DecodesPath,
    DropsQuery,
    DropsRepeatedHeaders,
    FollowsRedirects,
    FailsOnStatus,
    KeepsCookies,
    KeepsDeadConnections,
    LeaksUrl,
    LeaksServerWords,
    LossyText,
    MixesUpResponses,
    NoBound,
    NoBoundOnHead,
    NoTimeout,
    OneByteLess,
    PanicsOnGarbage,
    ReturnsCutBody,
    ReturnsInterim,
    RetriesLost,
    RetriesUnavailable,
    TakesFirstLength,
    TimeoutPerRead,
    WantsLength,
}

pub(crate) struct Plain {
    timeout: Duration,
    max_body: usize,
    flaw: Option<Flaw>,
    idle: Mutex<Vec<(String, TcpStream)>>,
    cookie: Mutex<Option<String>>,
    in_flight: AtomicUsize,
}

type Sent = Result<Response<Vec<u8>>, Failure>;

fn unknown(error: impl ToString) -> Failure {
    Failure::Unknown(error.to_string())
}

fn is_cut(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)
}

impl Plain {
    pub(crate) fn new(setup: &Setup, flaw: Option<Flaw>) -> Self {
        let (timeout, max_body) = (setup.timeout, setup.max_body);
        Self {
            timeout,
            max_body,
            flaw,
            idle: Mutex::default(),
            cookie: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    pub(crate) fn send(&self, request: &Request<()>) -> Sent {
        let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let mut sent = self.send_once(request);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.has(Flaw::RetriesLost) && matches!(sent, Err(Failure::Unknown(_))) {
            sent = self.send_once(request);
        }
        if self.has(Flaw::RetriesUnavailable) && sent.as_ref().is_ok_and(|response| response.status() == 503) {
            sent = self.send_once(request);
        }
        match &mut sent {
            Ok(response) if self.has(Flaw::MixesUpResponses) && others > 0 => {
                response.body_mut().rotate_left(1);
            }
            Ok(response) if self.has(Flaw::FailsOnStatus) && response.status().as_u16() >= 500 => {
                sent = Err(unknown(response.status()));
            }
            Ok(response) if self.has(Flaw::LossyText) => {
                *response.body_mut() = String::from_utf8_lossy(response.body()).into_owned().into_bytes();
            }
            Err(failure) if self.has(Flaw::LeaksUrl) => {
                sent = Err(match failure {
                    Failure::NotSent(text) => Failure::NotSent(format!("{}: {text}", request.uri())),
                    Failure::Unknown(text) => Failure::Unknown(format!("{}: {text}", request.uri())),
                });
            }
            Ok(response) if self.has(Flaw::FollowsRedirects) && response.status().is_redirection() => {
                let mut next = request.clone();
                *next.uri_mut() = response.headers()[header::LOCATION].to_str().unwrap().parse().unwrap();
                return self.send_once(&next);
            }
            _ => {}
        }
        sent
    }

    fn send_once(&self, request: &Request<()>) -> Sent {
        let deadline = match self.flaw {
            Some(Flaw::NoTimeout) => Deadline::never(),
            Some(Flaw::TimeoutPerRead) => Deadline::each_read(self.timeout),
            _ => Deadline::after(self.timeout),
        };
        let authority = request.uri().authority().map_or("", |authority| authority.as_str()).to_owned();
        let (mut stream, reused) = match self.idle_connection(&authority) {
            Some(stream) => (stream, true),
            None => (self.connect(&authority, &deadline)?, false),
        };
        match self.exchange(&mut stream, request, &authority, &deadline) {
            Ok(sent) => sent,
            Err(_) if reused && self.has(Flaw::KeepsDeadConnections) => {
                let mut stream = self.connect(&authority, &deadline)?;
                self.exchange(&mut stream, request, &authority, &deadline).unwrap_or_else(Err)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A connection that is alive and has nothing to say.
    fn idle_connection(&self, authority: &str) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap();
        while let Some(at) = idle.iter().position(|(other, _)| other == authority) {
            let (_, stream) = idle.swap_remove(at);
            stream.set_nonblocking(true).unwrap();
            let silent = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            stream.set_nonblocking(false).unwrap();
            if silent || self.has(Flaw::KeepsDeadConnections) {
                return Some(stream);
            }
        }
        None
    }

    fn connect(&self, authority: &str, deadline: &Deadline) -> Result<TcpStream, Failure> {
        let not_found = |error: std::io::Error| match self.flaw {
            Some(Flaw::CallsNoHostUnknown) => unknown(error),
            _ => Failure::NotSent(error.to_string()),
        };
        let with_port = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let mut last = Failure::NotSent("no address".into());
        for address in with_port.to_socket_addrs().map_err(not_found)? {
            let left = deadline.left().map_err(|error| Failure::NotSent(error.to_string()))?;
            match TcpStream::connect_timeout(&address, left.unwrap_or(self.timeout)) {
                Ok(stream) => return Ok(stream),
                Err(error) if self.has(Flaw::CallsRefusedUnknown) => last = unknown(error),
                Err(error) => last = Failure::NotSent(error.to_string()),
            }
        }
        Err(last)
    }

    /// `Err` if the connection ended before a byte of the response came.
    fn exchange(
        &self,
        stream: &mut TcpStream,
        request: &Request<()>,
        authority: &str,
        deadline: &Deadline,
    ) -> Result<Sent, Failure> {
        let lost = |error: std::io::Error| match self.flaw {
            Some(Flaw::CallsLostNotSent) if is_cut(&error) => Failure::NotSent(error.to_string()),
            _ => unknown(error),
        };
        stream.set_nodelay(true).map_err(unknown)?;
        deadline.left().and_then(|left| stream.set_write_timeout(left)).map_err(unknown)?;
        stream.write_all(&self.head(request, authority)).map_err(lost)?;
        let mut incoming = Incoming::new(stream, deadline);
        incoming.fill().map_err(lost)?;
        Ok(self.receive(incoming, authority))
    }

    fn receive(&self, mut incoming: Incoming<'_>, authority: &str) -> Sent {
        let failed = |error: std::io::Error| match self.flaw {
            Some(Flaw::CallsCutNotSent) if is_cut(&error) => Failure::NotSent(error.to_string()),
            _ => unknown(error),
        };
        let max_head = if self.has(Flaw::NoBoundOnHead) { usize::MAX } else { 128 * 1024 };
        let head = loop {
            let bytes = incoming.head(max_head).map_err(failed)?;
            let head = Head::parse(&bytes, self.has(Flaw::TakesFirstLength)).map_err(|reason| {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                assert!(!self.has(Flaw::PanicsOnGarbage), "{reason}");
                unknown(if self.has(Flaw::LeaksServerWords) { &text } else { reason })
            })?;
            if !head.status.is_informational() || self.has(Flaw::ReturnsInterim) {
                break head;
            }
        };
        if self.has(Flaw::WantsLength) && head.ends_with_connection() {
            return Err(unknown("no length"));
        }
        let max_body = match self.flaw {
            Some(Flaw::NoBound) => usize::MAX,
            Some(Flaw::OneByteLess) => self.max_body - 1,
            _ => self.max_body,
        };
        let body = match incoming.body(&head, max_body) {
            Ok(body) => body,
            Err((error, partial)) if self.has(Flaw::ReturnsCutBody) && is_cut(&error) => partial,
            Err((error, _)) => return Err(failed(error)),
        };
        if let Some(stream) = incoming.reusable(&head) {
            self.idle.lock().unwrap().push((authority.to_owned(), stream));
        }
        if let Some(cookie) = head.headers.get(header::SET_COOKIE) {
            *self.cookie.lock().unwrap() = Some(cookie.to_str().unwrap().to_owned());
        }
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        for (name, value) in &head.headers {
            if self.has(Flaw::DropsRepeatedHeaders) {
                response.headers_mut().insert(name, value.clone());
            } else {
                response.headers_mut().append(name, value.clone());
            }
        }
        Ok(response)
    }

    fn head(&self, request: &Request<()>, authority: &str) -> Vec<u8> {
        let mut target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        match self.flaw {
            Some(Flaw::DecodesPath) => target = target.replace("%2e", ".").replace("%2F", "/"),
            Some(Flaw::DropsQuery) => target.truncate(8_000),
            _ => {}
        }
        let mut head = format!("{} {target} HTTP/1.1\r\nhost: {authority}\r\n", request.method()).into_bytes();
        let chunked = self.has(Flaw::ChunkedPost) && request.method() == Method::POST;
        for (name, value) in request.headers() {
            if !(chunked && name == header::CONTENT_LENGTH) {
                head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
            }
        }
        match self.flaw {
            Some(Flaw::AcceptsGzip) => head.extend_from_slice(b"accept-encoding: gzip, br\r\n"),
            Some(Flaw::AddsReferer) => head.extend_from_slice(b"referer: http://127.0.0.1/\r\n"),
            Some(Flaw::KeepsCookies) => {
                let cookie = self.cookie.lock().unwrap().as_ref().map(|cookie| format!("cookie: {cookie}\r\n"));
                head.extend_from_slice(cookie.unwrap_or_default().as_bytes());
            }
            _ => {}
        }
        head.extend_from_slice(if chunked { b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" } else { b"\r\n" });
        head
    }
}
