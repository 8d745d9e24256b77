//! Nothing that ends an operation goes by unseen: the compiler warns where the result is dropped. An expectation that is not
//! met is an error here.
#![deny(unfulfilled_lint_expectations)]

use upstash_dlq_core::wire::{DeletePage, List};
use upstash_dlq_core::{BulkDelete, Event, Selection};
use upstash_dlq_reqwest::Client;

#[expect(unused_must_use, reason = "this is the test")]
async fn run(client: &Client) {
    client.delete(Selection::Everything).run().await;
}

#[expect(unused_must_use, reason = "this is the test")]
fn prepared(client: &Client) {
    client.resume(Selection::Everything);
}

#[expect(unused_must_use, reason = "this is the test")]
async fn run_on(client: &Client) {
    client.restart(Selection::Everything).lanes(1).run().await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn run_operation(client: &Client, bulk: &mut BulkDelete) {
    client.run(bulk, &mut |_: &BulkDelete, _: &Event<DeletePage>| ()).await;
}

#[expect(unused_must_use, reason = "this is the test")]
async fn count(client: &Client) {
    client.count(List::everything()).run().await;
}

#[expect(unused_must_use, reason = "this is the test")]
fn pages(client: &Client) {
    client.list(List::everything()).pages();
}

#[test]
fn outcomes_must_be_used() {
    // That this compiles is the test.
    let _ = async |client: &Client, bulk: &mut BulkDelete| {
        run(client).await;
        prepared(client);
        pages(client);
        run_on(client).await;
        run_operation(client, bulk).await;
        count(client).await;
    };
}
