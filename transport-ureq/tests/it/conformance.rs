//! The suite that every transport must pass, whoever wrote it.

use upstash_dlq_core::{Delivery, Endpoint, Token};
use upstash_dlq_emulator::conformance::{Failure, Setup, check};
use upstash_dlq_ureq::Client;

#[test]
fn the_transport_conforms() {
    check(|setup: &Setup| {
        let token = Token::new(&*setup.token).unwrap();
        let endpoint = Endpoint::builder().allow_plain_http().build(&setup.url, token).unwrap();
        let client = Client::builder(endpoint).timeout(setup.timeout).max_body(setup.max_body).build().unwrap();
        move |request| {
            client.send(request).map_err(|failure| match failure.delivery {
                Delivery::NotSent => Failure::NotSent(failure.to_string()),
                Delivery::Unknown => Failure::Unknown(failure.to_string()),
            })
        }
    })
    .assert_ok();
}
