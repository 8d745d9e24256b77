//! How the windows of a delete are cut: what the lanes cost in requests, and what they save in time, wherever the runs lie.

use crate::one_lane::Respond;
use crate::world::{NOW, TOKEN, World, endpoint, lanes, runs_at};
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{BulkDelete, Event, Operation, Selection, Step, UnixMillis};
use upstash_dlq_emulator::{Config, Service};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const PAGES: i64 = 200;
const PAGE: i64 = 10;
const RUNS: i64 = PAGES * PAGE;

/// When the `n`-th run failed.
type Times = fn(i64) -> i64;

const SHAPES: [(&str, Times); 7] = [
    ("evenly over ninety days", |n| NOW - 90 * DAY + n * (90 * DAY / RUNS)),
    ("evenly over the later half", |n| NOW - 45 * DAY + n * (45 * DAY / RUNS)),
    ("in one hour", |n| NOW - 33 * DAY + n * (HOUR / RUNS)),
    ("in one hour, and a few everywhere", |n| {
        if n % 100 == 0 { NOW - 90 * DAY + n * (90 * DAY / RUNS) } else { NOW - 33 * DAY + n * (HOUR / RUNS) }
    }),
    ("in the last hour", |n| NOW - n * (HOUR / RUNS)),
    ("in two hours far from each other", |n| NOW - if n % 2 == 0 { 70 } else { 3 } * DAY + n * (HOUR / RUNS)),
    ("in one hour long ago", |n| NOW - 90 * DAY + n * (HOUR / RUNS)),
];

/// How many requests an operation makes, and in how many rounds, if the requests of a round take equally long.
fn cost<O: Operation>(
    world: &mut World,
    operation: &mut O,
    mut on_page: impl FnMut(&mut O, O::Page),
) -> (u64, u64, O::Outcome) {
    let mut rounds = 0;
    loop {
        match operation.poll(Duration::ZERO) {
            Step::Send(id, request) => world.deliver(id, &request),
            Step::Done(outcome) => return (world.requests, rounds, outcome),
            Step::AwaitResponse | Step::WaitUntil(_) => {
                rounds += 1;
                for (id, response) in std::mem::take(&mut world.in_flight) {
                    if let Event::Page(page) = operation.respond(id, &response.unwrap()).unwrap() {
                        on_page(operation, page);
                    }
                }
            }
        }
    }
}

fn world(times: Times) -> World {
    let mut service = Service::new(Config::default().token(TOKEN));
    runs_at((0..RUNS).map(times)).into_iter().for_each(|run| service.insert(run));
    World::new(service, 3)
}

fn on_lanes() -> BulkBuilder<Delete> {
    let page_size = NonZeroU32::new(u32::try_from(PAGE).unwrap()).unwrap();
    BulkDelete::builder(endpoint(), Selection::Everything).page_size(page_size).lanes(lanes(16), UnixMillis::new(NOW))
}

/// Holds the requests and rounds of each shape, and their sums, against the most that they may be.
fn check(most: [u64; 2], most_of_all: [u64; 2], cost_of: impl Fn(Times) -> (u64, u64)) {
    let (mut all_requests, mut all_rounds) = (0, 0);
    for (name, times) in SHAPES {
        let (requests, rounds) = cost_of(times);
        println!("{name}: {requests} requests, {rounds} rounds");
        assert!(requests <= most[0] && rounds <= most[1], "{name}: {requests} requests, {rounds} rounds");
        all_requests += requests;
        all_rounds += rounds;
    }
    println!("{all_requests} requests, {all_rounds} rounds");
    let [requests, rounds] = most_of_all;
    assert!(all_requests <= requests && all_rounds <= rounds, "{all_requests} requests, {all_rounds} rounds");
}

/// What a window that is done tells about the others keeps both low: without it, lanes wait for the widest window, or cut windows
/// that are almost empty. One lane needs 201 requests for each, one after another.
#[test]
fn lanes_save_much_time_and_cost_few_requests_wherever_the_runs_lie() {
    check([285, 24], [1_820, 150], |times| {
        let mut world = world(times);
        let (requests, rounds, outcome) = cost(&mut world, &mut on_lanes().build(), |_, _| {});
        assert!(outcome.verified && world.service.is_empty(), "{outcome:?}");
        (requests, rounds)
    });
}

/// The same with an archive, which lists each page and then deletes it. One lane needs 402 requests for each.
#[test]
fn lanes_save_much_time_also_where_runs_are_archived_first() {
    check([490, 47], [3_300, 290], |times| {
        let mut world = world(times);
        let (requests, rounds, outcome) = cost(&mut world, &mut on_lanes().build_archived(), |operation, page| {
            page.batch.into_iter().for_each(|batch| operation.stored(batch.number).unwrap());
        });
        assert!(outcome.verified && world.service.is_empty(), "{outcome:?}");
        (requests, rounds)
    });
}
