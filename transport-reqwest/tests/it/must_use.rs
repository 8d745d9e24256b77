//! Nothing that ends an operation goes by unseen: the compiler warns where the result is dropped. An expectation that is not
//! met is an error here.
#![deny(unfulfilled_lint_expectations)]

use std::num::NonZeroUsize;
use upstash_dlq_core::wire::{DeletePage, List};
use upstash_dlq_core::{BulkDelete, Event, Selection};
use upstash_dlq_reqwest::Client;

#[expect(unused_must_use, reason = "this is the test")]
async fn run(client: &Client) {
    client.delete(Selection::Everything).run().await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn run_with(client: &Client) {
    client.resume(Selection::Everything).run_with(|_, _| ()).await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn run_on(client: &Client) {
    client.restart(Selection::Everything).lanes(NonZeroUsize::MIN).run().await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn run_operation(client: &Client, bulk: &mut BulkDelete) {
    client.run(bulk, &mut |_: &BulkDelete, _: &Event<DeletePage>| ()).await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn count(client: &Client) {
    client.count(List::everything(), NonZeroUsize::MIN).await;
}

#[test]
fn outcomes_must_be_used() {
    // That this compiles is the test.
    let _ = async |client: &Client, bulk: &mut BulkDelete| {
        run(client).await;
        run_with(client).await;
        run_on(client).await;
        run_operation(client, bulk).await;
        count(client).await;
    };
}
