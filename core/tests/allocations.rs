//! What a page costs in allocations, counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::Response;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::num::NonZeroUsize;
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Endpoint, Filter, Operation, Selection, Step, Token, UnixMillis};

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

/// One test, so that no other runs beside it: at most 3 allocations to ask for a page, at most 1 to understand it.
#[test]
fn a_page_costs_three_allocations_to_ask_and_one_to_understand() {
    let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("a-token").unwrap()).unwrap();
    let filter = Filter::builder()
        .from(UnixMillis::new(1))
        .to(UnixMillis::new(1_764_000_000_000))
        .workflow_url("https://shop.example.com/api/workflow/checkout")
        .label("nightly")
        .label("red & white")
        .caller_ip("203.0.113.7");
    let filter = filter.build().unwrap();
    for lanes in [1, 4] {
        let mut delete = BulkDelete::builder(endpoint.clone(), Selection::Filter(filter.clone()))
            .lanes(NonZeroUsize::new(lanes).unwrap(), UnixMillis::new(1_764_000_000_000))
            .build();
        let mut n = 0;
        let (ask, understand) = fewest(|| {
            let (ask, step) = counted(|| delete.poll(Duration::ZERO));
            let Step::Send(id, _) = step else { panic!() };
            n += 1;
            let page = format!("{{\"deleted\":100,\"cursor\":\"1752829295505-{n:012}/k=\"}}");
            let response = Response::new(page.as_bytes());
            let (understand, event) = counted(|| delete.on_response(id, response));
            event.unwrap();
            (ask, understand)
        });
        println!("{lanes} lanes: {ask} to ask, {understand} to understand");
        assert!(ask <= 3 && understand <= 1, "{lanes} lanes: {ask} to ask, {understand} to understand");
    }
}
