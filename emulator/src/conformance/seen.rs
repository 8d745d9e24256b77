//! A request as a server read it off the wire, byte by byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// More than any request of the suite; a longer one is not read on.
const MAX_HEAD: usize = 256 * 1024;

/// One request.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case, values as they came, in their order.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body_len: usize,
}

impl Seen {
    /// The values of a header, in their order.
    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Reads a request with its body. Leaves the last `unread` bytes of the head: a socket that is closed with something
    /// unread resets its connection.
    pub(super) fn read(stream: &mut TcpStream, unread: usize) -> io::Result<Option<Self>> {
        let Some(head) = read_until(stream, b"\r\n\r\n", unread)? else { return Ok(None) };
        let text: String = head.iter().map(|&byte| char::from(byte)).collect();
        let mut lines = text.split("\r\n");
        let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
        let mut seen = Self {
            method: first.next().unwrap_or_default().into(),
            target: first.next().unwrap_or_default().into(),
            ..Self::default()
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            seen.headers.push((name.to_ascii_lowercase(), value.trim().into()));
        }
        if unread == 0 {
            seen.body_len = seen.read_body(stream)?;
        }
        Ok(Some(seen))
    }

    /// Reads the body, so that it is not taken for the next request, and returns its length.
    fn read_body(&self, stream: &mut TcpStream) -> io::Result<usize> {
        if !self.values("transfer-encoding").is_empty() {
            let mut length = 0;
            while let Some(line) = read_until(stream, b"\r\n", 0)? {
                let line = String::from_utf8_lossy(&line).into_owned();
                let Ok(size) = usize::from_str_radix(line.trim(), 16) else { break };
                length = size.saturating_add(length);
                // The chunk or, behind the last one, nothing; then the end of its line.
                let end = u64::try_from(size.saturating_add(2)).unwrap_or(u64::MAX);
                io::copy(&mut Read::take(&mut *stream, end), &mut io::sink())?;
                if size == 0 {
                    break;
                }
            }
            return Ok(length);
        }
        let length: u64 = self.values("content-length").first().and_then(|length| length.parse().ok()).unwrap_or(0);
        let read = io::copy(&mut Read::take(&mut *stream, length), &mut io::sink())?;
        Ok(usize::try_from(read).unwrap_or(usize::MAX))
    }
}

/// Reads up to the end of `mark`, less `unread` bytes; nothing if the other side ends before.
fn read_until(stream: &mut TcpStream, mark: &[u8], unread: usize) -> io::Result<Option<Vec<u8>>> {
    let mut read = Vec::new();
    let mut piece = vec![0; 65_536];
    while read.len() < MAX_HEAD {
        // Looks before it takes, because what lies behind the mark is not its own.
        let there = stream.peek(&mut piece)?;
        if there == 0 {
            return Ok(None);
        }
        let before = read.len();
        read.extend_from_slice(piece.get(..there).unwrap_or_default());
        let end = read.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len());
        let take = end.map_or(there, |end| (end - before).saturating_sub(unread));
        stream.read_exact(piece.get_mut(..take).unwrap_or_default())?;
        if let Some(end) = end {
            read.truncate(end);
            return Ok(Some(read));
        }
    }
    // Whoever sends so much is told so, and hears nothing else.
    stream.write_all(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n")?;
    Ok(None)
}
