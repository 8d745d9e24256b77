//! Resume and restart: no run is started twice, whatever the service, the network and the process do.

use crate::cases::cases;
use crate::one_lane::{One, OneStep, Respond};
use crate::world::{NOW, TOKEN, World, endpoint, faults, lanes, matches, policy, runs_at, selection, service};
use http::Response;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::operation::{BulkBuilder, InDoubt};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::Resume;
use upstash_dlq_core::{
    BulkRestart, BulkResume, Checkpoint, Delivery, Halt, Operation, Outcome, Selection, Settlement, Step, UnixMillis,
};
use upstash_dlq_emulator::{Config, CursorKind, Ignored, Run, Service};

const DAY: i64 = 86_400_000;

fn resume_of(selected: Selection, size: u32, max: Option<u64>) -> BulkBuilder<Resume> {
    BulkResume::builder(endpoint(), selected)
        .page_size(NonZeroU32::new(size).unwrap())
        .max(max.and_then(NonZeroU64::new))
        .retry(policy(), 1)
}

fn on_lanes(resume: BulkBuilder<Resume>, n: usize) -> BulkResume {
    resume.lanes(lanes(n), UnixMillis::new(NOW)).build()
}

/// How often each run was started.
fn starts(service: &Service) -> BTreeMap<String, u32> {
    let mut starts = BTreeMap::new();
    service.started().for_each(|started| *starts.entry(started.dlq_id.clone()).or_default() += 1);
    starts
}

