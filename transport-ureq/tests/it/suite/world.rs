//! The service's model behind sockets that a test can break: when a request has arrived, once it was carried out, and after its
//! response. It knows what was really done, whatever came back.

use http::Request;
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use upstash_dlq_emulator::{LOCAL_TOKEN, Service};

/// The model's clock. Sample runs have failed before.
pub(crate) const NOW: i64 = 1_764_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "not every test kills in between")]
pub(crate) enum Moment {
    /// The request is whole, and was not carried out.
    Arrived,
    CarriedOut,
    /// The response is on its way.
    Answered,
}

/// What becomes of a request instead of its response. The connection ends with it.
#[derive(Clone, Copy)]
pub(crate) struct Break {
    pub(crate) carried_out: bool,
    /// The connection is reset, rather than closed.
    pub(crate) reset: bool,
    /// Gets the response that would have been right, if there is one.
    pub(crate) respond: fn(&World, &mut TcpStream, &[u8]),
}

type Meet = dyn Fn(&World, Moment, &Request<Vec<u8>>) -> Option<Break> + Send + Sync;

struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

pub(crate) struct World {
    me: Weak<Self>,
    service: Mutex<Service>,
    pub(crate) addr: SocketAddr,
    meet: Box<Meet>,
    listening: Mutex<Option<Listening>>,
    /// The connections that are served, by their other ends.
    open: Mutex<HashMap<SocketAddr, TcpStream>>,
    poured: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// `meet` is asked at each moment of each request. What it returns for one that has arrived becomes of that request.
    pub(crate) fn start(
        service: Service,
        meet: impl Fn(&Self, Moment, &Request<Vec<u8>>) -> Option<Break> + Send + Sync + 'static,
    ) -> Arc<Self> {
        // Of its own on Linux, so that no client's port is ever the one that was just left.
        let host = if cfg!(target_os = "linux") { "127.77.0.1:0" } else { "127.0.0.1:0" };
        let listener = TcpListener::bind(host).unwrap();
        let world = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            service: Mutex::new(service),
            addr: listener.local_addr().unwrap(),
            meet: Box::new(meet),
            listening: Mutex::default(),
            open: Mutex::default(),
            poured: AtomicUsize::new(0),
        });
        world.listen(listener);
        world
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn with_service<R>(&self, f: impl FnOnce(&mut Service) -> R) -> R {
        f(&mut lock(&self.service))
    }

    /// How many bytes the other side took of what was poured.
    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn poured(&self) -> usize {
        self.poured.load(Ordering::SeqCst)
    }

    fn listen(&self, listener: TcpListener) {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, world) = (Arc::clone(&stop), self.me.upgrade().unwrap());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), world) = (stream, Arc::clone(&world)) else { continue };
                if let (Ok(other), Ok(handle)) = (stream.peer_addr(), stream.try_clone()) {
                    lock(&world.open).insert(other, handle);
                    std::thread::spawn(move || {
                        world.serve(stream);
                        lock(&world.open).remove(&other);
                    });
                }
            }
        });
        *lock(&self.listening) = Some(Listening { stop, thread });
    }

    /// Ends every connection, and listens no more.
    pub(crate) fn down(&self) {
        self.close();
        // A process that another thread is just starting may still have the listener, up to its exec.
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.addr).is_ok() {
            assert!(Instant::now() < deadline, "somebody else listens");
            std::thread::yield_now();
        }
        self.disconnect();
    }

    /// Ends every connection, as a server does that restarts.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn restart(&self) {
        self.close();
        self.up();
        self.disconnect();
    }

    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn is_up(&self) -> bool {
        lock(&self.listening).is_some()
    }

    /// Listens where it did, unless it does.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn up(&self) {
        if lock(&self.listening).is_some() {
            return;
        }
        // A process that another thread is just starting may still have the old listener, up to its exec.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpListener::bind(self.addr) {
                Ok(listener) => return self.listen(listener),
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn close(&self) {
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, thread }) = listening {
            stop.store(true, Ordering::SeqCst);
            drop(TcpStream::connect(self.addr));
            thread.join().unwrap();
        }
    }

    fn disconnect(&self) {
        for stream in lock(&self.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until everything that was sent by those who have gone was served.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn settle_down(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let wait = || {
            assert!(Instant::now() < deadline, "somebody who should have gone is still there");
            std::thread::yield_now();
        };
        {
            // Connections are accepted in their order. Nobody stops listening meanwhile.
            let listening = lock(&self.listening);
            let last = listening.as_ref().map(|_| TcpStream::connect(self.addr).unwrap());
            while last.as_ref().is_some_and(|last| !lock(&self.open).contains_key(&last.local_addr().unwrap())) {
                wait();
            }
        }
        while !lock(&self.open).is_empty() {
            wait();
        }
    }

    /// Writes the piece again and again, until the other side takes no more, or 5 GiB have gone.
    pub(crate) fn pour(&self, stream: &mut TcpStream, piece: &[u8]) {
        while self.poured.load(Ordering::SeqCst) < 5 << 30 && stream.write_all(piece).is_ok() {
            self.poured.fetch_add(piece.len(), Ordering::SeqCst);
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut buffer = vec![0; 128 << 10];
        while self.serve_one(&mut stream, &mut buffer).is_some() {}
    }

    /// One request; `None` when the connection has ended, or ends here.
    fn serve_one(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> Option<()> {
        let request = read_but_for_the_last_byte(stream, buffer)?;
        let broken = (self.meet)(self, Moment::Arrived, &request);
        if broken.is_none_or(|broken| !broken.reset) {
            stream.read_exact(&mut [0]).ok()?;
        }
        let mut bytes = Vec::new();
        if broken.is_none_or(|broken| broken.carried_out) {
            let response = self.with_service(|service| service.handle(NOW, request.clone()));
            let (status, body) = (response.status().as_u16(), response.body());
            bytes = format!("HTTP/1.1 {status} .\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            bytes.extend_from_slice(body);
            (self.meet)(self, Moment::CarriedOut, &request);
        }
        if let Some(broken) = broken {
            (broken.respond)(self, stream, &bytes);
            return None;
        }
        stream.write_all(&bytes).ok()?;
        (self.meet)(self, Moment::Answered, &request);
        Some(())
    }
}

/// Reads a request whole, but for its last byte: a connection that ends with something unread is reset.
fn read_but_for_the_last_byte(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<Request<Vec<u8>>> {
    let mut head = Vec::new();
    // Nothing comes behind a request before it has its response.
    while !head.ends_with(b"\r\n\r\n") {
        let peeked = stream.peek(buffer).ok().filter(|peeked| *peeked > 0)?;
        head.extend_from_slice(&buffer[..peeked]);
        let last = usize::from(head.ends_with(b"\r\n\r\n"));
        stream.read_exact(&mut buffer[..peeked - last]).ok()?;
    }
    let head = String::from_utf8(head).ok()?;
    let mut words = head.split(' ');
    let request = Request::builder().method(words.next()?).uri(words.next()?);
    request.header("authorization", format!("Bearer {LOCAL_TOKEN}")).body(Vec::new()).ok()
}
