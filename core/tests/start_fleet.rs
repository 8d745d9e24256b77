//! Resume and restart on many lanes: no run is started twice, whatever the service and the network do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod world;

use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::{
    BulkRestart, BulkResume, Call, Checkpoint, Delivery, Event, Filter, Fleet, FleetCheckpoint, FleetStep, Halt, Ids,
    LaneId, Lanes, Outcome, Resume, Selection, Settlement, Step, UnixMillis, Unsettled,
};
use upstash_dlq_emulator::{Config, CursorKind, Run, Service};
use world::{NOW, TOKEN, World, cases, endpoint, faults, lanes, matches, policy, runs_at, selection, service};

const DAY: i64 = 86_400_000;

fn resume_of(selected: Selection, size: u32, max: Option<u64>) -> BulkResume {
    BulkResume::new(endpoint(), selected)
        .page_size(NonZeroU32::new(size).unwrap())
        .max(max.and_then(NonZeroU64::new))
        .retry(policy(), 1)
}

fn fleet_of(world: &mut World, resume: BulkResume, n: usize) -> Fleet<Resume> {
    let mut survey = resume.survey(lanes(n), UnixMillis::new(NOW));
    let surveyed = world.run(&mut survey, 1_000_000, |_, _| ()).expect("the survey does not end");
    assert_eq!(survey.requests(), world.requests);
    assert!(n > 1 || world.requests == 0, "one lane needs no windows");
    assert_eq!(world.service.started().count(), 0, "a survey only looks");
    world.requests = 0;
    surveyed.unwrap()
}

/// How often each run was started.
fn starts(service: &Service) -> BTreeMap<String, u32> {
    let mut starts = BTreeMap::new();
    service.started().for_each(|started| *starts.entry(started.dlq_id.clone()).or_default() += 1);
    starts
}

/// The window that a request is of.
fn window(request: &Request<()>) -> Vec<String> {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').filter(|pair| pair.contains("Date=")).map(str::to_owned).collect()
}

