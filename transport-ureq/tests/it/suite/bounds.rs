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
    const BOUND: usize = 16 << 20;
    let whole = send::<D>(Reply::Sized(BOUND), &Setup::default()).unwrap();
    assert_eq!(whole.body().len(), BOUND);
    let failure = send::<D>(Reply::Sized(BOUND + 1), &Setup::default()).unwrap_err();
    assert_eq!(failure.delivery, Delivery::Unknown);
    assert!(failure.message.contains("16 MiB"), "{failure:?}");
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
        let shown = D::debug(&endpoint);
        assert!(shown.contains(&wire.url()) && !shown.contains("s3cret"), "{shown}");
    }
}
