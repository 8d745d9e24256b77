//! What an outcome holds while an operation goes on, and at its end.

use crate::one_lane::Respond;
use crate::world::endpoint;
use http::Response;
use std::time::Duration;
use upstash_dlq_core::engine::{InvalidState, RequestId, StoreFailure};
use upstash_dlq_core::selection::{Ids, Refined, Refinement};
use upstash_dlq_core::wire::{DeleteOne, Overrides, RestartOne};
use upstash_dlq_core::{
    BulkDelete, Checkpoint, Delivery, DlqId, Filter, Halt, Operation, Outcome, Selection, Settlement, SingleCall, Step,
    Totals,
};

fn sent<O: Operation>(operation: &mut O) -> RequestId {
    let Step::Send(id, _) = operation.poll(Duration::ZERO) else { panic!("a request was expected") };
    id
}

fn totals<O: Operation>(operation: &O) -> Totals {
    operation.totals()
}

/// Runs that were affected, requests whose result is unknown, and what the halt says: each is enough.
#[test]
fn each_sign_of_a_change_is_enough() {
    let lost = Halt::StoppedUnconfirmed;
    for (affected, unconfirmed, halt, changed) in [
        (0, 0, Halt::NoProgress, false),
        (1, 0, Halt::NoProgress, true),
        (0, 1, Halt::NoProgress, true),
        (0, 0, lost.clone(), true),
        (1, 1, lost, true),
    ] {
        let error = Outcome::halted(Totals::from_counts(affected, unconfirmed), halt).into_result().unwrap_err();
        assert_eq!(error.may_have_changed(), changed, "{error}");
    }
}

