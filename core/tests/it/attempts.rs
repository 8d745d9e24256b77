//! The attempts at a request, on one lane and beside others: which count, which are given back, and what is sent again.

use crate::engine::{SECOND, all_sent, attempts, done, ids, on_lanes, page, reread, sent, status};
use crate::one_lane::Respond;

use std::collections::BTreeSet;
use std::time::Duration;
use upstash_dlq_core::selection::Filter;
use upstash_dlq_core::wire::{Delete, Resume};
use upstash_dlq_core::{Delivery, Event, Halt, Operation, RetryPolicy, Selection, Settlement, Step, UnixMillis};

/// Otherwise all lanes would knock again at the same moments.
#[test]
fn each_lane_has_a_seed_of_its_own_also_when_restored() {
    let builder = on_lanes::<Delete>(ids(6_000), 12).retry(RetryPolicy::default(), 7);
    let mut bulk = builder.clone().build();
    assert_eq!(all_sent(&mut bulk, Duration::ZERO).len(), 12);
    let restored = builder.resume_from(reread(&bulk)).unwrap();
    for mut bulk in [bulk, restored] {
        bulk.connection_lost();
        let mut now = SECOND;
        let mut waits = BTreeSet::new();
        while waits.len() < 12 {
            match bulk.poll(now) {
                Step::Send(id, _) => {
                    let Ok(Event::Retry(retried)) = bulk.fail(id, Delivery::NotSent) else { panic!() };
                    assert!(waits.insert(retried.after), "two lanes wait as long: {waits:?}");
                }
                Step::WaitUntil(at) => now = at,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Sixteen requests were in flight when the first was refused: that is one burst, and cuts the concurrency once.
#[test]
fn a_burst_of_429s_cuts_the_concurrency_once() {
    let mut bulk = on_lanes::<Delete>(ids(9_000), 16).build();
    let mut now = Duration::ZERO;
    for concurrency in [16, 8, 4, 2, 2, 2] {
        let burst = all_sent(&mut bulk, now);
        assert_eq!(burst.len(), concurrency);
        for id in burst {
            bulk.respond(id, &status(429, "5")).unwrap();
        }
        assert!(matches!(bulk.poll(now), Step::WaitUntil(at) if at == now + 5 * SECOND));
        now += 5 * SECOND;
        // One page is too little to raise it again, but from one to two. What was refused for the sake of others is no failed
        // attempt while those get on.
        let (id, _) = sent(&mut bulk, now);
        bulk.respond(id, &page(1, "")).unwrap();
    }
}

/// One lane's misfortune: no other lane waits for it, and as many requests as before are in flight at once.
#[test]
fn a_5xx_of_one_lane_is_no_429() {
    let mut bulk = on_lanes::<Delete>(ids(9_000), 16).build();
    for id in all_sent(&mut bulk, Duration::ZERO) {
        bulk.respond(id, &status(503, "5")).unwrap();
        // The other fifteen are all out or, the last time, wait for their own ends.
        assert!(!matches!(bulk.poll(Duration::ZERO), Step::Send(..) | Step::Done(_)));
    }
    assert_eq!(all_sent(&mut bulk, 5 * SECOND).len(), 16, "the concurrency was cut");

    let mut bulk = on_lanes::<Delete>(ids(9_000), 2).build();
    let [first, second] = all_sent(&mut bulk, Duration::ZERO)[..] else { panic!() };
    bulk.respond(first, &status(503, "5")).unwrap();
    bulk.respond(second, &page(1, "")).unwrap();
    sent(&mut bulk, Duration::ZERO);
}

/// A lane that was refused for the sake of others gets its attempts back with their pages. A lane that failed does not.
#[test]
fn failed_attempts_count_while_other_lanes_are_refused() {
    let mut bulk = on_lanes::<Delete>(ids(9_000), 3).retry(attempts(2), 0).build();
    let (failing, asked) = sent(&mut bulk, Duration::ZERO);
    let [refused, answered] = all_sent(&mut bulk, Duration::ZERO)[..] else { panic!() };
    bulk.respond(failing, &status(503, "5")).unwrap();
    bulk.respond(refused, &status(429, "5")).unwrap();
    bulk.respond(answered, &page(1, "")).unwrap();
    let (mut now, mut failures) = (Duration::ZERO, 1);
    let outcome = loop {
        match bulk.poll(now) {
            Step::Send(id, request) if request.uri().query() == Some(&asked) => {
                failures += 1;
                bulk.respond(id, &status(503, "5")).unwrap();
            }
            Step::Send(id, _) => bulk.respond(id, &page(1, "")).map(drop).unwrap(),
            Step::WaitUntil(at) => now = at,
            Step::AwaitResponse => panic!("nothing is in flight"),
            Step::Done(outcome) => break outcome,
        }
    };
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 2, .. })), "{:?}", outcome.halted);
    assert_eq!(failures, 2);
}

/// The request that failed is sent again as it was: a window is cut between pages only.
#[test]
fn a_lane_that_tries_again_keeps_its_window() {
    let window = Filter::builder().from(UnixMillis::new(1_000)).to(UnixMillis::new(2_000)).build().unwrap();
    let mut bulk = on_lanes::<Delete>(Selection::Filter(window), 2).build();
    let (first, _) = sent(&mut bulk, Duration::ZERO);
    bulk.respond(first, &page(1, "c")).unwrap();
    let (failing, asked) = sent(&mut bulk, Duration::ZERO);
    let (finished, _) = sent(&mut bulk, Duration::ZERO);
    bulk.respond(failing, &status(503, "5")).unwrap();
    // The other lane is free now, and takes what waits for a lane. Then it would take half of what this one has.
    bulk.respond(finished, &page(0, "")).unwrap();
    for id in all_sent(&mut bulk, Duration::ZERO) {
        bulk.respond(id, &page(0, "")).unwrap();
    }
    assert!(matches!(bulk.poll(Duration::ZERO), Step::WaitUntil(at) if at == 5 * SECOND));
    assert_eq!(sent(&mut bulk, 5 * SECOND).1, asked);
}

/// A resume that gave up on one lane while another was in doubt continues as a later process would: with all its attempts.
#[test]
fn settling_gives_every_lane_its_attempts_back() {
    let mut bulk = on_lanes::<Resume>(ids(100), 2).retry(attempts(2), 1).build();
    let [first, second] = all_sent(&mut bulk, Duration::ZERO)[..] else { panic!() };
    bulk.fail(first, Delivery::NotSent).unwrap();
    let Step::WaitUntil(now) = bulk.poll(Duration::ZERO) else { panic!() };
    let (first, _) = sent(&mut bulk, now);
    assert_eq!(bulk.fail(first, Delivery::NotSent), Ok(Event::Ended));
    bulk.fail(second, Delivery::Unknown).unwrap();
    assert!(matches!(done(&mut bulk, now).halted, Some(Halt::InDoubt { .. })));
    bulk.settle(Settlement::Applied).unwrap();
    let (first, _) = sent(&mut bulk, now);
    assert!(matches!(bulk.fail(first, Delivery::NotSent), Ok(Event::Retry(_))));
}
