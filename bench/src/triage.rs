//! What it costs to find out why runs failed: `stats` over one million runs with 20,000 texts of 200 causes.

use crate::process::{Server, measure};
use std::collections::HashMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;

const RUNS: u64 = 1_000_000;
const TEXTS: usize = 20_000;
const CAUSES: usize = 200;

const NOUNS: [&str; 20] = [
    "order",
    "customer",
    "invoice",
    "payment",
    "shipment",
    "product",
    "cart",
    "coupon",
    "session",
    "tenant",
    "webhook",
    "document",
    "embedding",
    "refund",
    "address",
    "warehouse",
    "ticket",
    "campaign",
    "recipient",
    "schedule",
];

/// The body of the response with which run number `n` failed: one of 20,000, in the form of the service's SDK.
pub(crate) fn error_body(n: usize) -> String {
    let text = n % TEXTS;
    let cause = text % CAUSES;
    let noun = NOUNS[cause % NOUNS.len()];
    // What varies within a cause.
    let (id, hex) = (text * 7_919, (text as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let message = match cause / NOUNS.len() {
        0 => format!("Cannot read properties of undefined (reading '{noun}')"),
        1 => format!("{noun} {hex:016x} not found"),
        2 => format!("connect ECONNREFUSED 10.0.{}.{}:{}, {noun} service", text % 256, text % 251, 1_024 + text),
        3 => format!("timeout of {id}ms exceeded while waiting for the {noun}"),
        4 => format!("Rate limit reached for {noun}: limit {id}, used {id}. Try again in {}s.", text % 60),
        5 => format!(
            "duplicate key value violates unique constraint \"{noun}_pkey\" Detail: Key (id)=({id}) already exists."
        ),
        6 => format!("Request failed with status code 404 for https://api.example.com/{noun}/{id}?at={hex:x}"),
        7 => format!("Unexpected token < in JSON at position {id} of the {noun}"),
        8 => format!("ENOENT: no such file or directory, open '/var/task/{noun}/{hex:x}.json'"),
        _ => format!("validation failed: {noun}.amount must be a positive number, got -{id}"),
    };
    let stack = format!("Error: {message}\n    at step (/srv/app/{hex:x}.js:{}:{})", text % 900, text % 80);
    serde_json::json!({ "error": "Error", "message": message, "stack": stack }).to_string()
}

/// The processor time of a signature of each of the texts, the least of several rounds.
fn signatures() -> (Duration, usize, f64, f64) {
    let messages: Vec<DlqMessage> = (0..TEXTS)
        .map(|n| {
            let json =
                serde_json::json!({ "dlqId": format!("1-{n}"), "responseStatus": 500, "responseBody": error_body(n) });
            DlqMessage::parse(&json.to_string()).unwrap()
        })
        .collect();
    let least = (0..10).map(|_| {
        let start = Instant::now();
        for message in &messages {
            let _ = black_box(message.signature());
        }
        start.elapsed()
    });
    let least = least.min().unwrap();
    let mut groups: HashMap<Signature, HashMap<usize, u64>> = HashMap::new();
    for (n, message) in messages.iter().enumerate() {
        *groups.entry(message.signature()).or_default().entry(n % CAUSES).or_default() += 1;
    }
    let pairs = |n: u64| (n * n.saturating_sub(1) / 2) as f64;
    let both: f64 = groups.values().flat_map(HashMap::values).map(|n| pairs(*n)).sum();
    let one_signature: f64 = groups.values().map(|causes| pairs(causes.values().sum())).sum();
    let one_cause = CAUSES as f64 * pairs((TEXTS / CAUSES) as u64);
    (least, groups.len(), both / one_signature, both / one_cause)
}

pub(crate) fn table(cli: &Path) -> String {
    let (signing, groups, precision, recall) = signatures();
    let signing = signing.as_secs_f64() * RUNS as f64 / TEXTS as f64;
    let server = Server::start();
    let mut table = String::new();
    writeln!(
        table,
        "`stats` over {RUNS} runs in pages of 100, no latency, one lane; {TEXTS} texts of {CAUSES} causes.\n"
    )
    .unwrap();
    let stats = (0..3).map(|_| {
        server.reset(RUNS, "causes", 0);
        let mut command = Command::new(cli);
        command.args(["stats", "--quiet", "--json", "--parallel", "1"]);
        measure(command.env("QSTASH_URL", &server.url).env("QSTASH_TOKEN", "token"))
    });
    let stats = crate::process::least(stats);
    let cpu = stats.cpu.as_secs_f64();
    writeln!(
        table,
        "| processor time, s | of it signatures, s | against `stats` without them | peak memory, MB | signatures | precision | recall |\n\
         |--:|--:|--:|--:|--:|--:|--:|\n| {cpu:.2} | {signing:.2} | {:.2} | {:.1} | {groups} | {precision:.4} | {recall:.4} |\n\n\
         Precision and recall are of pairs of texts. The time of the signatures is measured in a loop over the same texts.",
        cpu / (cpu - signing),
        stats.memory as f64 / 1e6
    )
    .unwrap();
    table
}
