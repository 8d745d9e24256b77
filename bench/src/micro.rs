//! Building one request with six filters and a cursor, and understanding one response, without a network.

use crate::GLOBAL;
use http::Response;
use stats_alloc::Region;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};
use upstash_dlq_core::wire::DeletePage;
use upstash_dlq_core::{BulkDelete, Endpoint, Filter, Operation, Selection, Step, Token, UnixMillis};

const PAIRS: [(&str, &str); 6] = [
    ("fromDate", "1761408000000"),
    ("toDate", "1764000000000"),
    ("workflowUrl", "https://shop.example.com/api/workflow/checkout"),
    ("label", "nightly"),
    ("label", "red & white"),
    ("callerIp", "203.0.113.7"),
];
const CURSOR: &str = "1752829295505-000000000042/k=";
const URL: &str = "https://qstash.upstash.io/v2/workflows/dlq";

fn bulk() -> BulkDelete {
    let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("a-token").unwrap()).unwrap();
    let filter = Filter::builder()
        .from(UnixMillis::new(1_761_408_000_000))
        .to(UnixMillis::new(1_764_000_000_000))
        .workflow_url("https://shop.example.com/api/workflow/checkout")
        .label("nightly")
        .label("red & white")
        .caller_ip("203.0.113.7");
    BulkDelete::builder(endpoint, Selection::Filter(filter.build().unwrap())).build()
}

/// Nanoseconds and allocations of one, the least of many batches.
fn cost<T>(mut act: impl FnMut() -> T) -> (f64, f64) {
    const BATCH: u32 = 2_000;
    let mut nanos = f64::MAX;
    let mut allocations = f64::MAX;
    for _ in 0..200 {
        let region = Region::new(GLOBAL);
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(act());
        }
        nanos = nanos.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
        let stats = region.change();
        allocations = allocations.min((stats.allocations + stats.reallocations) as f64 / f64::from(BATCH));
    }
    (nanos, allocations)
}

pub(crate) fn table() -> String {
    let body = format!("{{\"deleted\":100,\"cursor\":\"{CURSOR}\"}}");
    let response = Response::new(body.as_bytes());
    let mut table =
        String::from("| building one request, six filters and a cursor | ns | allocations |\n|---|--:|--:|\n");
    let mut row = |name: &str, (nanos, allocations): (f64, f64)| {
        writeln!(table, "| {name} | {nanos:.0} | {allocations:.1} |").unwrap();
        nanos
    };
    let client = reqwest::Client::new();
    let pairs = || PAIRS.into_iter().chain([("count", "100"), ("cursor", CURSOR)]);
    let theirs = row(
        "reqwest's builder: `delete(url).query(&pairs).bearer_auth(token)`",
        cost(|| {
            let pairs: [(&str, &str); 8] =
                [PAIRS[0], PAIRS[1], PAIRS[2], PAIRS[3], PAIRS[4], PAIRS[5], ("count", "100"), ("cursor", CURSOR)];
            client.delete(URL).query(&pairs).bearer_auth("a-token").build().unwrap()
        }),
    );
    row(
        "reqwest's builder, the URL parsed and its pairs appended by hand",
        cost(|| {
            let mut url = url::Url::parse(URL).unwrap();
            url.query_pairs_mut().extend_pairs(pairs());
            client.delete(url).header("authorization", "Bearer a-token").build().unwrap()
        }),
    );
    row(
        "`form_urlencoded` into `http::Request`",
        cost(|| {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs()).finish();
            let request = http::Request::delete(format!("{URL}?{query}")).header("authorization", "Bearer a-token");
            request.body(()).unwrap()
        }),
    );
    let mut bulk = bulk();
    let Step::Send(id, _) = bulk.poll(Duration::ZERO) else { panic!() };
    bulk.on_response(id, response.clone()).unwrap();
    let ours = row(
        "ours: `Bulk::poll`, and taken back",
        cost(|| {
            let Step::Send(id, request) = bulk.poll(Duration::ZERO) else { panic!() };
            bulk.cancel_unsent(id).unwrap();
            request
        }),
    );
    writeln!(table, "\nOurs takes {:.2} of the time of reqwest's builder.\n", ours / theirs).unwrap();
    table.push_str("| understanding one response | ns | allocations |\n|---|--:|--:|\n");
    let mut row = |name: &str, (nanos, allocations): (f64, f64)| {
        writeln!(table, "| {name} | {nanos:.0} | {allocations:.1} |").unwrap();
    };
    row("`serde_json::Value`", cost(|| serde_json::from_str::<serde_json::Value>(&body).unwrap()));
    row("ours: `DeletePage::parse`", cost(|| DeletePage::parse(&response).unwrap()));
    table
}
