//! The shared suite over ureq.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

#[macro_use]
mod suite;

use http::{Request, Response};
use std::time::Duration;
use upstash_dlq_core::{
    Bulk, Call, DlqId, DlqMessage, Driven, Endpoint, Event, Halt, List, Outcome, Overrides, RetryPolicy, Selection,
    TransportFailure, Verb,
};
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

    fn call<C: Call<Output: Clone + Send> + Sync>(endpoint: &Endpoint, call: C) -> Result<C::Output, Halt> {
        Client::new(endpoint.clone()).call(call)
    }

    fn run<V: Verb>(endpoint: &Endpoint, bulk: &mut Bulk<V>) -> (Vec<V::Page>, Outcome) {
        let mut pages = Vec::new();
        let driven = Client::new(endpoint.clone()).run(bulk, &mut |_: &Bulk<V>, event: &Event<V::Page>| {
            if let Event::Page(page) = event {
                pages.push(page.clone());
            }
        });
        let Driven::Done(outcome) = driven else { panic!() };
        (pages, outcome)
    }

    fn delete_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        Client::new(endpoint.clone()).delete(selection).retry(suite::fast(20)).run_on(lanes.try_into().unwrap())
    }

    fn resume_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        Client::new(endpoint.clone()).resume(selection).retry(suite::fast(2)).run_on(lanes.try_into().unwrap())
    }

    fn count(endpoint: &Endpoint, list: List, lanes: usize) -> Result<u64, Halt> {
        Client::new(endpoint.clone()).count(list, lanes.try_into().unwrap())
    }

    fn each(endpoint: &Endpoint, id: &DlqId, overrides: &Overrides) -> Vec<Result<String, Halt>> {
        let client = Client::new(endpoint.clone());
        let id = || id.clone();
        vec![
            client.get(id()).map(|message| message.as_json().to_owned()),
            client.delete_one(id()).map(|()| "()".into()),
            client.resume_one(id(), overrides.clone()).map(|run| run.workflow_run_id),
            client.restart_one(id(), overrides.clone()).map(|run| run.workflow_run_id),
            client.retry_callback(id()).map(|run| run.workflow_run_id),
            client.cancel_callback(id()).map(|()| "()".into()),
        ]
    }
}

suite!(Ureq);
