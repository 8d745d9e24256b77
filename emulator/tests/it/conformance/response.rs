//! Reads one response off a socket: within a deadline, within bounds, and no further than its end.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// When a request must be done.
pub(super) enum Deadline {
    At(Instant),
    Each(Option<Duration>),
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self::At(Instant::now() + timeout)
    }

    pub(super) fn each_read(timeout: Duration) -> Self {
        Self::Each(Some(timeout))
    }

    pub(super) fn never() -> Self {
        Self::Each(None)
    }

    /// What is left, for one call of the system.
    pub(super) fn left(&self) -> io::Result<Option<Duration>> {
        match self {
            Self::Each(timeout) => Ok(*timeout),
            Self::At(end) => match end.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Ok(Some(left)),
                _ => Err(io::ErrorKind::TimedOut.into()),
            },
        }
    }
}

/// Status and headers.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Nothing if the body is chunked or ends with the connection.
    length: Option<usize>,
    chunked: bool,
    keep: bool,
}

impl Head {
    pub(super) fn parse(bytes: &[u8], first_length: bool) -> Result<Self, &'static str> {
        let mut lines = bytes.strip_suffix(b"\r\n\r\n").unwrap_or(bytes).split(|&byte| byte == b'\n');
        let line = lines.next().unwrap_or_default();
        let one_one = line.starts_with(b"HTTP/1.1 ");
        if !one_one && !line.starts_with(b"HTTP/1.0 ") {
            return Err("not HTTP/1");
        }
        let status = line.get(9..12).and_then(|status| StatusCode::from_bytes(status).ok()).ok_or("no status")?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = line.iter().position(|&byte| byte == b':').ok_or("a header without a colon")?;
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| "a bad header name")?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| "a bad header value")?;
            headers.append(name, value);
        }
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let mut length = None;
        for value in headers.get_all(header::CONTENT_LENGTH) {
            let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            // A length beyond what this machine can count is too large in any case.
            let value =
                text.filter(|text| !text.is_empty()).ok_or("a bad content-length")?.parse().unwrap_or(usize::MAX);
            if length.is_some_and(|other| other != value) && !first_length {
                return Err("two content-lengths");
            }
            length = length.or(Some(value));
        }
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED || status.is_informational() {
            length = Some(0);
        }
        let keep = one_one && headers.get(header::CONNECTION).is_none_or(|value| value != "close");
        Ok(Self { status, headers, length, chunked, keep })
    }

    pub(super) fn ends_with_connection(&self) -> bool {
        self.length.is_none() && !self.chunked
    }
}

/// What comes from a server, from the first byte that was not yet used.
pub(super) struct Incoming<'a> {
    stream: &'a mut TcpStream,
    deadline: &'a Deadline,
    buffer: Vec<u8>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(stream: &'a mut TcpStream, deadline: &'a Deadline) -> Self {
        Self { stream, deadline, buffer: Vec::new() }
    }

    /// Reads some more. The end of the connection is an error.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(self.deadline.left()?)?;
        let mut piece = [0; 16_384];
        match self.stream.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }

    /// Takes what ends with the mark.
    fn take_until(&mut self, mark: &[u8], most: usize) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let found = self.buffer[searched..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                let rest = self.buffer.split_off(searched + at + mark.len());
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if self.buffer.len() > most {
                return Err(io::Error::other("too long a head"));
            }
            searched = self.buffer.len().saturating_sub(mark.len() - 1);
            self.fill()?;
        }
    }

    pub(super) fn head(&mut self, most: usize) -> io::Result<Vec<u8>> {
        self.take_until(b"\r\n\r\n", most)
    }

    /// Appends so many bytes to the body, and leaves them there if fewer come.
    fn take(&mut self, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let mut left = count;
        loop {
            let now = left.min(self.buffer.len());
            body.extend(self.buffer.drain(..now));
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// The whole body; if there is none, why, and what came of it.
    pub(super) fn body(&mut self, head: &Head, most: usize) -> Result<Vec<u8>, (io::Error, Vec<u8>)> {
        let mut body = Vec::new();
        match self.read_body(head, most, &mut body) {
            Ok(()) => Ok(body),
            Err(error) => Err((error, body)),
        }
    }

    fn read_body(&mut self, head: &Head, most: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let too_large = || io::Error::other("too large a body");
        if head.chunked {
            loop {
                let line = self.take_until(b"\r\n", 1024)?;
                let digits = line.split(|&byte| byte == b';' || byte == b'\r').next().unwrap_or_default();
                let size = std::str::from_utf8(digits).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
                let size = size.ok_or_else(|| io::Error::other("a bad chunk size"))?;
                if size > most - body.len() {
                    return Err(too_large());
                }
                if size == 0 {
                    while self.take_until(b"\r\n", 16_384)?.len() > 2 {}
                    return Ok(());
                }
                self.take(size, body)?;
                self.take_until(b"\r\n", 2)?;
            }
        }
        match head.length {
            Some(length) if length > most => Err(too_large()),
            Some(length) => self.take(length, body),
            None => loop {
                body.append(&mut self.buffer);
                if body.len() > most {
                    return Err(too_large());
                }
                match self.fill() {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    other => other?,
                }
            },
        }
    }

    /// The connection, if another request may go over it.
    pub(super) fn reusable(self, head: &Head) -> Option<TcpStream> {
        let clean = head.keep && !head.ends_with_connection() && self.buffer.is_empty();
        clean.then(|| self.stream.try_clone().ok()).flatten()
    }
}