/// Drives it, and settles what has to be settled as somebody would who knows what became of each request.
fn drive(world: &mut World, fleet: &mut Fleet<Resume>, mut steps: usize) -> Option<Outcome> {
    let mut carried_out = BTreeMap::new();
    loop {
        assert!(steps > 0);
        steps -= 1;
        match fleet.poll(world.clock) {
            FleetStep::Done(outcome) if matches!(outcome.halted, Some(Halt::Unsettled { .. })) => {
                assert!(world.out.is_empty(), "done with requests out");
                let Some(Unsettled::Listing(list)) = fleet.unsettled() else { panic!() };
                let applied = carried_out[&window(&list.to_request(&endpoint()).unwrap())];
                fleet.settle(if applied { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
            }
            FleetStep::Done(outcome) => return Some(outcome),
            FleetStep::Send(lane, request) => {
                let before = world.service.started().count();
                world.deliver(lane, &request);
                carried_out.insert(window(&request), world.service.started().count() > before);
            }
            FleetStep::WaitUntil(at) if world.out.is_empty() => world.clock = at,
            FleetStep::WaitUntil(_) | FleetStep::Idle => drop(world.answer(fleet)),
        }
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn no_run_is_started_twice(
        kind in 0_u8..4, n in 1_usize..12, size in 1_u32..20, max in prop::option::of(1_u64..300), plan in faults(),
        offset in any::<bool>(), stay in any::<bool>(), ignore_dates in any::<bool>(), seed in any::<u64>(),
    ) {
        let ignore_dates = ignore_dates && kind < 2;
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let config = Config { cursors, ignore_dates, started_runs_stay: stay, ..Config::default() };
        let mut world = World::new(service(1_000, config), seed);
        let matching: Vec<String> =
            world.service.runs().filter(|run| matches(kind, run)).map(|run| run.dlq_id.clone()).collect();
        // Where started runs stay, somebody has to wait for them after a lost answer.
        if !stay {
            world.service.set_faults(plan);
        }
        let mut fleet = fleet_of(&mut world, resume_of(selection(kind), size, max), n);
        prop_assert_eq!(fleet.dates_ignored(), ignore_dates && n > 1 && matching.len() > 800);
        let outcome = drive(&mut world, &mut fleet, 1_000_000).unwrap();
        prop_assert!(outcome.halted.is_none(), "{:?}", outcome.halted);
        let starts = starts(&world.service);
        prop_assert!(starts.values().all(|times| *times == 1), "started twice: {starts:?}");
        prop_assert!(starts.keys().all(|id| matching.contains(id)), "more than was asked for");
        prop_assert!(outcome.totals.runs <= starts.len() as u64);
        if outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(outcome.totals.runs, starts.len() as u64);
        }
        match max {
            Some(max) => {
                prop_assert!(starts.len() as u64 <= max);
                if outcome.totals.unconfirmed == 0 && (!offset || stay) {
                    prop_assert_eq!(starts.len() as u64, max.min(matching.len() as u64));
                }
            }
            // With offsets, runs that leave make the rest slip past the cursor.
            None if !offset || stay => prop_assert_eq!(starts.len(), matching.len()),
            None => {}
        }
        prop_assert_eq!(outcome.totals.requests, world.requests, "requests are not counted right");
        prop_assert!(world.most_out <= n);
    }

    #[test]
    fn a_crash_starts_nothing_twice(
        n in 2_usize..9, again in 1_usize..9, size in 1_u32..20, plan in faults(), steps in 1_usize..120,
        max in prop::option::of(50_u64..600), seed in any::<u64>(),
    ) {
        let mut world = World::new(service(1_000, Config::default()), seed);
        let resume = || resume_of(Selection::Everything, size, max);
        let mut fleet = fleet_of(&mut world, resume(), n);
        world.service.set_faults(plan);
        let mut carried_out = BTreeMap::new();
        let mut saved = fleet.checkpoint().to_json();
        let mut in_flight = 0;
        for _ in 0..steps {
            match fleet.poll(world.clock) {
                FleetStep::Done(_) => break,
                FleetStep::Send(lane, request) => {
                    // On disk before it is sent.
                    saved = fleet.checkpoint().to_json();
                    in_flight = world.out.len() + 1;
                    let before = world.service.started().count();
                    world.deliver(lane, &request);
                    carried_out.insert(window(&request), world.service.started().count() > before);
                }
                FleetStep::WaitUntil(at) if world.out.is_empty() => world.clock = at,
                FleetStep::WaitUntil(_) | FleetStep::Idle => drop(world.answer(&mut fleet)),
            }
        }
        // The process dies: what came back since the file was written is forgotten with it.
        world.out.clear();
        let saved = FleetCheckpoint::from_json(saved.as_bytes()).unwrap();
        let mut fleet = resume().restore_fleet(saved, lanes(again), UnixMillis::new(NOW + 9_000)).unwrap();
        let mut settled = 0;
        while let Some(unsettled) = fleet.unsettled() {
            settled += 1;
            let Unsettled::Listing(list) = unsettled else { panic!() };
            let applied = carried_out[&window(&list.to_request(&endpoint()).unwrap())];
            // It says so before it sends anything.
            let FleetStep::Done(outcome) = fleet.poll(world.clock) else { panic!("sent before it is settled") };
            let waits = matches!(outcome.halted, Some(Halt::Unsettled { .. }));
            prop_assert!(waits, "{:?}", outcome.halted);
            fleet.settle(if applied { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
        }
        prop_assert_eq!(settled, in_flight, "what was in flight has to be settled");
        let outcome = drive(&mut world, &mut fleet, 1_000_000).unwrap();
        prop_assert!(outcome.halted.is_none(), "{:?}", outcome.halted);
        let starts = starts(&world.service);
        prop_assert!(starts.values().all(|times| *times == 1), "started twice: {starts:?}");
        match max {
            Some(max) => prop_assert!(starts.len() as u64 <= max),
            None => prop_assert_eq!(starts.len(), 1_005),
        }
    }
}

fn world_of(runs: Vec<Run>, config: Config) -> World {
    let mut service = Service::new(Config { token: TOKEN.into(), ..config });
    runs.into_iter().for_each(|run| service.insert(run));
    World::new(service, 7)
}

#[test]
fn lanes_share_the_work_wherever_the_runs_lie() {
    let even = || runs_at((0..20_000).map(|n| NOW - 90 * DAY + n * (90 * DAY / 20_000)));
    let peak = || {
        runs_at((0..20_000).map(|n| if n % 100 == 0 { NOW - 90 * DAY + n * 380_000 } else { NOW - 40 * DAY + n * 180 }))
    };
    for runs in [even as fn() -> Vec<Run>, peak] {
        let mut world = world_of(runs(), Config::default());
        let mut fleet = fleet_of(&mut world, resume_of(Selection::Everything, 50, None), 8);
        world.most_out = 0;
        let outcome = drive(&mut world, &mut fleet, 1_000_000).unwrap();
        assert!(outcome.halted.is_none() && outcome.totals.runs == 20_000 && world.most_out == 8, "{outcome:?}");
        assert!(outcome.totals.requests <= 400 * 11 / 10 + 80, "{outcome:?}");
    }
}

#[test]
fn restart_has_lanes_too_and_ids_have_one() {
    let mut world = world_of(runs_at((0..2_000).map(|n| NOW - n * DAY / 40)), Config::default());
    let restart = BulkRestart::new(endpoint(), Selection::Everything);
    let mut survey = restart.survey(lanes(4), UnixMillis::new(NOW));
    let mut fleet = world.run(&mut survey, 100_000, |_, _| ()).unwrap().unwrap();
    world.most_out = 0;
    let outcome = world.run(&mut fleet, 100_000, |_, _| ()).unwrap();
    assert!(outcome.halted.is_none() && outcome.totals.runs == 2_000 && world.most_out == 4, "{outcome:?}");

    let mut world = world_of(runs_at(0..900), Config::default());
    let ids = Selection::Ids(Ids::parse((0..900).map(|n| format!("r{n}"))).unwrap());
    let mut fleet = fleet_of(&mut world, resume_of(ids, 50, None), 4);
    let outcome = world.run(&mut fleet, 100_000, |_, _| ()).unwrap();
    assert!(outcome.verified && outcome.totals.runs == 900 && world.most_out == 1, "{outcome:?}");
}

#[test]
fn what_cannot_be_surveyed_starts_nothing() {
    let mut survey = resume_of(Selection::Everything, 50, None).survey(lanes(4), UnixMillis::new(NOW));
    let FleetStep::Send(lane, _) = survey.poll(Duration::ZERO) else { panic!() };
    let refused = Response::builder().status(401).body(Vec::new()).unwrap();
    assert!(matches!(survey.on_response(lane, &refused), Ok(Event::Ended)));
    assert!(matches!(survey.poll(Duration::ZERO), FleetStep::Done(Err(Halt::Refused(_)))));
}

/// Sends what may be sent: the lanes, and for how many runs they ask together.
fn sent(fleet: &mut Fleet<Resume>) -> (Vec<LaneId>, u64) {
    let mut asked = 0;
    let lanes = std::iter::from_fn(|| match fleet.poll(Duration::ZERO) {
        FleetStep::Send(lane, request) => {
            let count = request.uri().query().unwrap().split('&').find_map(|pair| pair.strip_prefix("count="));
            asked += count.unwrap().parse::<u64>().unwrap();
            Some(lane)
        }
        _ => None,
    });
    (lanes.collect(), asked)
}

/// Three lanes with a request each, of which two are lost.
#[test]
fn each_lost_answer_is_settled_before_anything_is_sent() {
    let mut world = world_of(runs_at((0..6_000).map(|n| NOW - n * DAY / 100)), Config::default());
    let resume = || resume_of(Selection::Everything, 50, Some(150));
    let mut fleet = fleet_of(&mut world, resume(), 3);
    let (out, asked) = sent(&mut fleet);
    assert_eq!((out.len(), asked), (3, 150));
    assert!(matches!(fleet.on_failure(out[2], Delivery::Unknown), Ok(Event::Ended)));
    // The first lane has more to do, and would come first.
    let page = r#"{"workflowRuns":[{"workflowRunId":"w"}],"cursor":"c"}"#;
    fleet.on_response(out[0], &Response::new(page)).unwrap();
    assert!(sent(&mut fleet).0.is_empty(), "sent after a lane has halted");
    assert!(matches!(fleet.on_failure(out[1], Delivery::Unknown), Ok(Event::Ended)));
    let saved = fleet.checkpoint().to_json();
    assert!(Checkpoint::from_json(saved.as_bytes()).is_err(), "of one lane");
    let saved = FleetCheckpoint::from_json(saved.as_bytes()).unwrap();
    for mut fleet in [fleet, resume().restore_fleet(saved, lanes(3), UnixMillis::new(NOW)).unwrap()] {
        for settlement in [Settlement::Applied, Settlement::NotApplied] {
            let FleetStep::Done(outcome) = fleet.poll(Duration::ZERO) else { panic!() };
            assert!(matches!(outcome.halted, Some(Halt::Unsettled { asked: 50, .. })), "{outcome:?}");
            fleet.settle(settlement).unwrap();
        }
        assert!(fleet.settle(Settlement::Applied).is_err());
        let totals = fleet.totals();
        assert_eq!((totals.runs, totals.unconfirmed, totals.requests), (1, 1, 3));
        // One was started, and fifty may have been.
        assert_eq!(sent(&mut fleet).1, 99);
    }
}

/// As an earlier version of this library wrote it, with a request out.
#[test]
fn the_file_of_a_single_lane_waits_to_be_settled() {
    let resume = || resume_of(Selection::Everything, 50, Some(120));
    let mut bulk = resume().build();
    let Step::Send(_) = bulk.poll() else { panic!() };
    let saved = FleetCheckpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap();
    let mut fleet = resume().restore_fleet(saved, lanes(4), UnixMillis::new(NOW)).unwrap();
    let FleetStep::Done(outcome) = fleet.poll(Duration::ZERO) else { panic!("sent before it is settled") };
    assert!(matches!(outcome.halted, Some(Halt::Unsettled { asked: 50, .. })), "{outcome:?}");
    assert!(matches!(fleet.unsettled(), Some(Unsettled::Listing(_))));
    fleet.settle(Settlement::Applied).unwrap();
    let mut world = world_of(runs_at((0..900).map(|n| NOW - n)), Config::default());
    let outcome = world.run(&mut fleet, 10_000, |_, _| ()).unwrap();
    assert_eq!((outcome.totals.runs, outcome.totals.unconfirmed), (70, 1));
    assert_eq!(world.service.started().count(), 70);
}

#[test]
fn a_changed_file_starts_nothing_else() {
    let filter = Filter::builder().from(UnixMillis::new(NOW - 60 * DAY)).to(UnixMillis::new(NOW)).build().unwrap();
    let resume = || resume_of(Selection::Filter(filter.clone()), 50, None);
    let mut world = world_of(runs_at((0..6_000).map(|n| NOW - n * DAY / 100)), Config::default());
    let fleet = fleet_of(&mut world, resume(), 3);
    let file = fleet.checkpoint().to_json();
    let restore = |file: &str| {
        let saved = FleetCheckpoint::from_json(file.as_bytes());
        saved.and_then(|saved| resume().restore_fleet(saved, lanes(3), UnixMillis::new(NOW)))
    };
    let restored = restore(&file).unwrap();
    assert_eq!(restored.windows(), fleet.windows());
    assert!(fleet.windows().len() >= 3);
    let (_, hi, _, _) = fleet.windows()[0];
    // Windows that overlap would start the same runs twice.
    for (from, to) in [
        (format!("\"hi\":{hi}"), format!("\"hi\":{}", hi + 1)),
        ("\"resume\"".into(), "\"restart\"".into()),
        ("\"resume\"".into(), "\"delete\"".into()),
        ("\"in_flight\":null".into(), "\"in_flight\":0".into()),
        ("\"cursor\":null".into(), "\"unsettled\":0,\"cursor\":null".into()),
    ] {
        assert!(file.contains(&from), "{from} in {file}");
        assert!(restore(&file.replacen(&from, &to, 1)).is_err(), "{to}");
    }
}
