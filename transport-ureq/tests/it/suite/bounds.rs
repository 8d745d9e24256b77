//! How much, how long, and what is shown.

use super::wire::{Reply, Wire, ok, status};
use super::{Driver, Setup, endpoint};
use http::{Request, Response};
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};

fn request(endpoint: &Endpoint) -> Request<()> {
    let mut operation = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = operation.poll(std::time::Duration::ZERO) else { panic!() };
    request
}

fn send<D: Driver>(reply: Reply, setup: &Setup) -> Result<Response<Vec<u8>>, TransportFailure> {
    let wire = Wire::start(vec![reply]);
    let endpoint = endpoint(&wire.url());
    D::send_with(&endpoint, setup, request(&endpoint))
}

pub(crate) fn a_body_may_be_as_large_as_the_bound_and_no_larger<D: Driver>() {
    for (bound, named) in
        [(16 << 20, "16 MiB"), (1 << 20, "1 MiB"), (20_000, "20000 bytes"), (1, "1 byte"), (0, "0 bytes")]
    {
        let setup = Setup { max_body: bound, ..Setup::default() };
        for reply in [Reply::Sized as fn(usize) -> Reply, Reply::Chunked, Reply::UntilTheEnd] {
            let whole = send::<D>(reply(bound), &setup).unwrap();
            assert_eq!(whole.body().len(), bound);
            let failure = send::<D>(reply(bound + 1), &setup).unwrap_err();
            assert_eq!(failure.delivery, Delivery::Unknown);
            assert_eq!(failure.message, format!("the response is larger than {named}"));
        }
    }
    assert_eq!(Setup::default().max_body, 16 << 20);
}

pub(crate) fn a_length_beyond_the_bound_ends_the_request_at_once<D: Driver>() {
    // No byte of the body ever comes.
    let promise = Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 20001\r\n\r\n".into());
    let failure = send::<D>(promise, &Setup { max_body: 20_000, ..Setup::default() }).unwrap_err();
    assert_eq!(failure.delivery, Delivery::Unknown);
    assert_eq!(failure.message, "the response is larger than 20000 bytes");
    let endless = Reply::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX / 2));
    let failure = send::<D>(endless, &Setup { max_body: 1 << 40, ..Setup::default() }).unwrap_err();
    assert_eq!(failure.message, "the response is larger than 1048576 MiB");
    // Without a body, a length is no promise.
    let none = Reply::Bytes("HTTP/1.1 304 Not Modified\r\ncontent-length: 20001\r\n\r\n".into());
    let response = send::<D>(none, &Setup { max_body: 20_000, ..Setup::default() }).unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (304, 0));
    send::<D>(ok("{}"), &Setup { max_body: usize::MAX, ..Setup::default() }).unwrap();
}

pub(crate) fn a_head_of_sixty_kilobytes_is_taken<D: Driver>() {
    let header = format!("x-long: {}\r\n", "a".repeat(60_000));
    let response = send::<D>(status("200 OK", &header, "{\"deleted\":0}"), &Setup::default()).unwrap();
    assert_eq!((response.headers()["x-long"].len(), response.body().len()), (60_000, 13));
}

pub(crate) fn for_ever_is_a_timeout_too<D: Driver>() {
    for (timeout, connect_timeout) in
        [(Duration::MAX, Duration::MAX), (Duration::MAX, super::LONG), (super::LONG, Duration::MAX)]
    {
        let setup = Setup { timeout, connect_timeout, ..Setup::default() };
        send::<D>(ok("{\"deleted\":0}"), &setup).unwrap();
    }
}

pub(crate) fn no_token_is_shown<D: Driver>() {
    let wire = Wire::start(vec![ok("{\"deleted\":0}")]);
    for builder in [Endpoint::builder(), Endpoint::builder().token_in_query()] {
        let endpoint = builder.build(&wire.url(), Token::new("s3cret/+token").unwrap()).unwrap();
        for shown in D::debug(&endpoint) {
            assert!(shown.contains(&wire.url()) && !shown.contains("s3cret"), "{shown}");
        }
    }
}
