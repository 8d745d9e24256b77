//! Listing on many lanes: every run once, however the runs lie and whatever the service does.

use crate::cases::cases;
use crate::one_lane::Respond;
use crate::world::{NOW, TOKEN, World, endpoint, faults, lanes, matches, policy, runs_at, selection, service};
use http::Response;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::operation::ListingOutcome;
use upstash_dlq_core::wire::{List, ListPage};
use upstash_dlq_core::{Delivery, Event, Filter, Halt, Listing, Operation, RetryPolicy, Selection, Step, UnixMillis};
use upstash_dlq_emulator::{Config, CursorKind, Ignored, RateLimit, Run, Service};

const DAY: i64 = 86_400_000;

fn list(selected: Selection) -> List {
    match selected {
        Selection::Filter(filter) => List::matching(filter),
        _ => List::everything(),
    }
}

fn listing(list: List, n: usize) -> Listing {
    Listing::builder(endpoint(), list).retry(policy(), 1).lanes(lanes(n), UnixMillis::new(NOW)).build()
}

/// How often each run came.
#[derive(Default)]
struct Seen(BTreeMap<String, u32>);

impl Seen {
    fn on_event(&mut self, event: Option<&Event<ListPage>>) {
        let Some(Event::Page(page)) = event else { return };
        for message in &page.messages {
            *self.0.entry(message.dlq_id().unwrap().as_str().into()).or_default() += 1;
        }
    }

    fn each_once(&self) -> bool {
        self.0.values().all(|times| *times == 1)
    }
}

fn list_all(world: &mut World, mut listing: Listing) -> (ListingOutcome, Seen) {
    let mut seen = Seen::default();
    let outcome = world.run(&mut listing, 1_000_000, |_, event| seen.on_event(event)).expect("it does not end");
    (outcome, seen)
}

fn world_of(runs: Vec<Run>, config: Config) -> World {
    let mut service = Service::new(config.token(TOKEN));
    runs.into_iter().for_each(|run| service.insert(run));
    World::new(service, 7)
}

proptest! {
    #![proptest_config(cases(120, 6_000))]

    #[test]
    fn every_run_comes_once(
        kind in 0_u8..4, n in 1_usize..20, size in 1_u32..40, plan in faults(), offset in any::<bool>(),
        ignored in ignored(), newest_first in any::<bool>(), bound_cursors in any::<bool>(), crowded in any::<bool>(),
        seed in any::<u64>(),
    ) {
        // What such a server makes of the listing's own dates, no client can tell.
        let ignored = if kind < 2 { ignored } else { Vec::new() };
        let keeps = ignored.is_empty();
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let mut world = World::new(service(400, Config::default().cursors(cursors).ignored(ignored).newest_first(newest_first).bound_cursors(bound_cursors)), seed);
        if crowded {
            let burst = runs_at((0..400).map(|n| NOW - 40 * DAY - n * 9));
            burst.into_iter().for_each(|run| world.service.insert(run));
        }
        let expected: Vec<String> = world.service.runs()
            .filter(|run| matches(kind, run))
            .map(|run| run.dlq_id.clone())
            .collect();
        world.service.set_faults(plan);
        let (outcome, seen) = list_all(&mut world, listing(list(selection(kind)).page_size(size), n));
        prop_assert!(outcome.halted.is_none(), "{:?}", outcome.halted);
        prop_assert!(seen.each_once());
        prop_assert_eq!(seen.0.len(), expected.len());
        prop_assert!(expected.iter().all(|id| seen.0.contains_key(id)));
        prop_assert_eq!(outcome.listed, expected.len() as u64);
        prop_assert_eq!(outcome.totals.requests, world.requests, "requests are not counted right");
        prop_assert!(world.most_in_flight <= n);
        prop_assert!(!(outcome.dates_ignored && keeps));
        // Eight pages are listed before anybody asks.
        let long = expected.len() > 8 * usize::try_from(size).unwrap();
        prop_assert!(!outcome.dates_ignored || (long && n > 1));
    }
}

