//! Whoever drops what drives a operation finds the request that was in flight in its totals, its outcome and its file.

use crate::one_lane::{ArchiveStep, One, OneStep, Respond};
use http::Response;
use std::num::NonZeroUsize;
use std::time::Duration;
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, Endpoint, Halt, Operation, Selection, Step, Token, Totals, UnixMillis,
};

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn counted(totals: Totals) -> (u64, u64, u64) {
    (totals.requests, totals.unconfirmed, totals.affected)
}

#[test]
fn a_request_counts_from_the_moment_it_is_handed_out() {
    let resume = || BulkResume::builder(endpoint(), Selection::Everything);
    let mut bulk = resume().one();
    assert_eq!(counted(bulk.totals()), (0, 0, 0));
    let OneStep::Send(_) = bulk.poll() else { panic!() };
    assert_eq!(counted(bulk.totals()), (1, 1, 0));
    assert_eq!(counted(bulk.outcome_so_far().totals), (1, 1, 0));
    let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap();
    assert_eq!(counted(saved.totals()), (1, 1, 0));
    // Whoever goes on from the file has to settle it.
    let mut later = resume().resume_from(saved).unwrap().one();
    assert!(matches!(later.poll(), OneStep::Done(outcome) if matches!(outcome.halted, Some(Halt::InDoubt { .. }))));
    // Its response makes it certain; a request that was taken back counts for nothing.
    bulk.on_response(&Response::new(r#"{"workflowRuns":[{"workflowRunId":"w"}],"cursor":"c"}"#)).unwrap();
    assert_eq!(counted(bulk.totals()), (1, 0, 1));
    let OneStep::Send(_) = bulk.poll() else { panic!() };
    bulk.cancel_unsent().unwrap();
    assert_eq!(counted(bulk.totals()), (1, 0, 1));
}

#[test]
fn requests_of_many_lanes_count_too() {
    let lanes = NonZeroUsize::new(4).unwrap();
    let now = UnixMillis::new(1_764_000_000_000);
    let mut operation = BulkDelete::builder(endpoint(), Selection::Everything).lanes(lanes, now).build();
    let Step::Send(first, _) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!(counted(operation.totals()), (1, 1, 0));
    operation.respond(first, &Response::new(r#"{"deleted":100,"cursor":"c"}"#)).unwrap();
    assert_eq!(counted(operation.totals()), (1, 0, 100));
    for out in 1..=4 {
        let Step::Send(..) = operation.poll(Duration::ZERO) else { panic!() };
        assert_eq!(counted(operation.totals()), (1 + out, out, 100));
        assert_eq!(counted(operation.outcome_so_far().totals), (1 + out, out, 100));
        let saved = Checkpoint::from_json(operation.checkpoint().to_json().as_bytes()).unwrap();
        assert_eq!(counted(saved.totals()), (1 + out, out, 100));
    }
}

#[test]
fn a_deletion_of_what_was_archived_counts_too() {
    let mut archive = BulkDelete::builder(endpoint(), Selection::Everything).build_archived().one();
    let ArchiveStep::Send(_) = archive.poll() else { panic!() };
    assert_eq!(counted(archive.totals()), (1, 0, 0), "a listing changes nothing");
    archive.on_response(&Response::new(r#"{"messages":[{"dlqId":"a"}]}"#)).unwrap();
    let ArchiveStep::Store(_) = archive.poll() else { panic!() };
    archive.stored().unwrap();
    let ArchiveStep::Send(_) = archive.poll() else { panic!() };
    assert_eq!(counted(archive.outcome_so_far().totals), (2, 1, 0));
}
