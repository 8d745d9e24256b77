//! Deletes on many lanes against a faulty service, in virtual time, with responses in any order.

use crate::cases::cases;
use crate::one_lane::{One, OneStep, Respond, windows};
use crate::world::{NOW, TOKEN, World, endpoint, faults, lanes, matches, policy, runs_at, selection, service};
use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::{Ids, Shard};
use upstash_dlq_core::wire::{Delete, DeletePage};
use upstash_dlq_core::{
    BulkDelete, Checkpoint, Delivery, Filter, Halt, Operation, Outcome, RetryPolicy, Selection, Step, UnixMillis,
};
use upstash_dlq_emulator::{Config, CursorKind, Fault, FaultPlan, RateLimit, Run, Service};

/// Disjoint, and open at one end each at most once.
fn check_windows(operation: &BulkDelete) {
    let mut windows = windows(operation);
    windows.sort_unstable();
    for pair in windows.windows(2) {
        assert!(pair[0].1 < pair[1].0 && !pair[0].3 && !pair[1].2, "{windows:?}");
    }
}

proptest! {
    #![proptest_config(cases(120, 6_000))]

    #[test]
    fn all_matching_runs_are_deleted_and_the_count_is_exact(
        kind in 0_u8..4, n in 1_usize..20, size in 1_u32..40, max in prop::option::of(1_u64..300), plan in faults(),
        offset in any::<bool>(), ignore_dates in any::<bool>(), seed in any::<u64>(),
        bound_cursors in any::<bool>(), crashes in prop::collection::vec((1_usize..60, any::<bool>()), 0..5),
    ) {
        // A server that ignores the dates would delete outside of a window, which no client can tell.
        let ignore_dates = ignore_dates && kind < 2;
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let mut world = World::new(service(400, Config::default().cursors(cursors).ignore_dates(ignore_dates).bound_cursors(bound_cursors)), seed);
        world.clock = Duration::from_secs(3_600);
        let all: Vec<Run> = world.service.runs().cloned().collect();
        let matching: BTreeSet<&str> = all.iter().filter(|run| matches(kind, run)).map(|run| run.dlq_id.as_str()).collect();
        world.service.set_faults(plan);
        let delete = BulkDelete::builder(endpoint(), selection(kind))
            .page_size(NonZeroU32::new(size).unwrap())
            .max(max.and_then(NonZeroU64::new))
            .retry(policy(), 1);
        let mut operation = delete.clone().lanes(lanes(n), UnixMillis::new(NOW)).build();
        let mut crashed = 0;
        let mut outcome = None;
        for (steps, dies) in crashes.into_iter().chain([(1_000_000, false)]) {
            outcome = world.run(&mut operation, steps, |operation, _| check_windows(operation));
            if outcome.is_some() {
                break;
            }
            if !dies {
                crashed += world.another_driver(&mut operation);
                continue;
            }
            // The process dies with its requests out; another goes on with another number of lanes.
            crashed += world.in_flight.len() as u64;
            world.in_flight.clear();
            let saved = Checkpoint::from_json(operation.checkpoint().to_json().as_bytes()).unwrap();
            prop_assert_eq!(saved.totals(), operation.totals());
            operation = delete.clone().lanes(lanes(1 + (n + steps) % 17), UnixMillis::new(NOW + 1_000)).resume_from(saved).unwrap();
            check_windows(&operation);
        }
        let outcome = outcome.expect("it does not end");
        let gone: BTreeSet<&str> = all.iter().map(|run| run.dlq_id.as_str()).filter(|id| !world.service.contains(id)).collect();
        prop_assert!(gone.is_subset(&matching), "more is gone than was asked for");
        // A maximum that unconfirmed requests have used up is no success.
        let short = max.is_some_and(|max| !outcome.verified && outcome.totals.affected < max);
        prop_assert!(!short || outcome.totals.unconfirmed > 0);
        prop_assert_eq!(&outcome.halted, &short.then_some(Halt::MaximumUnconfirmed));
        prop_assert!(outcome.totals.affected <= gone.len() as u64 && outcome.totals.unconfirmed >= crashed);
        if outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(outcome.totals.affected, gone.len() as u64);
        }
        if outcome.verified {
            prop_assert_eq!(gone.len(), matching.len());
        }
        match max {
            None => prop_assert!(outcome.verified),
            Some(max) => {
                prop_assert!(gone.len() as u64 <= max);
                if outcome.totals.unconfirmed == 0 {
                    prop_assert_eq!(gone.len() as u64, max.min(matching.len() as u64));
                }
            }
        }
        prop_assert_eq!(outcome.totals.requests, world.requests, "requests are not counted right");
        prop_assert!(world.most_in_flight <= n.max(17));
        // A cursor goes with its window: no other query is asked with it.
        prop_assert!(world.service.log().all(|request| request.status != 400), "a cursor of another query");
    }

    /// What a later process does not find in the file is gone for good where no second pass looks for it: lanes that wait, too.
    #[test]
    fn a_file_forgets_no_lane(
        n in 2_usize..9, size in 1_u32..20, seed in any::<u64>(), crashes in prop::collection::vec(1_usize..80, 1..5),
    ) {
        let busy = Fault::TooManyRequests { retry_after_s: None };
        let plan = FaultPlan::random(seed, vec![(250, busy), (100, Fault::LostRequest)]);
        let mut world = World::new(service(400, Config::default().faults(plan)), seed);
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(50).unwrap());
        let delete = BulkDelete::builder(endpoint(), Selection::Everything)
            .page_size(NonZeroU32::new(size).unwrap()).verify(false).retry(policy, 1);
        let mut operation = delete.clone().lanes(lanes(n), UnixMillis::new(NOW)).build();
        let mut outcome = None;
        for steps in crashes.into_iter().chain([1_000_000]) {
            outcome = world.run(&mut operation, steps, |_, _| ());
            if outcome.is_some() {
                break;
            }
            world.in_flight.clear();
            let saved = Checkpoint::from_json(operation.checkpoint().to_json().as_bytes()).unwrap();
            operation = delete.clone().lanes(lanes(n), UnixMillis::new(NOW)).resume_from(saved).unwrap();
        }
        prop_assert_eq!(outcome.unwrap().halted, None);
        prop_assert_eq!(world.service.len(), 0, "a lane was forgotten");
    }

    #[test]
    fn windows_are_disjoint_and_cover(lo in any::<i64>(), hi in any::<i64>(), n in 1_u32..300, near in any::<bool>()) {
        let (lo, hi) = if near { (lo, lo.saturating_add(hi.rem_euclid(400))) } else { (lo.min(hi), lo.max(hi)) };
        check_shards(lo, hi, n);
    }
}

