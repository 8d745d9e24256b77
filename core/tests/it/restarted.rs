//! Listings whose pages are too large, request by request: when the count grows back, and when a window may start again.

use crate::one_lane::Respond;
use http::Response;
use std::time::Duration;
use upstash_dlq_core::client::response_too_large;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{Endpoint, Event, Halt, Listing, Operation, RetryPolicy, Step, Token};

/// The bound of a page.
const BOUND: usize = 2_000;

/// A listing, and the ids that it has handed over.
struct ByHand {
    listing: Listing,
    listed: Vec<String>,
}

impl ByHand {
    fn new(page_size: u32) -> Self {
        let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("t").unwrap()).unwrap();
        let list = List::everything().page_size(page_size);
        Self { listing: Listing::builder(endpoint, list).retry(RetryPolicy::default(), 1).build(), listed: Vec::new() }
    }

    /// Sends the next request, which has this query.
    fn expect(&mut self, query: &str) -> upstash_dlq_core::engine::RequestId {
        let Step::Send(id, request) = self.listing.poll(Duration::ZERO) else { panic!("{query} was expected") };
        assert_eq!(request.uri().query(), Some(query));
        id
    }

    fn page(&mut self, query: &str, messages: &[String], cursor: &str) {
        let id = self.expect(query);
        let body = format!(r#"{{"messages":[{}],"cursor":"{cursor}"}}"#, messages.join(","));
        if let Event::Page(page) = self.listing.respond(id, &Response::new(body)).unwrap() {
            self.listed.extend(page.messages.iter().map(|run| run.as_json().to_owned()));
        }
    }

    fn too_large(&mut self, query: &str) {
        let id = self.expect(query);
        self.listing.on_failure(id, response_too_large(BOUND)).unwrap();
    }

    /// The server says that a cursor belongs to the count that it was given out for.
    fn refuse(&mut self, query: &str) {
        let id = self.expect(query);
        let refused = Response::builder().status(400).body(r#"{"error":"another count"}"#).unwrap();
        self.listing.respond(id, &refused).unwrap();
    }
}

fn run(n: usize) -> String {
    format!(r#"{{"dlqId":"r{n}"}}"#)
}

/// A page of at most a quarter of the bound, with what stands between its messages, fits twice.
#[test]
fn the_count_grows_after_a_page_of_a_quarter_of_the_bound() {
    for (length, next) in [(499, "count=2&cursor=1"), (500, "count=1&cursor=1")] {
        let mut listing = ByHand::new(4);
        listing.too_large("count=4");
        listing.too_large("count=2");
        let empty = r#"{"dlqId":"a","b":""}"#.len();
        let message = format!(r#"{{"dlqId":"a","b":"{}"}}"#, "x".repeat(length - empty));
        listing.page("count=1", &[message], "1");
        listing.expect(next);
    }
}

/// A run without an id cannot be recognised, so its window does not start again.
#[test]
fn a_window_with_a_run_without_an_id_does_not_start_again() {
    for has_id in [true, false] {
        let mut listing = ByHand::new(4);
        let other = if has_id { run(1) } else { "{}".into() };
        listing.page("count=4", &[other.clone(), run(2)], "1");
        listing.too_large("count=4&cursor=1");
        listing.refuse("count=2&cursor=1");
        if has_id {
            listing.page("count=2", &[other, run(2)], "2");
            assert_eq!(listing.listed, [run(1), run(2)], "each once");
        } else {
            let Step::Done(outcome) = listing.listing.poll(Duration::ZERO) else { panic!("it goes on") };
            assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{outcome:?}");
        }
    }
}

/// A window that has started again knows what came before, also if more runs have arrived than it could remember.
#[test]
fn a_window_that_has_started_again_hands_nothing_over_twice() {
    let runs: Vec<String> = (0..4_096).map(run).collect();
    let mut listing = ByHand::new(100);
    let mut query = "count=100".to_owned();
    for (n, page) in runs.chunks(100).enumerate() {
        listing.page(&query, page, &n.to_string());
        query = format!("count=100&cursor={n}");
    }
    listing.too_large(&query);
    listing.refuse("count=50&cursor=40");
    // One more than it could remember.
    let again = [&[run(5_000)], &runs[..]].concat();
    query = "count=50".to_owned();
    for (n, page) in again.chunks(50).enumerate() {
        listing.page(&query, page, &format!("again{n}"));
        query = format!("count=50&cursor=again{n}");
    }
    assert_eq!(listing.listed, [&runs[..], &[run(5_000)]].concat());
}
