//! Nothing that ends an operation goes by unseen: the compiler warns where the result is dropped. An expectation that is not
//! met is an error here.
#![deny(unfulfilled_lint_expectations)]

use upstash_dlq_core::wire::{DeletePage, List};
use upstash_dlq_core::{ArchivedDelete, BulkDelete, Event, Listing, Selection, drive};
use upstash_dlq_ureq::Client;

#[expect(unused_must_use, reason = "this is the test")]
fn run(client: &Client) {
    client.delete(Selection::Everything).run();
}

#[expect(unused_must_use, reason = "this is the test")]
fn prepared(client: &Client) {
    client.resume(Selection::Everything);
}

#[expect(unused_must_use, reason = "this is the test")]
fn run_on(client: &Client) {
    client.restart(Selection::Everything).lanes(1).run();
}

#[expect(unused_must_use, reason = "this is the test")]
fn run_operation(client: &Client, bulk: &mut BulkDelete) {
    client.run(bulk, &mut |_: &BulkDelete, _: &Event<DeletePage>| ());
}

#[expect(unused_must_use, reason = "this is the test")]
fn count(client: &Client) {
    client.count(List::everything()).run();
}

#[expect(unused_must_use, reason = "this is the test")]
fn pages(client: &Client) {
    client.list(List::everything()).pages();
}

#[expect(unused_must_use, reason = "this is the test")]
fn driven(bulk: &mut BulkDelete) {
    let nothing = |_| Err::<http::Response<&str>, _>(upstash_dlq_core::Delivery::NotSent);
    drive(bulk, nothing, || std::time::Duration::ZERO, |_| (), &mut |_: &BulkDelete, _: &Event<DeletePage>| ());
}

#[expect(unused_must_use, reason = "this is the test")]
fn archive_outcome(archive: &ArchivedDelete) {
    archive.outcome_so_far();
}

#[expect(unused_must_use, reason = "this is the test")]
fn list_outcome(listing: &Listing) {
    listing.outcome_so_far();
}

#[expect(unused_must_use, reason = "this is the test")]
fn totals(bulk: &BulkDelete) {
    bulk.totals();
}

#[test]
fn outcomes_must_be_used() {
    // That this compiles is the test.
    let _ = (run, prepared, run_on, run_operation, count, pages, driven);
    let _ = (archive_outcome, list_outcome, totals);
}
