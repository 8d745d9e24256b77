//! A server that says exactly what a test wants, and remembers exactly what it heard.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What to do with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, whole.
    Bytes(String),
    /// Close without a byte.
    Close,
    /// Nothing, for as long as the client waits.
    Silence,
    /// A 200 with so many bytes.
    Sized(usize),
    /// The same in chunks.
    Chunked(usize),
    /// The same without a length, up to the end of the connection.
    UntilTheEnd(usize),
    /// A 200 whose body never ends.
    Endless,
    /// A 200 that promises more than it sends.
    Short,
}

pub(crate) fn ok(body: &str) -> Reply {
    status("200 OK", "", body)
}

pub(crate) fn status(status: &str, headers: &str, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
}

#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) addr: SocketAddr,
    heads: Arc<(Mutex<Vec<Vec<String>>>, Condvar)>,
    connections: Arc<AtomicUsize>,
    written: Arc<AtomicUsize>,
}

impl Wire {
    /// The last reply is given again and again.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            addr: listener.local_addr().unwrap(),
            heads: Arc::default(),
            connections: Arc::default(),
            written: Arc::default(),
        };
        let served = wire.clone();
        let next = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                served.connections.fetch_add(1, Ordering::SeqCst);
                let (served, replies, next) = (served.clone(), replies.clone(), Arc::clone(&next));
                std::thread::spawn(move || served.serve(stream.unwrap(), &replies, &next));
            }
        });
        wire
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Request line first, then the headers, sorted, with lower-case names.
    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        self.heads.0.lock().unwrap().clone()
    }

    /// Until so many have been recorded.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let (heads, recorded) = &*self.heads;
        let waited = recorded.wait_timeout_while(heads.lock().unwrap(), Duration::from_secs(60), |h| h.len() < count);
        assert!(!waited.unwrap().1.timed_out(), "the requests never came");
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many body bytes the other side took.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream, replies: &[Reply], next: &AtomicUsize) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(head) = read_head(&mut reader) {
            self.heads.0.lock().unwrap().push(head);
            self.heads.1.notify_all();
            let at = next.fetch_add(1, Ordering::SeqCst).min(replies.len() - 1);
            match &replies[at] {
                Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()).unwrap(),
                Reply::Close => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Reply::Silence => continue,
                Reply::Sized(length) => {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&vec![b' '; *length]));
                }
                Reply::Chunked(length) => {
                    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
                    for chunk in vec![b' '; *length].chunks(60_000) {
                        write!(bytes, "{:x}\r\n", chunk.len()).unwrap();
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n\r\n");
                    let _ = stream.write_all(&bytes);
                }
                Reply::UntilTheEnd(length) => {
                    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(head).and_then(|()| stream.write_all(&vec![b' '; *length]));
                    return;
                }
                Reply::Endless => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n").unwrap();
                    while self.written() < 200 << 20 && stream.write_all(&[b' '; 65_536]).is_ok() {
                        self.written.fetch_add(65_536, Ordering::SeqCst);
                    }
                    return;
                }
                Reply::Short => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"deleted\":").unwrap();
                    return;
                }
            }
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end_matches("\r\n");
        if line.is_empty() {
            break;
        }
        lines.push(match line.split_once(": ") {
            Some((name, value)) if !lines.is_empty() => format!("{}: {value}", name.to_ascii_lowercase()),
            _ => line.to_owned(),
        });
    }
    lines[1..].sort();
    Some(lines)
}
