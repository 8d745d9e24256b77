//! The server's side of TLS, with a certificate that only the authority of these tests signed. Both are for
//! `localhost`, `127.0.0.1` and `behind.invalid`, good for a hundred years, and secret to nobody.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// The authority, in PEM; as a file, too, for libraries that read the roots from one.
pub(crate) const CA: &str = include_str!("tls/ca.pem");
#[allow(dead_code, reason = "for those that have roots of the operating system")]
pub(crate) const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../transport-ureq/tests/it/suite/tls/ca.pem");

pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// The handshake comes with the first byte that is read or written.
pub(crate) fn accept(stream: TcpStream) -> TlsStream {
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

/// Responds to one request, if one comes.
pub(crate) fn serve_one(stream: TcpStream) {
    let mut stream = accept(stream);
    if read_head(&mut stream) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 13\r\n\r\n{\"deleted\":0}");
        let _ = stream.flush();
        // Until the client has gone: a connection that is closed with something unread is reset.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Whether a whole request head came.
pub(crate) fn read_head(stream: &mut impl Read) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}
