//! `upstash-dlq check`: what can be known of a service by asking it, without changing anything.

mod answer;
mod dates;
mod meter;
mod survey;

use crate::commands::check::answer::{Answer, Verdict};
use crate::commands::check::meter::{Meter, Seen, least_and_median};
use crate::commands::check::survey::{Question, Survey};
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus};
use crate::input::endpoint;
use crate::interrupt;
use crate::output::table::{Columns, Table};
use crate::output::terminal::{json_line, print_line};
use crate::output::text::thousands;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_ureq::Client;

pub(crate) fn run(context: &Context<'_>) -> Result<ExitStatus, CommandError> {
    let endpoint = endpoint::endpoint(context.global).map_err(CommandError::usage)?;
    let meter = Meter::new(context.transport(&endpoint).map_err(CommandError::usage)?, endpoint.clone());
    interrupt::install(context.terminal);
    let client = Client::with_transport(endpoint, meter.clone());
    let mut survey = Survey::new(context, client, meter.clone());
    let result = survey.run();
    // Where even the first question failed, its failure is all there is to say.
    if !survey.questions.is_empty() {
        let found = Found::new(survey.questions, &survey.listed, meter.seen());
        if context.terminal.json() {
            print_line(&json_line(&found.as_json()))?;
        } else {
            // Not narrowed: a reason that is cut is none.
            let mut table = Table::new(["ANSWER", "QUESTION", "BECAUSE"], Columns::default(), None)
                .bold(context.terminal.colours_results());
            print_line(&table.lines(&found.rows()).join("\n"))?;
        }
    }
    result.map(|()| ExitStatus::Success)
}

/// Everything that was found out.
struct Found {
    questions: Vec<Question>,
    /// The sizes of the listed messages in bytes, sorted.
    sizes: Vec<usize>,
    seen: Seen,
}

#[derive(Serialize)]
struct Json<'a> {
    answers: BTreeMap<&'a str, &'a Answer>,
    latency: Option<Latency>,
    http_version: Option<String>,
    rate_limits: &'a BTreeMap<String, String>,
    message_bytes: Option<Sizes>,
    requests: usize,
}

#[derive(Serialize)]
struct Latency {
    least_ms: f64,
    median_ms: f64,
}

#[derive(Serialize)]
struct Sizes {
    median: usize,
    largest: usize,
    messages: usize,
}

impl Found {
    fn new(questions: Vec<Question>, listed: &[DlqMessage], seen: Seen) -> Self {
        let mut sizes: Vec<usize> = listed.iter().map(|message| message.as_json().len()).collect();
        sizes.sort_unstable();
        Self { questions, sizes, seen }
    }

    fn sizes(&self) -> Option<Sizes> {
        let (median, largest) = (*self.sizes.get(self.sizes.len() / 2)?, *self.sizes.last()?);
        Some(Sizes { median, largest, messages: self.sizes.len() })
    }

    fn version(&self) -> Option<String> {
        self.seen.version.map(|version| format!("{version:?}"))
    }

    fn as_json(&self) -> String {
        let json = Json {
            answers: self.questions.iter().map(|question| (question.name, &question.answer)).collect(),
            latency: least_and_median(&self.seen.latencies)
                .map(|(least, median)| Latency { least_ms: millis(least), median_ms: millis(median) }),
            http_version: self.version(),
            rate_limits: &self.seen.rate_limits,
            message_bytes: self.sizes(),
            requests: self.seen.requests,
        };
        // Strings and numbers: nothing in it can fail to serialize.
        serde_json::to_string(&json).unwrap_or_default()
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let answered = self.questions.iter().map(|question| {
            let answer = match question.answer.answer {
                Verdict::Yes => "yes",
                Verdict::No => "no",
                Verdict::Unknown => "unknown",
            };
            [answer.to_owned(), question.words.clone(), question.answer.reason.clone()]
        });
        let latency = least_and_median(&self.seen.latencies).map(|(least, median)| {
            let of = format!("median of {} responses; the least {:.1} ms", self.seen.latencies.len(), millis(least));
            [format!("{:.1} ms", millis(median)), "latency".to_owned(), of]
        });
        let version =
            self.version().map(|version| [version, "HTTP version".to_owned(), "of the last response".to_owned()]);
        let sizes = self.sizes().map(|Sizes { median, largest, messages }| {
            let bytes = |n: usize| format!("{} bytes", thousands(n as u64));
            let of = format!("median of {messages} messages; the largest {}", bytes(largest));
            [bytes(median), "message size".to_owned(), of]
        });
        let requests =
            [self.seen.requests.to_string(), "requests".to_owned(), "all GET; nothing was changed".to_owned()];
        answered.chain(latency).chain(version).chain(sizes).chain([requests]).collect()
    }
}

/// To a tenth of a millisecond.
fn millis(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 10_000.0).round() / 10.0
}
