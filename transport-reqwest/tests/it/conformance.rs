//! The suite that every transport must pass, whoever wrote it.

use std::sync::Mutex;
use upstash_dlq_core::{Delivery, Endpoint, Token};
use upstash_dlq_emulator::conformance::{CHECKS, Failure, Setup, check_one};
use upstash_dlq_reqwest::Client;

#[test]
fn the_transport_conforms() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let connect = |setup: &Setup| {
        let token = Token::new(&*setup.token).unwrap();
        let endpoint = Endpoint::builder().allow_plain_http().build(&setup.url, token).unwrap();
        let client = Client::builder(endpoint).timeout(setup.timeout).max_body(setup.max_body).build().unwrap();
        let runtime = &runtime;
        move |request| {
            runtime.block_on(client.send(request)).map_err(|failure| match failure.delivery {
                Delivery::NotSent => Failure::NotSent(failure.to_string()),
                Delivery::Unknown => Failure::Unknown(failure.to_string()),
            })
        }
    };
    // Most of the time a check waits, so several are made at once.
    let left = Mutex::new(CHECKS.iter());
    let check_all = || {
        while let Some(name) = { left.lock().unwrap().next() } {
            check_one(name, connect).unwrap().assert_ok();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(check_all))));
}