/// Drives it, and settles what has to be settled as somebody would who knows what became of each request. Where started
/// runs stay, that is only done for a request that was not carried out.
fn drive(world: &mut World, operation: &mut BulkResume, stay: bool, mut steps: usize) -> Option<Outcome> {
    let mut applied = false;
    loop {
        assert!(steps > 0);
        steps -= 1;
        match operation.poll(world.clock) {
            Step::Done(outcome) if matches!(outcome.halted, Some(Halt::InDoubt { .. })) => {
                assert!(world.in_flight.is_empty(), "done with requests out");
                if stay && applied {
                    return Some(outcome);
                }
                operation.settle(if applied { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
            }
            Step::Done(outcome) => return Some(outcome),
            Step::Send(lane, request) => {
                let before = world.service.started().count();
                world.deliver(lane, &request);
                applied = world.service.started().count() > before;
            }
            Step::WaitUntil(at) if world.in_flight.is_empty() => world.clock = at,
            Step::WaitUntil(_) | Step::AwaitResponse => drop(world.respond(operation)),
        }
    }
}

proptest! {
    #![proptest_config(cases(300, 15_000))]

    #[test]
    fn no_run_is_started_twice(
        kind in 0_u8..4, n in 1_usize..12, size in 1_u32..20, max in prop::option::of(1_u64..300), plan in faults(),
        offset in any::<bool>(), stay in any::<bool>(), bound_cursors in any::<bool>(), ignored in ignored(),
        seed in any::<u64>(),
    ) {
        // What such a server makes of the selection's own dates, no client can tell.
        let ignored = if kind < 2 { ignored } else { Vec::new() };
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let config = Config::default().cursors(cursors).ignored(ignored).bound_cursors(bound_cursors).started_runs_stay(stay);
        let mut world = World::new(service(1_000, config), seed);
        let matching: Vec<String> =
            world.service.runs().filter(|run| matches(kind, run)).map(|run| run.dlq_id.clone()).collect();
        world.service.set_faults(plan);
        let mut operation = on_lanes(resume_of(selection(kind), size, max), n);
        let outcome = drive(&mut world, &mut operation, stay, 1_000_000).unwrap();
        // Where started runs stay and their response was lost, going on would start them again: it does not.
        let lost = matches!(outcome.halted, Some(Halt::InDoubt { .. }));
        prop_assert!(outcome.halted.is_none() || (stay && lost), "{:?}", outcome.halted);
        let starts = starts(&world.service);
        prop_assert!(starts.values().all(|times| *times == 1), "started twice: {starts:?}");
        prop_assert!(starts.keys().all(|id| matching.contains(id)), "more than was asked for");
        prop_assert!(outcome.totals.affected <= starts.len() as u64);
        if outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(outcome.totals.affected, starts.len() as u64);
        }
        match max {
            Some(max) => {
                prop_assert!(starts.len() as u64 <= max);
                if outcome.totals.unconfirmed == 0 && (!offset || stay) {
                    prop_assert_eq!(starts.len() as u64, max.min(matching.len() as u64));
                }
            }
            // With offsets, runs that leave make the rest slip past the cursor.
            None if lost => {}
            None if !offset || stay => prop_assert_eq!(starts.len(), matching.len()),
            None => {}
        }
        prop_assert_eq!(outcome.totals.requests, world.requests, "requests are not counted right");
        prop_assert!(world.most_in_flight <= 1, "a window trusts the dates of the server");
    }

    /// The process dies at any moment, again and again, also after the last page; somebody settles what was in flight.
    #[test]
    fn a_crash_starts_nothing_twice(
        n in 1_usize..9, again in 1_usize..9, size in 1_u32..20, plan in faults(), stay in any::<bool>(),
        runs in prop_oneof![0_usize..60, Just(300)], crashes in prop::collection::vec((prop_oneof![1_usize..10, 1_usize..60], any::<bool>()), 1..5),
        max in prop::option::of(50_u64..600), seed in any::<u64>(),
    ) {
        let mut world = World::new(service(runs, Config::default().started_runs_stay(stay)), seed);
        let resume = || resume_of(Selection::Everything, size, max);
        let mut operation = on_lanes(resume(), n);
        if !stay {
            world.service.set_faults(plan);
        }
        let mut carried_out = false;
        let mut saved = operation.checkpoint().to_json();
        for (steps, stopped) in crashes {
            let mut in_flight = 0;
            for _ in 0..steps {
                match operation.poll(world.clock) {
                    Step::Done(outcome) if outcome.halted.is_some() => {
                        prop_assert!(operation.in_doubt().is_some(), "{:?}", outcome.halted);
                        operation.settle(if carried_out { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
                        (saved, in_flight) = (operation.checkpoint().to_json(), 0);
                    }
                    Step::Done(_) => break,
                    Step::Send(lane, request) => {
                        // On disk before it is sent.
                        saved = operation.checkpoint().to_json();
                        in_flight = 1;
                        let before = world.service.started().count();
                        world.deliver(lane, &request);
                        carried_out = world.service.started().count() > before;
                    }
                    Step::WaitUntil(at) if world.in_flight.is_empty() => world.clock = at,
                    Step::WaitUntil(_) | Step::AwaitResponse => drop(world.respond(&mut operation)),
                }
            }
            if stopped {
                // As after Ctrl-C: what is out comes to its end, and then the file is written once more.
                while !world.in_flight.is_empty() {
                    drop(world.respond(&mut operation));
                }
                saved = operation.checkpoint().to_json();
                in_flight = u64::from(operation.in_doubt().is_some());
            }
            // What came back since the file was written is forgotten.
            world.in_flight.clear();
            let file = Checkpoint::from_json(saved.as_bytes()).unwrap();
            operation = resume().lanes(lanes(again), UnixMillis::new(NOW + 9_000)).resume_from(file).unwrap();
            let mut settled = 0;
            while operation.in_doubt().is_some() {
                settled += 1;
                // It says so before it sends anything.
                let Step::Done(outcome) = operation.poll(world.clock) else { panic!("sent before it is settled") };
                let waits = matches!(outcome.halted, Some(Halt::InDoubt { .. }));
                prop_assert!(waits, "{:?}", outcome.halted);
                // Where started runs stay and the cursor is lost with the response, somebody gives up here.
                if carried_out && stay {
                    let starts = starts(&world.service);
                    prop_assert!(starts.values().all(|times| *times == 1), "started twice: {starts:?}");
                    return Ok(());
                }
                operation.settle(if carried_out { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
            }
            prop_assert_eq!(settled, in_flight, "what was in flight has to be settled");
            saved = operation.checkpoint().to_json();
        }
        let outcome = drive(&mut world, &mut operation, stay, 1_000_000).unwrap();
        prop_assert!(outcome.halted.is_none(), "{:?}", outcome.halted);
        let starts = starts(&world.service);
        prop_assert!(starts.values().all(|times| *times == 1), "started twice: {starts:?}");
        match max {
            Some(max) => prop_assert!(starts.len() as u64 <= max),
            None => prop_assert_eq!(starts.len(), runs + 5),
        }
    }
}

/// What a broken server may pass over: nothing, or dates at one end or both, for one method or all.
fn ignored() -> impl Strategy<Value = Vec<Ignored>> {
    let name = prop::sample::select(vec!["fromDate", "toDate"]);
    let method = prop::sample::select(vec![None, Some(http::Method::GET), Some(http::Method::POST)]);
    prop::collection::vec((method, name).prop_map(|(method, name)| Ignored::new(method, name)), 0..4)
}

fn world_of(runs: Vec<Run>, config: Config) -> World {
    let mut service = Service::new(config.token(TOKEN));
    runs.into_iter().for_each(|run| service.insert(run));
    World::new(service, 7)
}

/// A window would trust the dates of the server. Ids trust nothing: each is in one batch and in no other.
#[test]
fn resume_and_restart_stay_in_one_lane_unless_they_have_ids() {
    let runs = || runs_at((0..2_000).map(|n| NOW - n * DAY / 40));
    let mut world = world_of(runs(), Config::default());
    let mut operation =
        BulkRestart::builder(endpoint(), Selection::Everything).lanes(lanes(4), UnixMillis::new(NOW)).build();
    let outcome = world.run(&mut operation, 100_000, |_, _| ()).unwrap();
    assert!(outcome.halted.is_none() && outcome.totals.affected == 2_000 && world.most_in_flight == 1, "{outcome:?}");

    let ids = Selection::Ids(Ids::parse((0..900).map(|n| format!("r{n}"))).unwrap());
    for (selected, count, lanes) in [(Selection::Everything, 2_000, 1), (ids, 900, 4)] {
        let mut world = world_of(runs(), Config::default());
        let mut operation = on_lanes(resume_of(selected, 50, None), 4);
        let outcome = world.run(&mut operation, 100_000, |_, _| ()).unwrap();
        assert!(outcome.halted.is_none() && outcome.totals.affected == count, "{outcome:?}");
        assert_eq!(
            (world.most_in_flight, outcome.totals.requests),
            (lanes, count.div_ceil(50) + u64::from(lanes == 1))
        );
        assert!(starts(&world.service).values().all(|times| *times == 1));
    }
}

/// The last page has come, and then the process ends: a later one finds nothing to do, on one lane and on the operation's own.
#[test]
fn a_finished_lane_does_not_begin_again() {
    let pages =
        [r#"{"workflowRuns":[{"workflowRunId":"a"}],"cursor":"c"}"#, r#"{"workflowRuns":[{"workflowRunId":"b"}]}"#];
    let resume = || resume_of(Selection::Everything, 50, None);
    let mut bulk = resume().one();
    let mut operation = on_lanes(resume(), 4);
    for page in pages {
        let OneStep::Send(_) = bulk.poll() else { panic!() };
        bulk.on_response(&Response::new(page)).unwrap();
        let Step::Send(lane, _) = operation.poll(Duration::ZERO) else { panic!() };
        operation.respond(lane, &Response::new(page)).unwrap();
    }
    let mut later =
        resume().resume_from(Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap()).unwrap().one();
    let OneStep::Done(outcome) = later.poll() else { panic!("begun again") };
    assert!(outcome.halted.is_none() && outcome.totals.affected == 2);
    // And a third one, from what the second has written.
    let mut later = resume().resume_from(later.checkpoint()).unwrap().one();
    assert!(matches!(later.poll(), OneStep::Done(_)), "begun again");
    let mut saved = operation.checkpoint().to_json();
    for n in [1, 4, 2] {
        let file = Checkpoint::from_json(saved.as_bytes()).unwrap();
        let mut later = resume().lanes(lanes(n), UnixMillis::new(NOW)).resume_from(file).unwrap();
        let Step::Done(outcome) = later.poll(Duration::ZERO) else { panic!("begun again") };
        assert!(outcome.halted.is_none() && outcome.totals.affected == 2);
        saved = later.checkpoint().to_json();
    }
}

/// As an earlier version of this library wrote it, with a request out.
#[test]
fn the_file_of_a_single_lane_waits_to_be_settled() {
    let resume = || resume_of(Selection::Everything, 50, Some(120));
    let mut bulk = resume().one();
    let OneStep::Send(_) = bulk.poll() else { panic!() };
    let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap();
    let mut operation = resume().lanes(lanes(4), UnixMillis::new(NOW)).resume_from(saved).unwrap();
    let Step::Done(outcome) = operation.poll(Duration::ZERO) else { panic!("sent before it is settled") };
    assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })), "{outcome:?}");
    assert!(matches!(operation.in_doubt(), Some(InDoubt::Listing(_))));
    operation.settle(Settlement::Applied).unwrap();
    let mut world = world_of(runs_at((0..900).map(|n| NOW - n)), Config::default());
    let outcome = world.run(&mut operation, 10_000, |_, _| ()).unwrap();
    assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed), (70, 1));
    assert_eq!(world.service.started().count(), 70);
}