fn check_shards(lo: i64, hi: i64, n: u32) {
    let whole = || Filter::builder().from(UnixMillis::new(lo)).to(UnixMillis::new(hi)).label("l").build().unwrap();
    let parts: Vec<_> = (1..=n).map(|i| format!("{i}/{n}").parse::<Shard>().unwrap().of(whole())).collect();
    if i128::from(hi) - i128::from(lo) + 1 < i128::from(n) {
        assert!(parts.iter().all(Result::is_err));
        return;
    }
    let parts: Vec<(i64, i64)> =
        parts.into_iter().map(|part| part.map(|p| (p.from().unwrap().get(), p.to().unwrap().get())).unwrap()).collect();
    assert_eq!((parts[0].0, parts[parts.len() - 1].1), (lo, hi));
    let widths: Vec<i128> = parts.iter().map(|(lo, hi)| i128::from(*hi) - i128::from(*lo) + 1).collect();
    assert!(widths.iter().all(|width| *width >= 1));
    assert!(widths.iter().max().unwrap() - widths.iter().min().unwrap() <= 1, "uneven: {widths:?}");
    assert!(parts.windows(2).all(|pair| pair[0].1.checked_add(1) == Some(pair[1].0)), "{parts:?}");
}

#[test]
fn windows_at_the_ends_of_time() {
    for (lo, hi) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN), (i64::MAX - 3, i64::MAX), (0, 0)]
    {
        for n in [1, 2, 3, 4, 64] {
            check_shards(lo, hi, n);
        }
    }
    for text in ["0/3", "4/3", "1/0", "", "1", "/", "1/", "-1/3", "+1/3", "1/2/3", "1/999999999999"] {
        assert!(text.parse::<Shard>().is_err(), "{text}");
    }
    let open = Filter::builder().to(UnixMillis::new(5)).build().unwrap();
    assert!("1/1".parse::<Shard>().unwrap().of(open).is_err());
}

