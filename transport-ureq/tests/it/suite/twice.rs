//! A response that comes twice, in one piece, over TLS. The second one must not be taken for the response to the next request.

use super::tls::{accept, read_head};
use super::{Driver, Setup};
use http::Request;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use upstash_dlq_core::{Endpoint, Token};

/// Responds to the first request twice, and to any other once.
fn serve(stream: TcpStream, body: usize) {
    let mut stream = accept(stream);
    if !read_head(&mut stream) {
        return;
    }
    let busy = format!("HTTP/1.1 429 Busy\r\ncontent-length: {body}\r\n\r\n{}", "x".repeat(body));
    for _ in 0..2 {
        stream.conn.writer().write_all(busy.as_bytes()).unwrap();
    }
    let mut both = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut both).unwrap();
    }
    stream.sock.write_all(&both).unwrap();
    if read_head(&mut stream) {
        answer(&mut stream);
    }
}

fn answer(stream: &mut (impl Read + Write)) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    let _ = stream.flush();
    // Until the client has gone: a connection that is closed with something unread is reset.
    let _ = stream.read_to_end(&mut Vec::new());
}

pub(crate) fn a_response_that_comes_twice_answers_one_request<D: Driver>() {
    // ureq hands 4,096 bytes at a time to TLS: the second response ends in the same piece, or up to three later.
    for body in [100, 3_000, 5_000, 7_500] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            serve(listener.accept().unwrap().0, body);
            // The next request may come on a connection of its own.
            let mut stream = accept(listener.accept().unwrap().0);
            if read_head(&mut stream) {
                answer(&mut stream);
            }
        });
        let endpoint = Endpoint::new(&url, Token::new("t0ken").unwrap()).unwrap();
        let setup = Setup { trusting: true, ..Setup::default() };
        let request = || Request::post(format!("{url}/x")).body(()).unwrap();
        let responses = D::send_each(&endpoint, &setup, [request(), request()]);
        let statuses: Vec<u16> = responses.into_iter().map(|response| response.unwrap().status().as_u16()).collect();
        assert_eq!(statuses, [429, 200], "{body}");
    }
}
