//! The shared suite over ureq.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

#[macro_use]
mod suite;

use http::{Request, Response};
use std::time::Duration;
use upstash_dlq_core::{DlqMessage, Endpoint, Halt, List, Outcome, RetryPolicy, Selection, TransportFailure};
use upstash_dlq_ureq::Client;

struct Ureq;

impl suite::Driver for Ureq {
    fn send(
        endpoint: &Endpoint,
        timeout: Duration,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        Client::builder(endpoint.clone()).timeout(timeout).build().send(request)
    }

    fn delete(endpoint: &Endpoint, timeout: Duration, selection: Selection, policy: RetryPolicy) -> Outcome {
        Client::builder(endpoint.clone()).timeout(timeout).build().delete(selection).retry(policy).run()
    }

    fn list(endpoint: &Endpoint, list: List) -> Result<Vec<DlqMessage>, Halt> {
        Client::new(endpoint.clone()).list(list).items().collect()
    }
}

suite!(Ureq);