fn delete_all(runs: Vec<Run>, n: usize, size: u32, selected: Selection) -> (u64, Outcome) {
    let mut service = Service::new(Config::default().token(TOKEN));
    runs.into_iter().for_each(|run| service.insert(run));
    let mut world = World::new(service, 7);
    let delete = BulkDelete::builder(endpoint(), selected).page_size(NonZeroU32::new(size).unwrap());
    let mut operation = delete.lanes(lanes(n), UnixMillis::new(NOW)).build();
    let outcome = world.run(&mut operation, 1_000_000, |operation, _| check_windows(operation)).unwrap();
    assert!(world.service.is_empty() && outcome.verified);
    (world.requests, outcome)
}

/// The operation asks little more than one lane, however the runs lie.
#[test]
fn many_lanes_need_few_more_requests_than_one() {
    const DAY: i64 = 86_400_000;
    let even = || runs_at((0..20_000).map(|n| NOW - 90 * DAY + n * (90 * DAY / 20_000)));
    let peak = || {
        runs_at((0..20_000).map(|n| if n % 100 == 0 { NOW - 90 * DAY + n * 380_000 } else { NOW - 40 * DAY + n * 180 }))
    };
    for runs in [even as fn() -> Vec<Run>, peak] {
        let (one, _) = delete_all(runs(), 1, 10, Selection::Everything);
        let (many, _) = delete_all(runs(), 16, 10, Selection::Everything);
        assert!(many <= one * 11 / 10 + 160, "{many} requests on 16 lanes, {one} on one");
    }
}

/// Nothing is that old, as far as anybody knows; if it is, lanes find it all the same.
#[test]
fn runs_older_than_the_retention_are_shared_among_lanes() {
    let runs = runs_at((0..20_000).map(|n| NOW - 400 * 86_400_000 + n * 60_000));
    let mut service = Service::new(Config::default().token(TOKEN));
    runs.into_iter().for_each(|run| service.insert(run));
    let mut world = World::new(service, 7);
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).page_size(NonZeroU32::new(10).unwrap());
    let mut operation = delete.lanes(lanes(16), UnixMillis::new(NOW)).build();
    let mut full = 0;
    while world.run(&mut operation, 100, |operation, _| check_windows(operation)).is_none() {
        let widest = windows(&operation).len();
        full = full.max(widest);
    }
    assert!((16..=17).contains(&full) && world.most_in_flight == 16 && world.service.is_empty());
    assert!(world.requests < 2_000 * 11 / 10 + 160, "{}", world.requests);
}

#[test]
fn a_small_delete_needs_no_further_request() {
    for (runs, requests) in [(0, 1), (1, 2), (99, 2)] {
        let times = || runs_at((0..runs).map(|n| NOW - n));
        assert_eq!(delete_all(times(), 16, 100, Selection::Everything).0, requests);
    }
}

#[test]
fn a_window_of_one_millisecond_is_not_cut() {
    let at = UnixMillis::new(NOW - 5);
    let selected = Selection::Filter(Filter::builder().from(at).to(at).build().unwrap());
    let (_, outcome) = delete_all(runs_at((0..500).map(|_| NOW - 5)), 64, 10, selected);
    assert_eq!(outcome.totals.affected, 500);
    let (_, outcome) = delete_all(runs_at((0..500).map(|_| NOW - 5)), 64, 10, Selection::Everything);
    assert_eq!(outcome.totals.affected, 500);
}

