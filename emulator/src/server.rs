//! A server around the model: sockets, time, and bounds on both.

use crate::access;
use crate::body::ServedBody;
use crate::fault::Wire;
use crate::model::Service;
use crate::setters::setters;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

/// No request of the contract has a body; a larger one than this, in bytes, is refused.
const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// The source of the server's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Always this time, in milliseconds since the epoch.
    Fixed(i64),
}

/// Options of a [`Server`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The address to listen on. Anyone who reaches it and knows the token is served: keep it on this machine.
    pub addr: SocketAddr,
    /// How long each response is held back.
    pub latency: Duration,
    /// The source of the time.
    pub clock: Clock,
    /// Whether to keep requests for [`Server::raw_requests`].
    pub record: bool,
    /// The most connections that are open at once. Further ones wait.
    pub max_connections: usize,
    /// How long the head of a request may take, and then its body. An idle connection is closed after this time.
    pub read_timeout: Duration,
}

setters! {
    ServerOptions {
        addr: SocketAddr, latency: Duration, clock: Clock, record: bool, max_connections: usize, read_timeout: Duration,
    }
    into {}
}

impl Default for ServerOptions {
    /// A free port of the loopback address, 512 connections, 10 seconds.
    fn default() -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            latency: Duration::ZERO,
            clock: Clock::System,
            record: false,
            max_connections: 512,
            read_timeout: Duration::from_secs(10),
        }
    }
}

/// A request as it came, headers with lower-case names in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body's length in bytes.
    pub body_len: usize,
}

#[derive(Debug)]
struct Shared {
    service: Mutex<Service>,
    recorded: Mutex<Vec<RecordedRequest>>,
    connections: AtomicU64,
    options: ServerOptions,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server. It accepts connections from the moment this returns.
    ///
    /// # Errors
    /// Returns the system's error if the address cannot be bound, or if the thread does not start.
    pub fn start(service: Service, options: ServerOptions) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(options.addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            service: Mutex::new(service),
            recorded: Mutex::default(),
            connections: AtomicU64::new(0),
            options,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _in_runtime = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("dlq-emulator".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, for_thread) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { addr, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base URL for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Gives access to the service behind the server.
    pub fn with_service<R>(&self, f: impl FnOnce(&mut Service) -> R) -> R {
        f(&mut lock(&self.shared.service))
    }

    /// Returns the requests so far, if they are recorded.
    pub fn raw_requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.recorded).clone()
    }

    /// Returns the number of connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A server thread that has panicked has ended, too.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(shared.options.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    loop {
        // It is never closed, so that there always is a permit in the end.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    serve(stream, shared).await;
                    drop(permit);
                });
            }
            // Out of file handles, for instance: others may be closed by then.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Without it responses may be a little late, no more.
    let _ = stream.set_nodelay(true);
    let timeout = shared.options.read_timeout;
    let service = service_fn(|request| respond(request, Arc::clone(&shared)));
    let mut connection = hyper::server::conn::http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(timeout);
    // A connection that breaks is the client's business, or a fault of ours that was asked for.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<ServedBody>, io::Error> {
    let (parts, body) = request.into_parts();
    if let Some(reason) = access::refusal(&parts.headers) {
        return Ok(refused(StatusCode::FORBIDDEN, reason));
    }
    let body = Limited::new(body, MAX_REQUEST_BODY).collect();
    let Ok(body) = tokio::time::timeout(shared.options.read_timeout, body).await else {
        return Ok(refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"));
    };
    let Ok(body) = body else {
        return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "body too large"));
    };
    let request = Request::from_parts(parts, body.to_bytes().to_vec());
    if shared.options.record {
        lock(&shared.recorded).push(record(&request));
    }
    let now = match shared.options.clock {
        Clock::Fixed(now) => now,
        Clock::System => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|now| i64::try_from(now.as_millis()).ok())
            .unwrap_or(0),
    };
    let mut response = lock(&shared.service).handle(now, request);
    if shared.options.latency > Duration::ZERO {
        tokio::time::sleep(shared.options.latency).await;
    }
    let wire = response.extensions_mut().remove::<Wire>();
    match wire {
        Some(Wire::CloseBeforeResponse { .. }) => return Err(io::Error::other("closed on purpose")),
        Some(Wire::Silent) => std::future::pending::<()>().await,
        Some(Wire::Delay(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
        Some(Wire::CutBody | Wire::Endless) | None => {}
    }
    Ok(response.map(|body| match wire {
        Some(Wire::CutBody) => ServedBody::cut(body),
        Some(Wire::Endless) => ServedBody::endless(body),
        _ => ServedBody::whole(body),
    }))
}

fn refused(status: StatusCode, reason: &str) -> Response<ServedBody> {
    let mut response =
        Response::new(ServedBody::whole(serde_json::json!({ "error": reason }).to_string().into_bytes()));
    *response.status_mut() = status;
    response
}

fn record(request: &Request<Vec<u8>>) -> RecordedRequest {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    RecordedRequest {
        method: request.method().to_string(),
        target: request.uri().path_and_query().map_or("", |target| target.as_str()).to_owned(),
        headers: request.headers().iter().map(header).collect(),
        body_len: request.body().len(),
    }
}
