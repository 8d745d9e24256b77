//! A client or a builder of the user's: what is ours all the same, and what is not known of it.

use crate::suite::wire::{Reply, Wire, ok, status};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_reqwest::{Client, ClientBuilder};

/// To a name that only the user's client knows.
fn send(choose: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<http::Response<Vec<u8>>, TransportFailure> {
    let token = Token::new("s3cret/token").unwrap();
    let endpoint =
        Endpoint::builder().allow_plain_http().token_in_query().build("http://service.invalid", token).unwrap();
    let mut operation = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = operation.poll(std::time::Duration::ZERO) else { panic!() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(choose(Client::builder(endpoint)).build().unwrap().send(request))
}

fn theirs(address: SocketAddr) -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().resolve("service.invalid", address)
}

#[test]
fn a_builder_of_the_caller_is_used_like_ours() {
    let redirect = status("302 Found", "location: /elsewhere\r\n", "");
    for (reply, expected) in [(Reply::Sized(1 << 20), 200), (redirect, 302), (status("500 Oops", "", ""), 500)] {
        let wire = Wire::start(vec![reply]);
        let none = Duration::ZERO;
        let strict = theirs(wire.addr).timeout(none).read_timeout(none).connect_timeout(none);
        assert_eq!(send(|client| client.http(strict)).unwrap().status(), expected);
        let heads = wire.requests();
        assert!(heads.len() == 1 && heads[0].contains(&"host: service.invalid".to_owned()), "{heads:?}");
    }
}

#[test]
fn a_ready_client_is_used_with_our_timeout() {
    let wire = Wire::start(vec![ok("{}")]);
    let ready = theirs(wire.addr).timeout(Duration::ZERO).build().unwrap();
    assert_eq!(send(|client| client.client(ready)).unwrap().status(), 200);
    assert_eq!(wire.requests().len(), 1);
}

#[test]
fn a_redirect_that_a_ready_client_followed_is_seen() {
    let wire = Wire::start(vec![status("302 Found", "location: /elsewhere\r\n", ""), ok("{}")]);
    let ready = theirs(wire.addr).build().unwrap();
    let failure = send(|client| client.client(ready)).unwrap_err();
    assert_eq!(failure.delivery, Delivery::Unknown);
    assert!(failure.message.contains("redirect") && !failure.message.contains("s3cret"), "{failure:?}");
}

#[test]
fn a_refused_connection_of_a_ready_client_counts_as_unknown() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(|client| client.http(theirs(closed))).unwrap_err();
    assert_eq!(failure.delivery, Delivery::NotSent, "{failure:?}");
    // The first request arrives, and the client is sent on to nobody.
    let wire = Wire::start(vec![status("307 Moved", &format!("location: http://{closed}/\r\n"), "")]);
    let ready = theirs(wire.addr).build().unwrap();
    let failure = send(|client| client.client(ready)).unwrap_err();
    assert_eq!((failure.delivery, wire.requests().len()), (Delivery::Unknown, 1), "{failure:?}");
}

#[test]
fn errors_contain_no_token() {
    let wire = Wire::start(vec![ok("{}")]);
    let failure = send(|client| client.http(theirs(wire.addr).https_only(true))).unwrap_err();
    assert_eq!((failure.delivery, wire.requests().len()), (Delivery::NotSent, 0));
    assert!(!format!("{failure:?} {failure}").contains("s3cret"), "{failure:?}");
}