/// Responses are lost in another order than the batches have: what is told is the request that is settled next.
#[test]
fn the_doubt_that_is_told_is_the_one_that_is_settled() {
    let ids = Selection::Ids(Ids::parse((0..60).map(|n| format!("r{n}"))).unwrap());
    let mut resume = resume_of(ids, 50, None).lanes(lanes(2), UnixMillis::new(NOW)).build();
    let Step::Send(first, _) = resume.poll(Duration::ZERO) else { panic!() };
    let Step::Send(second, _) = resume.poll(Duration::ZERO) else { panic!() };
    for (id, requests, runs) in [(second, 1, 10), (first, 2, 60)] {
        resume.fail(id, Delivery::Unknown).unwrap();
        assert_eq!(resume.all_in_doubt(), (requests, runs));
    }
    for asked in [50, 10] {
        let Step::Done(outcome) = resume.poll(Duration::ZERO) else { panic!() };
        assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: told, .. }) if told == asked), "{outcome:?}");
        let Some(InDoubt::Ids(ids)) = resume.in_doubt() else { panic!() };
        assert_eq!(ids.len() as u64, asked);
        resume.settle(Settlement::Applied).unwrap();
    }
    let Step::Done(outcome) = resume.poll(Duration::ZERO) else { panic!() };
    assert_eq!((outcome.halted, outcome.totals.unconfirmed, resume.all_in_doubt()), (None, 2, (0, 0)));
}

/// One pass proves nothing, not even one that finds nothing.
#[test]
fn a_resume_by_filter_claims_nothing() {
    let mut world = world_of(Vec::new(), Config::default());
    let outcome = world.run(&mut resume_of(Selection::Everything, 50, None).build(), 100, |_, _| ()).unwrap();
    assert!(outcome.halted.is_none() && !outcome.verified, "{outcome:?}");
}
