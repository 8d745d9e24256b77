//! A transport over a bare `std::net::TcpStream`, driven by `drive`. Time and size are bounded, and a failure counts as "not
//! sent" only where no connection was made. It speaks HTTP/1.0: a response has its length stated, or it counts as lost.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use upstash_dlq_core::client::transport::into_origin_form;
use upstash_dlq_core::http::{Request, Response, header::CONTENT_LENGTH};
use upstash_dlq_core::{BulkDelete, Endpoint, Selection, Token, TransportFailure, drive};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;
    let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
    let send = |request| {
        let stream = TcpStream::connect_timeout(&server.addr(), TIMEOUT).map_err(TransportFailure::not_sent)?;
        exchange(stream, &into_origin_form(request)).map_err(TransportFailure::unknown)
    };
    let start = Instant::now();
    let driven = drive(&mut delete, send, || start.elapsed(), std::thread::sleep, &mut ());
    assert_eq!(driven.into_outcome(&delete).into_result()?.totals.affected, 250);
    Ok(())
}

/// Sends the request and reads until the server closes the connection.
fn exchange(mut stream: TcpStream, request: &Request<()>) -> Result<Response<Vec<u8>>, Box<dyn Error + Send + Sync>> {
    let mut head = format!("{} {} HTTP/1.0\r\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\r\n", value.to_str()?);
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    let (mut bytes, mut part, deadline) = (Vec::new(), [0; 8192], Instant::now() + TIMEOUT);
    while bytes.len() < 16 * 1024 * 1024 {
        stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?; // refuses a time of zero
        match stream.read(&mut part)? {
            0 => break,
            length => bytes.extend_from_slice(&part[..length]),
        }
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the head was cut off")?;
    let mut lines = std::str::from_utf8(&bytes[..end])?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("no status")?;
    let mut response = Response::builder().status(status);
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("not a header")?;
        response = response.header(name, value.trim());
    }
    let response = response.body(bytes[end + 4..].to_vec())?;
    let length = response.headers().get(CONTENT_LENGTH).ok_or("no length")?.to_str()?;
    if length.parse() == Ok(response.body().len()) { Ok(response) } else { Err("the body was cut off".into()) }
}
