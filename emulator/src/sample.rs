//! Failed runs that look like the real thing.

use crate::failure;
use crate::random::SplitMix64;
use crate::run::{FailureCallbackInfo, Run};

const WORKFLOWS: [&str; 7] = [
    "https://shop.example.com/api/workflow/checkout",
    "https://shop.example.com/api/workflow/refund",
    "https://mail.example.com/workflows/newsletter",
    "https://data.example.com/etl/nightly-import",
    "https://data.example.com/etl/export",
    "https://ai.example.com/api/agents/summarize",
    "https://billing.example.com/workflow/invoice?version=2",
];
const LABELS: [&[&str]; 10] = [
    &[],
    &[],
    &["nightly"],
    &["nightly"],
    &["red & white"],
    &["größe"],
    &["nightly", "customer/4711"],
    &["urgent"],
    &["a+b=c?"],
    &["hostile \u{1b}[31mred\u{1b}[0m \u{202e}txet\r\nnext line"],
];
const STATES: [Option<&str>; 6] = [
    None,
    None,
    Some("CALLBACK_INPROGRESS"),
    Some("CALLBACK_SUCCESS"),
    Some("CALLBACK_FAIL"),
    Some("CALLBACK_CANCELED"),
];
const ADDRESSES: [&str; 4] = ["203.0.113.7", "198.51.100.23", "2001:db8::17", "192.0.2.200"];
const FLOW_KEYS: [Option<&str>; 4] = [None, None, Some("payments"), Some("mail server")];
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// `n` runs that failed in the thirty days before `newest_ms` (milliseconds since 1970), a third of them within one hour two days
/// before it. Most of those have one cause; the others have a dozen, some more frequent than others.
///
/// ```
/// use upstash_dlq_emulator::sample;
/// let runs = sample::runs(250, 1, 1_764_000_000_000);
/// assert!(runs.len() == 250 && runs.iter().all(|run| run.created_at <= 1_764_000_000_000));
/// assert_eq!(runs, sample::runs(250, 1, 1_764_000_000_000), "the same seed, the same runs");
/// ```
pub fn runs(n: usize, seed: u64, newest_ms: i64) -> Vec<Run> {
    let mut random = SplitMix64::new(seed);
    // With numbers of their own, so that all else stays as it is if a cause is added.
    let mut failures = SplitMix64::new(!seed);
    (0..n).map(|number| run(number, &mut random, &mut failures, newest_ms)).collect()
}

fn run(number: usize, random: &mut SplitMix64, failures: &mut SplitMix64, newest_ms: i64) -> Run {
    let mut ago = |span: i64| i64::try_from(random.below(u64::try_from(span).unwrap_or(1))).unwrap_or(0);
    let bad_hour = number % 3 == 0;
    let created_at = newest_ms - if bad_hour { 2 * DAY + ago(HOUR) } else { ago(30 * DAY) };
    let workflow_created_at = created_at - 1_000 - ago(10 * 60_000);
    let labels: Vec<String> =
        random.pick(&LABELS).copied().unwrap_or_default().iter().map(|l| (*l).to_owned()).collect();
    let url = random.pick(&WORKFLOWS).copied().unwrap_or_default().to_owned();
    let failure = failure::draw(failures, bad_hour);
    let hostile = number % 97 == 5;
    let binary = number % 50 == 7;
    let workflow_run_id = format!("wfr_{:016x}", random.next());
    let state = random.pick(&STATES).copied().flatten().map(str::to_owned);
    Run {
        dlq_id: format!("{created_at}-{number}"),
        workflow_run_id,
        workflow_url: url.clone(),
        workflow_created_at,
        url,
        method: "POST".into(),
        header: [("Content-Type".to_owned(), vec!["application/json".to_owned()])].into(),
        body: if binary {
            String::new()
        } else if hostile {
            "\u{1b}]0;owned\u{7}\u{9b}2J".into()
        } else {
            format!("{{\"order\":{number}}}")
        },
        max_retries: 3,
        created_at,
        body_base64: if binary { "/wD+gICA".into() } else { String::new() },
        failure_callback: state.as_ref().map(|_| "https://shop.example.com/api/failed".to_owned()),
        failure_callback_info: state.clone().map(|state| FailureCallbackInfo {
            response_status: if state == "CALLBACK_SUCCESS" { 200 } else { 500 },
            state,
            ..FailureCallbackInfo::default()
        }),
        failure_function_state: state,
        caller_ip: random.pick(&ADDRESSES).copied().unwrap_or_default().to_owned(),
        label: labels.first().cloned(),
        labels,
        flow_control_key: random.pick(&FLOW_KEYS).copied().flatten().map(str::to_owned),
        response_status: failure.status,
        response_header: [("Content-Type".to_owned(), vec![failure.content_type.to_owned()])].into(),
        response_body: if hostile { "no\u{0}thing \u{1b}[2J".repeat(50) } else { failure.body },
        ..Run::default()
    }
}
