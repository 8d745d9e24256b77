//! Each in a process of its own: bare loops on the same libraries, and ours.

use serde::Deserialize;
use upstash_dlq_core::{Endpoint, Filter, Selection, Token, UnixMillis};

#[derive(Deserialize)]
struct Page {
    #[allow(dead_code, reason = "a loop by hand reads it, too")]
    deleted: u64,
    cursor: Option<String>,
}

const AUTHORIZATION: &str = "Bearer token";

fn next_url(base: &str, cursor: Option<&str>) -> String {
    let mut url = format!("{base}/v2/workflows/dlq?count=100");
    if let Some(cursor) = cursor {
        url.push_str("&cursor=");
        url.extend(form_urlencoded::byte_serialize(cursor.as_bytes()));
    }
    url
}

pub(crate) fn run(kind: &str, url: &str, rest: &[&str]) {
    let lanes = rest.first().map_or(1, |lanes| lanes.parse().unwrap());
    match kind {
        "bare-ureq" => bare_ureq(url),
        "bare-reqwest" => runtime().block_on(bare_reqwest(url)),
        "ours-ureq" => {
            let outcome = upstash_dlq_ureq::Client::new(endpoint(url))
                .unwrap()
                .delete(Selection::Everything)
                .verify(false)
                .lanes(lanes)
                .run();
            assert!(outcome.halted.is_none(), "{outcome:?}");
        }
        "ours-reqwest" => runtime().block_on(async {
            let client = upstash_dlq_reqwest::Client::new(endpoint(url)).unwrap();
            let outcome = client.delete(Selection::Everything).verify(false).lanes(lanes).run().await;
            assert!(outcome.halted.is_none(), "{outcome:?}");
        }),
        "raw" => raw(url, rest[0].parse().unwrap()),
        // As many windows as lanes, with the same number of runs in each: what no client can know beforehand.
        "oracle" => oracle(url, &rest.iter().map(|end| end.parse().unwrap()).collect::<Vec<i64>>()),
        other => panic!("{other} is no client"),
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Token::new("token").unwrap()).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn bare_ureq(url: &str) {
    let agent = ureq::Agent::new_with_defaults();
    let mut cursor = None;
    loop {
        let request = agent.delete(next_url(url, cursor.as_deref())).header("authorization", AUTHORIZATION);
        let body = request.call().unwrap().body_mut().read_to_vec().unwrap();
        let page: Page = serde_json::from_slice(&body).unwrap();
        match page.cursor.filter(|cursor| !cursor.is_empty()) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
}

async fn bare_reqwest(url: &str) {
    let client = reqwest::Client::new();
    let mut cursor = None;
    loop {
        let request = client.delete(next_url(url, cursor.as_deref())).header("authorization", AUTHORIZATION);
        let body = request.send().await.unwrap().bytes().await.unwrap();
        let page: Page = serde_json::from_slice(&body).unwrap();
        match page.cursor.filter(|cursor| !cursor.is_empty()) {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
}

/// Bytes to a socket and back: what the server alone can do.
fn raw(url: &str, requests: u64) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..requests {
        stream.write_all(b"DELETE /v2/workflows/dlq?count=100 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
}

fn oracle(url: &str, ends: &[i64]) {
    std::thread::scope(|scope| {
        for window in ends.windows(2) {
            scope.spawn(move || {
                let at = UnixMillis::new;
                let filter = Filter::builder().from(at(window[0])).to(at(window[1] - 1));
                let selection = Selection::Filter(filter.build().unwrap());
                let outcome =
                    upstash_dlq_ureq::Client::new(endpoint(url)).unwrap().delete(selection).verify(false).run();
                assert!(outcome.halted.is_none());
            });
        }
    });
}
