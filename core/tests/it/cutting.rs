//! How the windows of a delete are cut: what the lanes cost in requests, and what they save in time, wherever the runs lie.

use crate::one_lane::Respond;
use crate::world::{NOW, TOKEN, World, endpoint, lanes, runs_at};
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Operation, Selection, Step, UnixMillis};
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

/// The requests of a delete, and its rounds, if the requests of a round take equally long.
fn requests_and_rounds(lanes_count: usize, times: Times) -> (u64, u64) {
    let mut service = Service::new(Config { token: TOKEN.into(), ..Config::default() });
    runs_at((0..RUNS).map(times)).into_iter().for_each(|run| service.insert(run));
    let mut world = World::new(service, 3);
    let page_size = NonZeroU32::new(u32::try_from(PAGE).unwrap()).unwrap();
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).page_size(page_size);
    let mut operation = delete.lanes(lanes(lanes_count), UnixMillis::new(NOW)).build();
    let mut rounds = 0;
    loop {
        match operation.poll(Duration::ZERO) {
            Step::Send(id, request) => world.deliver(id, &request),
            Step::Done(outcome) => {
                assert!(outcome.verified && world.service.is_empty(), "{outcome:?}");
                return (world.requests, rounds);
            }
            Step::AwaitResponse | Step::WaitUntil(_) => {
                rounds += 1;
                for (id, response) in std::mem::take(&mut world.in_flight) {
                    drop(operation.respond(id, &response.unwrap()).unwrap());
                }
            }
        }
    }
}

/// What a window that is done tells about the others keeps both low: without it, lanes wait for the widest window, or cut windows
/// that are almost empty.
#[test]
fn lanes_save_much_time_and_cost_few_requests_wherever_the_runs_lie() {
    let (mut all_requests, mut all_rounds) = (0, 0);
    for (name, times) in SHAPES {
        let (requests, rounds) = requests_and_rounds(16, times);
        println!("{name}: {requests} requests, {rounds} rounds");
        assert!(requests <= 320 && rounds <= 25, "{name}: {requests} requests, {rounds} rounds");
        all_requests += requests;
        all_rounds += rounds;
    }
    // One lane needs 201 requests for each, one after another.
    assert!(all_requests <= 7 * 270 && all_rounds <= 7 * 23, "{all_requests} requests, {all_rounds} rounds");
}