/// A checkpoint is there to go on. What is complete has none, and neither has what was stopped before its first request: it could
/// replace a better one.
#[test]
fn only_what_can_go_on_has_a_checkpoint() {
    let delete = || BulkDelete::builder(endpoint(), Selection::Everything).verify(false).build();
    let stopped = || [Halt::Stopped, Halt::StoreFailed(StoreFailure::new("disk full"))];
    for halt in stopped() {
        assert_eq!(delete().outcome_halted(halt.clone()).checkpoint(), None, "{halt}");
    }
    assert!(delete().outcome_halted(Halt::NoProgress).checkpoint().is_some());
    let mut begun = delete();
    let id = sent(&mut begun);
    begun.on_failure(id, Delivery::Unknown.into()).unwrap();
    for halt in stopped() {
        assert!(begun.outcome_halted(halt.clone()).checkpoint().is_some(), "{halt}");
    }
    let mut complete = delete();
    let id = sent(&mut complete);
    complete.respond(id, &Response::new(r#"{"deleted":0}"#)).unwrap();
    let Step::Done(outcome) = complete.poll(Duration::ZERO) else { panic!("the end was expected") };
    assert_eq!((&outcome.halted, outcome.totals.requests), (&None, 1));
    assert_eq!(outcome.checkpoint(), None);
}

/// Whatever a bulk operation acts on, it is stopped in the same way: what was taken back counts for nothing, and nothing follows.
#[test]
fn each_kind_of_selection_stops_alike() {
    let filter = Filter::builder().label("x").build().unwrap();
    let refined = Refined::new(None, Refinement::builder().status(500).build().unwrap());
    let ids = Ids::parse(["a", "b"]).unwrap();
    for selection in [Selection::Ids(ids), Selection::Filter(filter), Selection::Refined(refined)] {
        let mut delete = BulkDelete::builder(endpoint(), selection.clone()).build();
        assert_eq!((delete.selection(), delete.concurrency()), (&selection, 1));
        let id = sent(&mut delete);
        assert_eq!((delete.in_flight(), delete.totals().requests, delete.outcome_so_far().totals.requests), (1, 1, 1));
        delete.cancel_unsent(id).unwrap();
        assert_eq!(
            (delete.in_flight(), delete.totals(), delete.cancel_unsent(id)),
            (0, Totals::default(), Err(InvalidState))
        );
        assert_eq!((delete.in_doubt(), delete.all_in_doubt()), (None, (0, 0)));
        assert_eq!(delete.settle(Settlement::Applied), Err(InvalidState), "nothing is in doubt");
        assert_eq!(delete.outcome_halted(Halt::NoProgress).halted, Some(Halt::NoProgress));
        assert_eq!(delete.halt(), None, "it was only asked");
        // A request whose connection was lost has been sent, as far as anybody knows.
        sent(&mut delete);
        delete.connection_lost();
        assert_eq!((delete.in_flight(), delete.totals().requests), (0, 1));
        delete.halt_for(Halt::Stopped);
        delete.halt_for(Halt::NoProgress);
        assert_eq!(delete.halt(), Some(&Halt::Stopped), "the first reason counts");
        let Step::Done(outcome) = delete.poll(Duration::ZERO) else { panic!("the end was expected") };
        assert_eq!((outcome.halted.clone(), outcome.totals.requests), (Some(Halt::Stopped), 1));
        assert_eq!(delete.outcome_halted(Halt::NoProgress), outcome, "it had ended by then");
    }
}

/// Whoever drives an operation reads what it has done, whichever operation it is.
#[test]
fn what_was_done_is_counted_while_it_goes_on() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let id = sent(&mut delete);
    assert_eq!((totals(&delete).unconfirmed, totals(&delete).pages), (1, 0), "it is in flight");
    delete.respond(id, &Response::new(r#"{"deleted":3,"cursor":"c"}"#)).unwrap();
    assert_eq!(totals(&delete).affected, 3);
    assert_eq!(totals(&delete), delete.totals());
    let mut call = SingleCall::builder(endpoint(), DeleteOne(DlqId::new("a").unwrap())).build();
    let id = sent(&mut call);
    call.respond(id, &Response::new("")).unwrap();
    assert_eq!((call.totals().requests, call.totals().pages), (1, 1));
    assert_eq!(totals(&call), call.totals());
}

/// A call that may have started its run says that it is one run.
#[test]
fn a_call_in_doubt_is_of_one_run() {
    let restart = RestartOne::new(DlqId::new("a").unwrap(), Overrides::default());
    let mut call = SingleCall::builder(endpoint(), restart).build();
    let id = sent(&mut call);
    call.on_failure(id, Delivery::Unknown.into()).unwrap();
    let Step::Done(Err(halt)) = call.poll(Duration::ZERO) else { panic!("the end was expected") };
    assert!(matches!(halt, Halt::InDoubt { asked: 1, .. }), "{halt:?}");
    assert!(halt.to_string().contains("make the call again only if it was not carried out"), "{halt}");
}

/// A request by ids that was sent once tells how many of them were not there. After a lost response it tells nothing, also in the
/// next process.
#[test]
fn ids_that_were_not_there_are_counted() {
    let ids = || Selection::Ids(Ids::parse(["a", "b", "c"]).unwrap());
    let builder = || BulkDelete::builder(endpoint(), ids());
    let mut delete = builder().build();
    let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
    delete.respond(id, &Response::new(r#"{"deleted":1}"#)).unwrap();
    let Step::Done(outcome) = delete.poll(Duration::ZERO) else { panic!() };
    assert_eq!((outcome.totals.affected, outcome.totals.missing), (1, 2));
    let mut delete = builder().build();
    let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
    delete.fail(id, Delivery::Unknown).unwrap();
    let saved = Checkpoint::from_json(delete.checkpoint().to_json()).unwrap();
    for mut delete in [delete, builder().resume_from(saved).unwrap()] {
        let mut now = Duration::ZERO;
        let outcome = loop {
            match delete.poll(now) {
                Step::WaitUntil(at) => now = at,
                Step::Send(id, _) => drop(delete.respond(id, &Response::new(r#"{"deleted":0}"#)).unwrap()),
                Step::Done(outcome) => break outcome,
                step => panic!("{step:?}"),
            }
        };
        assert_eq!(
            (outcome.totals.affected, outcome.totals.missing),
            (0, 0),
            "an earlier attempt may have deleted them"
        );
    }
    // A delete by filter names no ids.
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
    delete.respond(id, &Response::new(r#"{"deleted":0}"#)).unwrap();
    assert_eq!(delete.totals().missing, 0);
}