/// What a broken server may pass over when it lists: nothing, or dates at one end or both.
fn ignored() -> impl Strategy<Value = Vec<Ignored>> {
    let name = prop::sample::select(vec!["fromDate", "toDate"]);
    let method = prop::sample::select(vec![None, Some(http::Method::GET)]);
    prop::collection::vec((method, name).prop_map(|(method, name)| Ignored::new(method, name)), 0..3)
}

/// One end is enough to hand runs over many times.
#[test]
fn a_server_that_ignores_dates_at_one_end_is_listed_in_one_lane() {
    for newest_first in [false, true] {
        for name in ["fromDate", "toDate"] {
            let ignored = vec![Ignored::new(Some(http::Method::GET), name)];
            let runs = runs_at((0..3_000).map(|n| NOW - n * 1_000_000));
            let mut world = world_of(runs, Config::default().ignored(ignored).newest_first(newest_first));
            let (outcome, seen) = list_all(&mut world, listing(List::everything(), 16));
            assert!(outcome.dates_ignored && outcome.listed == 3_000 && seen.each_once(), "{name}: {outcome:?}");
            assert!(outcome.halted.is_none() && world.most_in_flight == 1, "{name}: {outcome:?}");
        }
    }
}

/// A server that holds dates against when a run was created keeps to them, too.
#[test]
fn windows_hold_for_any_time_of_a_run() {
    let runs = (0..3_000).map(|n| {
        // The emulator compares `createdAt`: in these messages the two times are exchanged.
        let at = NOW - n * 1_000_000;
        let sent = format!(r#"{{"dlqId":"r{n}","createdAt":{},"workflowCreatedAt":{at}}}"#, at - (n % 7) * 50_000_000);
        Run::default().dlq_id(format!("r{n}")).created_at(at).sent(Some(sent))
    });
    let (outcome, seen) = list_all(&mut world_of(runs.collect(), Config::default()), listing(List::everything(), 16));
    assert!(!outcome.dates_ignored && outcome.listed == 3_000 && seen.each_once(), "{outcome:?}");
}

/// It kept to the dates while it was looked at, and no longer: what is left is not known, and that is said.
#[test]
fn a_server_that_begins_to_ignore_dates_is_detected_by_its_runs() {
    for (name, newest_first) in [("fromDate", true), ("toDate", false)] {
        let config = Config::default().newest_first(newest_first);
        let mut world = world_of(runs_at((0..20_000).map(|n| NOW - n * 300_000)), config.clone());
        let mut listing = listing(List::everything(), 4);
        let mut seen = Seen::default();
        // Until windows are listed to their ends.
        assert!(world.run(&mut listing, 150, |_, event| seen.on_event(event)).is_none());
        let ignored = vec![Ignored::new(None, name)];
        let mut service = Service::new(config.token(TOKEN).ignored(ignored));
        world.service.runs().cloned().for_each(|run| service.insert(run));
        world.service = service;
        let outcome = world.run(&mut listing, 1_000_000, |_, event| seen.on_event(event)).unwrap();
        assert!(seen.each_once(), "{name}: a run came twice");
        assert!(outcome.dates_ignored && outcome.halted == Some(Halt::DatesIgnored), "{name}: {outcome:?}");
        assert_eq!(outcome.listed, seen.0.len() as u64);
    }
}

/// Every field may be missing: a run without its time says nothing against the server.
#[test]
fn a_run_without_a_time_is_no_reason_to_doubt_the_server() {
    for odd in [900, 5_000, 15_123, 19_999] {
        let mut runs = runs_at((0..20_000).map(|n| NOW - n * 300_000));
        let run = &mut runs[odd];
        run.sent = Some(format!(r#"{{"dlqId":"{}"}}"#, run.dlq_id));
        let (outcome, seen) = list_all(&mut world_of(runs, Config::default()), listing(List::everything(), 4));
        assert!(outcome.halted.is_none() && outcome.listed == 20_000 && seen.each_once(), "{odd}: {outcome:?}");
    }
}

/// Runs from beyond the listing's own dates are no reason to ask there.
#[test]
fn nothing_is_asked_for_beyond_the_dates_that_are_given() {
    let given = Filter::builder().from(UnixMillis::new(NOW - 10 * DAY)).to(UnixMillis::new(NOW)).build().unwrap();
    let mut listing = listing(List::matching(given).page_size(1), 4);
    let mut sent = 0;
    loop {
        match listing.poll(Duration::ZERO) {
            Step::Done(_) => break,
            Step::Send(lane, request) => {
                sent += 1;
                let query = request.uri().query().unwrap();
                let date = |name: &str| -> i64 {
                    query.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().parse().unwrap()
                };
                let (from, to) = (date("fromDate="), date("toDate="));
                assert!(from >= NOW - 10 * DAY && to <= NOW && from <= to, "{query}");
                let at = NOW - 30 * DAY + sent * 1_000;
                let cursor = if sent < 30 { format!("c{sent}") } else { String::new() };
                let body = format!(r#"{{"messages":[{{"dlqId":"r{sent}","createdAt":{at}}}],"cursor":"{cursor}"}}"#);
                listing.respond(lane, &Response::new(body)).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent >= 12);
}

#[test]
fn a_server_that_ignores_the_dates_is_listed_in_one_lane() {
    let runs = runs_at((0..5_000).map(|n| NOW - n * 1_000_000));
    let mut world = world_of(runs.clone(), Config::default().ignore_dates(true));
    let (outcome, seen) = list_all(&mut world, listing(List::everything(), 16));
    assert!(outcome.dates_ignored && outcome.listed == 5_000 && seen.each_once(), "{outcome:?}");
    // One request to find out, and, as ever, one to see that a full last page was the last.
    assert_eq!((outcome.totals.requests, world.most_in_flight), (52, 1));
    let (outcome, _) = list_all(&mut world_of(runs, Config::default()), listing(List::everything(), 16));
    assert!(!outcome.dates_ignored && outcome.listed == 5_000, "{outcome:?}");
}

/// The first page lies within the one window, what follows within the other: only the first page comes back.
#[test]
fn a_server_that_ignores_dates_is_detected_wherever_its_first_page_lies() {
    for split in 1..24 {
        let times = (0..200).map(|n| if n < split { NOW - 300 * DAY + n } else { NOW - DAY + n });
        let mut world = world_of(runs_at(times), Config::default().ignore_dates(true));
        let (outcome, seen) = list_all(&mut world, listing(List::everything().page_size(3), 2));
        assert!(outcome.dates_ignored && outcome.listed == 200 && seen.each_once(), "{split}: {outcome:?}");
    }
}

/// Responds to the n-th request, which may be of a window, with these messages and, but for the last, a cursor.
fn scripted(last: i64, mut messages: impl FnMut(i64, bool) -> String) -> ListingOutcome {
    let mut listing = listing(List::everything(), 8);
    let mut asked = 0;
    loop {
        match listing.poll(Duration::ZERO) {
            Step::Send(lane, request) => {
                asked += 1;
                let messages = messages(asked, request.uri().query().unwrap().contains("Date="));
                let cursor = if asked < last { format!("c{asked}") } else { String::new() };
                let body = format!(r#"{{"messages":[{messages}],"cursor":"{cursor}"}}"#);
                listing.respond(lane, &Response::new(body)).unwrap();
            }
            Step::Done(outcome) => return outcome,
            other => panic!("{other:?}"),
        }
    }
}

fn message(n: i64) -> String {
    format!(r#"{{"dlqId":"r{n}","createdAt":{}}}"#, NOW - n)
}

/// Between two requests the runs of the first pages were deleted by somebody: others come back, and not from the window.
#[test]
fn a_server_that_ignores_dates_is_detected_by_runs_never_seen() {
    let outcome = scripted(12, |n, window| {
        assert_eq!(window, n == 9, "one window is tried");
        message(n)
    });
    assert!(outcome.dates_ignored, "{outcome:?}");
    assert_eq!((outcome.listed, outcome.totals.requests), (11, 12));
}

#[test]
fn what_was_not_sent_is_not_counted() {
    let mut listing = listing(List::everything(), 2);
    let mut clock = Duration::ZERO;
    for delivery in [Delivery::NotSent, Delivery::Unknown] {
        let lane = next(&mut listing, &mut clock);
        assert!(matches!(listing.fail(lane, delivery), Ok(Event::Retry(_))));
    }
    let lane = next(&mut listing, &mut clock);
    listing.respond(lane, &Response::new(r#"{"messages":[]}"#)).unwrap();
    let Step::Done(outcome) = listing.poll(clock) else { panic!() };
    assert_eq!((outcome.totals.requests, outcome.totals.pages), (2, 1));
}

#[test]
fn a_short_listing_needs_no_further_request() {
    for (runs, requests) in [(0, 1), (1, 1), (99, 1), (101, 2), (799, 8)] {
        let mut world = world_of(runs_at((0..runs).map(|n| NOW - n * DAY / 5)), Config::default());
        let (outcome, _) = list_all(&mut world, listing(List::everything(), 16));
        assert_eq!((outcome.listed, outcome.totals.requests), (u64::try_from(runs).unwrap(), requests));
    }
}

/// All lanes get work wherever the runs lie, for few requests more.
#[test]
fn many_lanes_share_the_work_with_few_more_requests() {
    let even = || runs_at((0..20_000).map(|n| NOW - 90 * DAY + n * (90 * DAY / 20_000)));
    let peak = || {
        runs_at((0..20_000).map(|n| if n % 100 == 0 { NOW - 90 * DAY + n * 380_000 } else { NOW - 40 * DAY + n * 180 }))
    };
    for runs in [even as fn() -> Vec<Run>, peak] {
        let list = || List::everything().page_size(10);
        let (one, _) = list_all(&mut world_of(runs(), Config::default()), listing(list(), 1));
        let mut world = world_of(runs(), Config::default());
        let (many, seen) = list_all(&mut world, listing(list(), 16));
        assert!(seen.each_once() && many.listed == 20_000 && world.most_in_flight == 16, "{many:?}");
        assert_eq!(one.totals.requests, 2_001);
        assert!(many.totals.requests <= one.totals.requests * 11 / 10 + 160, "{many:?}");
    }
}

#[test]
fn a_window_of_one_millisecond_is_not_cut() {
    let (outcome, seen) = list_all(
        &mut world_of(runs_at((0..900).map(|_| NOW - 5)), Config::default()),
        listing(List::everything().page_size(10), 64),
    );
    assert!(outcome.listed == 900 && seen.each_once(), "{outcome:?}");
}

#[test]
fn windows_at_the_ends_of_time() {
    for (lo, hi) in [(i64::MIN, i64::MAX), (i64::MIN, i64::MIN + 2), (i64::MAX - 2, i64::MAX), (-5, 5)] {
        let middle = lo / 2 + hi / 2;
        let times = (0..900).map(|n| [lo, middle, hi][n % 3]);
        let window = Filter::builder().from(UnixMillis::new(lo)).to(UnixMillis::new(hi)).build().unwrap();
        let mut world = world_of(runs_at(times), Config::default());
        let (outcome, seen) = list_all(&mut world, listing(List::matching(window).page_size(10), 64));
        assert!(outcome.listed == 900 && seen.each_once() && outcome.halted.is_none(), "{lo}..{hi}: {outcome:?}");
    }
}

#[test]
fn a_run_without_a_time_or_an_id_keeps_it_in_one_lane() {
    for odd in [r#"{"dlqId":"odd"}"#, r#"{"createdAt":1764000000000}"#] {
        let outcome = scripted(18, |n, window| {
            assert!(!window, "cut into windows");
            format!("{},{odd}", message(n))
        });
        assert_eq!((outcome.listed, outcome.totals.requests, outcome.dates_ignored), (36, 18, false));
    }
}

/// A list that begins at a cursor cannot be cut: windows would begin before it.
#[test]
fn a_list_that_goes_on_stays_in_one_lane() {
    let mut world = world_of(runs_at((0..3_000).map(|n| NOW - n * DAY / 50)), Config::default());
    let cursor = {
        let mut one = listing(List::everything(), 1);
        let Step::Send(lane, request) = one.poll(Duration::ZERO) else { panic!() };
        world.deliver(lane, &request);
        let Event::Page(page) = world.respond(&mut one) else { panic!() };
        page.cursor.unwrap()
    };
    let (outcome, _) = list_all(&mut world, listing(List::everything().after(cursor), 8));
    assert_eq!((outcome.listed, outcome.totals.requests, world.most_in_flight), (2_900, 30, 1));
}

fn next(listing: &mut Listing, clock: &mut Duration) -> RequestId {
    loop {
        match listing.poll(*clock) {
            Step::Send(lane, _) => return lane,
            Step::WaitUntil(at) => *clock = at,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_window_that_cannot_be_listed_halts_the_listing() {
    let mut world = world_of(runs_at((0..20_000).map(|n| NOW - n * 300_000)), Config::default());
    let mut listing = listing(List::everything(), 8);
    while world.in_flight.len() < 8 {
        match listing.poll(world.clock) {
            Step::Send(lane, request) => world.deliver(lane, &request),
            _ => drop(world.respond(&mut listing)),
        }
    }
    // Operation before it and after it finish their requests, and send no more.
    let some = *world.in_flight.keys().nth(4).unwrap();
    let refused = Response::builder().status(401).body(Vec::new()).unwrap();
    world.in_flight.remove(&some);
    assert!(matches!(listing.respond(some, &refused), Ok(Event::Ended)));
    drop(world.respond(&mut listing));
    assert!(matches!(listing.poll(world.clock), Step::AwaitResponse), "requests are out");
    while !world.in_flight.is_empty() {
        drop(world.respond(&mut listing));
    }
    let asked = world.requests;
    let outcome = world.run(&mut listing, 100, |_, _| ()).unwrap();
    assert_eq!(world.requests, asked, "sent after a lane has halted");
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{outcome:?}");
    assert_eq!(outcome.totals.requests, world.requests);
}

#[test]
fn a_429_slows_all_lanes_and_uses_up_no_attempts() {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(2).unwrap());
    let list = List::everything().page_size(1);
    let mut listing =
        Listing::builder(endpoint(), list).retry(policy, 1).lanes(lanes(16), UnixMillis::new(NOW)).build();
    let mut clock = Duration::ZERO;
    let page = |n: i64, cursor: &str| {
        let at = NOW - n * DAY;
        Response::new(format!(r#"{{"messages":[{{"dlqId":"p{n}","createdAt":{at}}}],"cursor":"{cursor}"}}"#))
    };
    for n in 0..8 {
        let lane = next(&mut listing, &mut clock);
        listing.respond(lane, &page(n * 10, &format!("c{n}"))).unwrap();
    }
    let probe = next(&mut listing, &mut clock);
    listing.respond(probe, &Response::new(r#"{"messages":[],"cursor":""}"#.to_owned())).unwrap();
    let unlucky = next(&mut listing, &mut clock);
    let too_many = Response::builder().status(429).header("retry-after", "5").body(String::new()).unwrap();
    let (mut id, mut refused) = (unlucky, 0);
    // Two attempts are all a request has.
    while refused < 2 {
        if id.lane() == unlucky.lane() {
            refused += 1;
            let Event::Retry(_) = listing.respond(id, &too_many).unwrap() else { panic!("its attempts are used up") };
            assert!(matches!(listing.poll(clock), Step::WaitUntil(at) if at == clock + Duration::from_secs(5)));
        } else {
            listing.respond(id, &Response::new(r#"{"messages":[],"cursor":""}"#.to_owned())).unwrap();
        }
        id = next(&mut listing, &mut clock);
    }
}

#[test]
fn one_request_a_second_is_enough_for_all_lanes() {
    let limit = Config::default().token(TOKEN).rate_limit(Some(RateLimit::per_second(1)));
    let mut world = World::new(service(300, limit), 3);
    let mut listing = listing(List::everything().page_size(10), 16);
    let (mut seen, mut refused) = (Seen::default(), 0);
    let outcome = world.run(&mut listing, 1_000_000, |_, event| {
        seen.on_event(event);
        refused += u32::from(matches!(event, Some(Event::Retry(_))));
    });
    let outcome = outcome.unwrap();
    assert!(outcome.halted.is_none() && outcome.listed == 305 && seen.each_once(), "{outcome:?}");
    // The header tells the limit with the first refusal: from then on hardly any request is refused.
    assert!(refused < 20, "{refused} of {} requests refused", outcome.totals.requests);
}

#[test]
fn a_rate_is_kept() {
    let mut world = World::new(service(300, Config::default()), 3);
    let list = List::everything().page_size(10);
    let listing = Listing::builder(endpoint(), list)
        .retry(policy(), 1)
        .lanes(lanes(8), UnixMillis::new(NOW))
        .max_requests_per_second(NonZeroU32::new(5))
        .build();
    let (outcome, _) = list_all(&mut world, listing);
    let fastest = Duration::from_millis(200) * u32::try_from(outcome.totals.requests - 1).unwrap();
    assert!(outcome.listed == 305 && world.clock >= fastest, "{:?} for {outcome:?}", world.clock);
}

#[test]
fn lost_requests_of_a_listing_are_sent_again() {
    let mut world = world_of(runs_at((0..20_000).map(|n| NOW - n * 300_000)), Config::default());
    let mut listing = listing(List::everything(), 8);
    let mut seen = Seen::default();
    assert!(world.run(&mut listing, 60, |_, event| seen.on_event(event)).is_none());
    let lost = world.in_flight.len() as u64;
    assert!(lost > 0);
    let out = std::mem::take(&mut world.in_flight);
    listing.connection_lost();
    assert!(out.keys().all(|id| listing.fail(*id, Delivery::Unknown).is_err()), "a lost request was accepted again");
    let outcome = world.run(&mut listing, 1_000_000, |_, event| seen.on_event(event)).unwrap();
    assert!(outcome.halted.is_none() && outcome.listed == 20_000 && seen.each_once() && seen.0.len() == 20_000);
    assert_eq!(outcome.totals.requests, world.requests);
}

/// One lane waits to try again when another shows that the server ignores dates: the rest does not wait for it.
#[test]
fn a_lane_that_is_closed_while_it_waits_holds_nothing_up() {
    let mut listing = listing(List::everything(), 2);
    let mut clock = Duration::ZERO;
    let page = |n: i64, cursor: &str| Response::new(format!(r#"{{"messages":[{}],"cursor":"{cursor}"}}"#, message(n)));
    for n in 0..8 {
        let id = next(&mut listing, &mut clock);
        listing.respond(id, &page(n * DAY, &format!("c{n}"))).unwrap();
    }
    let probe = next(&mut listing, &mut clock);
    listing.respond(probe, &Response::new(r#"{"messages":[]}"#.to_owned())).unwrap();
    let (waits, shows) = (next(&mut listing, &mut clock), next(&mut listing, &mut clock));
    let busy = Response::builder().status(503).header("retry-after", "50").body(String::new()).unwrap();
    listing.respond(waits, &busy).unwrap();
    assert!(matches!(listing.poll(clock), Step::AwaitResponse | Step::WaitUntil(_)));
    // A run from before this window.
    listing.respond(shows, &page(5_000 * DAY, "x")).unwrap();
    let Step::Send(id, request) = listing.poll(clock) else { panic!("it waits for a lane that is closed") };
    assert_eq!(request.uri().query(), Some("count=100&cursor=c7"));
    listing.respond(id, &page(9 * DAY, "")).unwrap();
    let Step::Done(outcome) = listing.poll(clock) else { panic!() };
    assert!(outcome.dates_ignored && outcome.listed == 9, "{outcome:?}");
}
