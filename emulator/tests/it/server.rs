//! The server around the model: who may ask, and how much anybody may hold.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Run, Server, ServerOptions, Service};

fn server(options: ServerOptions) -> Server {
    let mut service = Service::new(Config::default());
    service.insert(Run::default().dlq_id("a"));
    Server::start(service, options).unwrap()
}

fn says(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn delete_all(server: &Server, headers: &str) -> String {
    let target = "/v2/workflows/dlq?count=100";
    says(
        server,
        &format!(
            "DELETE {target} HTTP/1.1\r\nauthorization: Bearer {LOCAL_TOKEN}\r\nconnection: close\r\n{headers}\r\n"
        ),
    )
}

/// A page that somebody has open in a browser knows the public token, too.
#[test]
fn a_page_from_elsewhere_is_refused() {
    let server = server(ServerOptions::default());
    for headers in [
        "host: rebound.example:8080\r\n",
        "host: 127.0.0.1\r\norigin: https://evil.example\r\n",
        "host: localhost\r\norigin: null\r\n",
    ] {
        let response = delete_all(&server, headers);
        assert!(response.starts_with("HTTP/1.1 403 "), "{headers}: {response}");
    }
    let form = format!(
        "POST /v2/workflows/dlq/resume?qstash_token={LOCAL_TOKEN} HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(says(&server, &form).starts_with("HTTP/1.1 403 "));
    assert_eq!(server.with_service(|service| (service.len(), service.requests_total())), (1, 0));
    let response = delete_all(&server, "host: localhost:8080\r\norigin: http://localhost:3000\r\n");
    assert!(response.starts_with("HTTP/1.1 200 ") && response.contains("\"deleted\":1"), "{response}");
}

/// Connections that say nothing are closed, so that they keep nobody out for long.
#[test]
fn stalled_connections_are_closed_and_are_few() {
    let options = ServerOptions::default().max_connections(3).read_timeout(Duration::from_millis(100));
    let server = server(options);
    let stalled: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream = TcpStream::connect(server.addr()).unwrap();
            // Some say nothing, some begin a head, some a body.
            let said =
                ["", "GET / HTTP/1.1\r\nhost: loc", "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx"];
            stream.write_all(said[n % 3].as_bytes()).unwrap();
            stream
        })
        .collect();
    let response = delete_all(&server, "host: localhost\r\n");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    // Each is told, or finds out.
    for mut stream in stalled {
        let mut end = Vec::new();
        let _ = stream.read_to_end(&mut end);
        assert!(end.is_empty() || end.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&end));
    }
}

/// As many as the bound says are served at once; the next one waits until one of them has gone.
#[test]
fn connections_are_bounded() {
    let server = server(ServerOptions::default().max_connections(2));
    let open = || {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        stream
    };
    let served = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.read(&mut [0; 4096]).is_ok()
    };
    let mut first: Vec<TcpStream> = (0..2).map(|_| open()).collect();
    assert!(first.iter_mut().all(served));
    let mut third = open();
    assert!(!served(&mut third), "served beyond the bound");
    assert_eq!(server.connections(), 2);
    drop(first);
    third.set_read_timeout(None).unwrap();
    assert!(third.read(&mut [0; 4096]).unwrap() > 0);
}
