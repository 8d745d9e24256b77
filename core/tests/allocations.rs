//! What a page costs in allocations, counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::Response;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::num::NonZeroUsize;
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Endpoint, Filter, FleetStep, Selection, Step, Token, UnixMillis};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The smallest of many counts: the test's own threads may allocate, too.
fn fewest(mut count: impl FnMut() -> (usize, usize)) -> (usize, usize) {
    let counts: Vec<(usize, usize)> = (0..64).map(|_| count()).collect();
    (counts.iter().map(|c| c.0).min().unwrap(), counts.iter().map(|c| c.1).min().unwrap())
}

fn counted<T>(act: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(GLOBAL);
    let result = act();
    let stats = region.change();
    (stats.allocations + stats.reallocations, result)
}

/// One test, so that no other runs beside it: at most 4 allocations to ask for a page, at most 1 to understand it.
#[test]
fn a_page_costs_four_allocations_to_ask_and_one_to_understand() {
    let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("a-token").unwrap()).unwrap();
    let filter = Filter::builder()
        .from(UnixMillis::new(1))
        .to(UnixMillis::new(1_764_000_000_000))
        .workflow_url("https://shop.example.com/api/workflow/checkout")
        .label("nightly")
        .label("red & white")
        .caller_ip("203.0.113.7");
    let delete = BulkDelete::new(endpoint, Selection::Filter(filter.build().unwrap()));
    let mut n = 0;
    let mut answer = || {
        n += 1;
        Response::new(format!("{{\"deleted\":100,\"cursor\":\"1752829295505-{n:012}/k=\"}}"))
    };

    let mut bulk = delete.clone().build();
    let (ask, understand) = fewest(|| {
        let (ask, step) = counted(|| bulk.poll());
        assert!(matches!(step, Step::Send(_)));
        let answer = answer();
        let (understand, event) = counted(|| bulk.on_response(&answer));
        event.unwrap();
        (ask, understand)
    });
    println!("a lane: {ask} to ask, {understand} to understand");
    assert!(ask <= 4 && understand <= 1, "{ask} to ask, {understand} to understand");

    let mut fleet = delete.build_fleet(NonZeroUsize::new(1).unwrap(), UnixMillis::new(1_764_000_000_000));
    let (ask, understand) = fewest(|| {
        let (ask, step) = counted(|| fleet.poll(Duration::ZERO));
        let FleetStep::Send(lane, _) = step else { panic!() };
        let answer = answer();
        let (understand, event) = counted(|| fleet.on_response(lane, &answer));
        event.unwrap();
        (ask, understand)
    });
    println!("a fleet of one: {ask} to ask, {understand} to understand");
    assert!(ask <= 4 && understand <= 1, "{ask} to ask, {understand} to understand");
}