#[test]
fn one_request_a_second_is_enough_for_all_lanes() {
    let limit = Config::default().token(TOKEN).rate_limit(Some(RateLimit::per_second(1)));
    let mut world = World::new(service(300, limit), 3);
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).page_size(NonZeroU32::new(10).unwrap());
    let mut operation = delete.lanes(lanes(16), UnixMillis::new(NOW)).build();
    let outcome = world.run(&mut operation, 1_000_000, |operation, _| check_windows(operation)).unwrap();
    assert!(outcome.verified && outcome.totals.affected == 305, "{outcome:?}");
    // The header tells the limit with the first refusal: from then on hardly any request is refused.
    assert!(outcome.totals.retries < 40, "{outcome:?}");
}

#[test]
fn a_rate_is_kept() {
    let mut world = World::new(service(300, Config::default()), 3);
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).page_size(NonZeroU32::new(10).unwrap());
    let mut operation =
        delete.lanes(lanes(8), UnixMillis::new(NOW)).max_requests_per_second(Some(NonZeroU32::new(5).unwrap())).build();
    let outcome = world.run(&mut operation, 1_000_000, |operation, _| check_windows(operation)).unwrap();
    let fastest = Duration::from_millis(200) * u32::try_from(outcome.totals.requests - 1).unwrap();
    assert!(outcome.verified && world.clock >= fastest, "{:?} for {} requests", world.clock, outcome.totals.requests);
}

#[test]
fn one_lane_halts_and_the_others_finish_their_request() {
    // Without a verification pass, what the halted lane has left is done only if the file has it.
    [true, false].into_iter().for_each(one_lane_halts);
}

fn one_lane_halts(verify: bool) {
    let mut world = World::new(service(400, Config::default()), 3);
    let delete =
        BulkDelete::builder(endpoint(), Selection::Everything).page_size(NonZeroU32::new(10).unwrap()).verify(verify);
    let mut operation = delete.clone().lanes(lanes(4), UnixMillis::new(NOW)).build();
    while world.in_flight.len() < 4 {
        match operation.poll(world.clock) {
            Step::Send(lane, request) => world.deliver(lane, &request),
            _ => drop(world.respond(&mut operation)),
        }
    }
    // The first lane has the oldest runs, which are few; this one has more left.
    let first = *world.in_flight.keys().next_back().unwrap();
    let refused = Response::builder().status(401).body(Vec::new()).unwrap();
    let unseen = world.in_flight.insert(first, Some(refused)).flatten().unwrap();
    let unseen = DeletePage::parse(&unseen).unwrap().deleted;
    // The refused one first, then the rest: the first lane, which has more to do, sends nothing more.
    let requests = world.requests;
    let refused = world.in_flight.remove(&first).unwrap().unwrap();
    drop(operation.respond(first, &refused).unwrap());
    while !world.in_flight.is_empty() {
        drop(world.respond(&mut operation));
    }
    let outcome = world.run(&mut operation, 1_000, |_, _| ()).unwrap();
    assert_eq!(world.requests, requests, "sent after a lane has halted");
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })));
    assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed), (world.service.deleted_total() - unseen, 0));
    let saved = Checkpoint::from_json(operation.checkpoint().to_json().as_bytes()).unwrap();
    let mut operation = delete.lanes(lanes(4), UnixMillis::new(NOW)).resume_from(saved).unwrap();
    let outcome = world.run(&mut operation, 1_000_000, |operation, _| check_windows(operation)).unwrap();
    assert!(outcome.verified == verify && outcome.halted.is_none(), "{outcome:?}");
    assert!(world.service.is_empty(), "what the halted lane had left is still there");
}

