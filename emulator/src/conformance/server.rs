//! A server on the loopback address that does exactly what a check wants, and remembers every request that it read.
//!
//! Nothing waits for ever: a connection ends when its script does, at the latest after [`HOLD`] without a byte.

use crate::conformance::seen::Seen;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a server waits for the other side, so that a transport without a timeout ends, too.
const HOLD: Duration = Duration::from_secs(6);

/// Whoever connects more often than this to one server retries for ever, and finds nobody any more.
const MAX_CONNECTIONS: usize = 100;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    /// A handle on each connection, to end it, by the connection's number.
    open: Mutex<Vec<(usize, TcpStream)>>,
    stop: AtomicBool,
    sent: AtomicUsize,
}

/// A running server. It ends when it is dropped.
pub(super) struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How a script leaves a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The other side reads an end of the stream.
    Close,
    /// The other side reads a reset.
    Reset,
}

/// The server's side of one connection.
pub(super) struct Conn {
    number: usize,
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts a server that runs the script on each connection, each on a thread of its own.
    pub(super) fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let accept = move || accept(listener, &for_thread, &Arc::new(script));
        let thread = std::thread::Builder::new().name("conformance".into()).spawn(accept)?;
        Ok(Self { addr, shared, thread: Some(thread) })
    }

    /// Starts a server that answers the first request with the first response, and so on; the last is given again and again.
    /// Connections stay open.
    pub(super) fn answering(responses: Vec<Vec<u8>>) -> io::Result<Self> {
        let next = AtomicUsize::new(0);
        Self::start(move |conn| {
            while conn.request().is_some() {
                let at = next.fetch_add(1, Ordering::SeqCst).min(responses.len().saturating_sub(1));
                if !conn.write(responses.get(at).map_or(&[], Vec::as_slice)) {
                    return;
                }
            }
        })
    }

    /// Starts a server that reads one request on each connection, writes these bytes, and leaves.
    pub(super) fn leaving(bytes: impl Into<Vec<u8>>, end: End) -> io::Result<Self> {
        let bytes = bytes.into();
        Self::start(move |conn| {
            if conn.request_before(end).is_some() {
                conn.write(&bytes);
            }
        })
    }

    /// Starts a server that answers the first request of all, and leaves after any other, on whichever connection it comes.
    pub(super) fn answering_first(end: End) -> io::Result<Self> {
        let requests = AtomicUsize::new(0);
        Self::start(move |conn| {
            loop {
                let first = requests.load(Ordering::SeqCst) == 0;
                let read = conn.request_before(if first { End::Close } else { end }).is_some();
                let answers = read && requests.fetch_add(1, Ordering::SeqCst) == 0;
                if !answers || !conn.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") {
                    return;
                }
            }
        })
    }

    /// The base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        self.addr.to_string()
    }

    /// How many bytes the other sides took (or the system took for them).
    pub(super) fn sent(&self) -> usize {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Ends the server, and returns every request that it read: none can come later.
    pub(super) fn finish(mut self) -> Vec<Seen> {
        self.end();
        std::mem::take(&mut *lock(&self.shared.seen))
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.stop.store(true, Ordering::SeqCst);
        // Connections are accepted in their order: whoever connected before is heard.
        let woken = TcpStream::connect_timeout(&self.addr, HOLD).is_ok();
        for (_, stream) in lock(&self.shared.open).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if woken || thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept<S: Fn(&mut Conn) + Send + Sync + 'static>(listener: TcpListener, shared: &Arc<Shared>, script: &Arc<S>) {
    let mut threads = Vec::new();
    for (number, stream) in listener.incoming().take(MAX_CONNECTIONS).enumerate() {
        let Ok(stream) = stream else { continue };
        let prepared = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(HOLD)))
            .and_then(|()| stream.set_write_timeout(Some(HOLD)))
            .and_then(|()| stream.try_clone());
        let Ok(handle) = prepared else { continue };
        lock(&shared.open).push((number, handle));
        let stopping = shared.stop.load(Ordering::SeqCst);
        if stopping {
            // What was sent by now can still be read, and nothing is waited for.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let (script, mut conn) = (Arc::clone(script), Conn { number, stream, shared: Arc::clone(shared) });
        let serve = move || {
            script(&mut conn);
            conn.leave();
        };
        threads.extend(std::thread::Builder::new().name("conformance".into()).spawn(serve));
        if stopping {
            break;
        }
    }
    drop(listener);
    for thread in threads {
        let _ = thread.join();
    }
}

impl Conn {
    /// Reads one whole request; nothing if the other side has ended.
    pub(super) fn request(&mut self) -> Option<Seen> {
        self.read(0)
    }

    /// Reads one request, so that the connection then ends as it should.
    pub(super) fn request_before(&mut self, end: End) -> Option<Seen> {
        self.read(usize::from(end == End::Reset))
    }

    fn read(&mut self, unread: usize) -> Option<Seen> {
        let seen = Seen::read(&mut self.stream, unread).ok().flatten()?;
        lock(&self.shared.seen).push(seen.clone());
        Some(seen)
    }

    /// Writes; false if the other side takes no more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        let written = self.stream.write_all(bytes).is_ok();
        if written {
            self.shared.sent.fetch_add(bytes.len(), Ordering::SeqCst);
        }
        written
    }

    /// Writes the piece again and again, until the other side takes no more or `most` bytes have gone.
    pub(super) fn pour(&mut self, piece: &[u8], most: usize) {
        let mut poured = 0;
        while poured < most && self.write(piece) {
            poured += piece.len();
        }
    }

    /// Writes a byte, waits, writes a byte, and so on, until the other side takes no more or the time is over.
    pub(super) fn trickle(&mut self, byte: u8, wait: Duration, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && self.write(&[byte]) {
            std::thread::sleep(wait);
        }
    }

    /// Says nothing, until the other side says something or ends, or the time is over.
    pub(super) fn hold(&mut self, time: Duration) {
        let _ = self.stream.set_read_timeout(Some(time)).and_then(|()| self.stream.read(&mut [0]));
    }

    /// Says that no more will be written. What the other side writes can still be read.
    pub(super) fn end_writing(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection: the last handle on it goes, which resets it if something is unread.
    fn leave(self) {
        lock(&self.shared.open).retain(|(number, _)| *number != self.number);
    }
}
