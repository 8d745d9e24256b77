//! A transport over smol, without a tokio runtime: hyper's HTTP/1.1 on smol's `TcpStream`, driven by `drive_async`.
//!
//! Time and size are bounded. A failure counts as "not sent" only before the request is handed to the connection.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use smol::{Timer, future, net::TcpStream};
use smol_hyper::rt::FuturesIo;
use std::error::Error;
use std::time::{Duration, Instant};
use upstash_dlq_core::client::transport::into_origin_form;
use upstash_dlq_core::http::{Request, Response};
use upstash_dlq_core::{BulkDelete, Endpoint, Selection, Token, TransportFailure, drive_async};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 16 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;

    let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
    let start = Instant::now();
    let send = |request| future::or(send(request), timeout());
    let driven = smol::block_on(drive_async(&mut delete, send, || start.elapsed(), Timer::after, &mut ()));
    assert_eq!(driven.into_outcome(&delete).into_result()?.totals.affected, 250);
    Ok(())
}

async fn timeout<T>() -> Result<T, TransportFailure> {
    Timer::after(TIMEOUT).await;
    Err(TransportFailure::unknown("no response within 30 s"))
}

async fn send(request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    let stream = TcpStream::connect(authority).await.map_err(TransportFailure::not_sent)?;
    let (mut sender, connection) =
        http1::handshake(FuturesIo::new(stream)).await.map_err(TransportFailure::not_sent)?;
    let _connection = smol::spawn(connection); // ends with this function

    let request = into_origin_form(request).map(|()| Empty::<&[u8]>::new());
    let (head, body) = sender.send_request(request).await.map_err(TransportFailure::unknown)?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(TransportFailure::unknown)?;
    Ok(Response::from_parts(head, body.to_bytes().to_vec()))
}