#[test]
fn the_file_of_a_single_lane_goes_on_in_many() {
    let mut service = service(400, Config::default());
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).page_size(NonZeroU32::new(10).unwrap());
    let mut bulk = delete.clone().one();
    for _ in 0..5 {
        let OneStep::Send(request) = bulk.poll() else { panic!() };
        let mut arriving = Request::new(Vec::new());
        (*arriving.method_mut(), *arriving.uri_mut()) = (request.method().clone(), request.uri().clone());
        *arriving.headers_mut() = request.headers().clone();
        bulk.on_response(&service.handle(NOW, arriving)).unwrap();
    }
    let next = bulk.clone().poll();
    let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap();
    let mut operation = delete.lanes(lanes(8), UnixMillis::new(NOW)).resume_from(saved).unwrap();
    let (Step::Send(lane, request), OneStep::Send(expected)) = (operation.poll(Duration::ZERO), next) else { panic!() };
    assert_eq!(request.uri(), expected.uri());
    operation.cancel_unsent(lane).unwrap();
    let mut world = World::new(service, 5);
    let outcome = world.run(&mut operation, 1_000_000, |operation, _| check_windows(operation)).unwrap();
    assert!(outcome.verified && outcome.totals.affected == 405 && world.service.is_empty(), "{outcome:?}");
}

#[test]
fn ids_stay_in_one_lane() {
    let ids: Vec<String> = (0..900).map(|n| format!("some-rather-long-id-of-a-run-{n:06}")).collect();
    let runs = ids.iter().map(|id| Run::default().dlq_id(id.clone())).collect();
    let (_, outcome) = delete_all(runs, 8, 100, Selection::Ids(Ids::parse(ids).unwrap()));
    assert_eq!(outcome.totals.affected, 900);
}

fn everything(n: usize, attempts: u32) -> (BulkBuilder<Delete>, BulkDelete) {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap());
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
    let operation = delete.clone().lanes(lanes(n), UnixMillis::new(NOW)).build();
    (delete, operation)
}

/// The next request, however long that takes.
fn next(operation: &mut BulkDelete, clock: &mut Duration) -> RequestId {
    loop {
        match operation.poll(*clock) {
            Step::Send(lane, _) => return lane,
            Step::WaitUntil(at) => *clock = at,
            other => panic!("{other:?}"),
        }
    }
}

fn page(deleted: u64, cursor: &str) -> Response<String> {
    Response::new(format!("{{\"deleted\":{deleted},\"cursor\":\"{cursor}\"}}"))
}

fn too_many(retry_after: &str) -> Response<&'static str> {
    Response::builder().status(429).header("retry-after", retry_after).body("").unwrap()
}

#[test]
fn a_pass_with_a_lost_response_proves_nothing() {
    let (delete, mut operation) = everything(4, 6);
    let mut clock = Duration::ZERO;
    let lane = next(&mut operation, &mut clock);
    let saved = operation.checkpoint();
    operation.fail(lane, Delivery::Unknown).unwrap();
    // Lost here, and lost with the process that sent it.
    for mut operation in [operation, delete.lanes(lanes(4), UnixMillis::new(NOW)).resume_from(saved).unwrap()] {
        for _ in 0..2 {
            let lane = next(&mut operation, &mut clock);
            operation.respond(lane, &page(0, "")).unwrap();
        }
        let Step::Done(outcome) = operation.poll(clock) else { panic!() };
        assert!(outcome.verified && outcome.totals.unconfirmed == 1 && outcome.totals.requests == 3, "{outcome:?}");
    }
}

#[test]
fn a_429_slows_all_lanes_and_uses_up_no_attempts() {
    let (_, mut operation) = everything(16, 2);
    let mut clock = Duration::ZERO;
    let first = next(&mut operation, &mut clock);
    operation.respond(first, &page(100, "x")).unwrap();
    // The same lane is refused again and again while others get on: two attempts are all it has.
    let mut refused = 0;
    while refused < 5 {
        let id = next(&mut operation, &mut clock);
        if id.lane() != first.lane() {
            operation.respond(id, &page(100, "y")).unwrap();
            continue;
        }
        refused += 1;
        operation.respond(id, &too_many("5")).unwrap();
        assert!(matches!(operation.poll(clock), Step::WaitUntil(at) if at == clock + Duration::from_secs(5)));
        assert!(operation.outcome_so_far().halted.is_none());
    }
}
