//! `upstash-dlq stats`: how many runs failed, of what, and when.

use crate::cli::Stats;
use crate::context::Context;
use crate::drive::{Parallelism, each_page};
use crate::exit::{CommandError, ExitStatus};
use crate::output::causes::{Cause, Workflows};
use crate::output::progress::Progress;
use crate::output::table::{self, Stream, cell};
use crate::output::tally::{Count, Field, Histogram, Tally};
use crate::output::terminal::{Terminal, bold, json_line, print_line};
use crate::output::text::{other, thousands};
use crate::output::time::{self, Zone};
use serde::Serialize;
use std::ops::ControlFlow;
use upstash_dlq_core::selection::Refinement;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{DlqMessage, RetryPolicy, UnixMillis};
use upstash_dlq_ureq::Client;

/// How many values of a field are shown.
const TOP: usize = 10;
/// Where the text after a count begins, in cells.
const INDENT: usize = 15;
/// How many rows the histogram has at most.
const ROWS: i64 = 32;

pub(crate) fn run(context: &Context<'_>, args: &Stats) -> Result<ExitStatus, CommandError> {
    let terminal = context.terminal;
    let list = args.filters.listing(context.now).map_err(CommandError::usage)?;
    args.filters.unknown_states().iter().for_each(|note| terminal.note(note));
    let refinement = args.refinements.build().map_err(CommandError::usage)?;
    let client = context.client().map_err(CommandError::usage)?;
    let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
    let tally = count(&client, list, refinement.as_ref(), context.policy(), parallelism, terminal)?;
    if tally.total == 0 && refinement.is_some() {
        terminal.note("no failed runs match");
    }
    if terminal.json() {
        print_line(&json_line(&as_json(tally)))?;
    } else {
        print_line(
            &as_text(tally, table::width(Stream::Output), terminal.colours_results(), terminal.zone()).join("\n"),
        )?;
    }
    Ok(ExitStatus::Success)
}

/// Counts every run that is listed and meets the refinement.
pub(crate) fn count(
    client: &Client,
    list: List,
    refinement: Option<&Refinement>,
    policy: RetryPolicy,
    parallelism: Parallelism,
    terminal: Terminal,
) -> Result<Tally, CommandError> {
    let mut progress = Progress::new(terminal, None, "counted");
    let mut tally = Tally::default();
    let pages = each_page(client, list, policy, parallelism, terminal, &mut progress, |page| {
        let meets = |message: &&DlqMessage| refinement.is_none_or(|refinement| refinement.matches(message));
        page.messages.iter().filter(meets).for_each(|message| tally.add(message));
        ControlFlow::Continue(())
    });
    progress.finish();
    pages.result.map_err(|stopped| stopped.into_error(client.endpoint()))?;
    Ok(tally)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    total: u64,
    workflow_url: Values,
    label: Values,
    failure_function_state: Values,
    response_status: Values,
    error: Causes,
    created_at: Times,
}

#[derive(Serialize)]
struct Values {
    values: Vec<Count>,
    others: u64,
}

#[derive(Serialize)]
struct Causes {
    values: Vec<Cause>,
    others: u64,
}

#[derive(Serialize)]
struct Times {
    bucket_ms: i64,
    buckets: Vec<Bucket>,
    missing: u64,
}

#[derive(Serialize)]
struct Bucket {
    from: i64,
    count: u64,
}

fn as_json(tally: Tally) -> String {
    let values = |field: &Field| {
        let (values, others) = field.sorted();
        Values { values, others }
    };
    let (workflow_url, label) = (values(&tally.workflow), values(&tally.label));
    let (failure_function_state, response_status) = (values(&tally.state), values(&tally.status));
    let (values, others) = tally.causes.sorted();
    let error = Causes { values, others };
    let time = tally.time.at_most(200);
    let buckets = time.filled().map(|(from, count)| Bucket { from, count }).collect();
    let created_at = Times { bucket_ms: time.millis(), buckets, missing: tally.without_time };
    let (total, status) = (tally.total, response_status);
    let json = Json { total, workflow_url, label, failure_function_state, response_status: status, error, created_at };
    // Strings and numbers: nothing in it can fail to serialize.
    serde_json::to_string(&json).unwrap_or_default()
}

/// `3 failed runs`
pub(crate) fn failed_runs(total: u64) -> String {
    format!("{} failed {}", thousands(total), if total == 1 { "run" } else { "runs" })
}

fn as_text(tally: Tally, width: Option<usize>, colour: bool, zone: Zone) -> Vec<String> {
    let title = |text: String| if colour { bold(&text) } else { text };
    let width = width.unwrap_or(100).max(40);
    let mut lines = vec![failed_runs(tally.total)];
    if tally.total == 0 {
        return lines;
    }
    let fields = [
        ("By workflow", &tally.workflow, "(none)"),
        ("By label", &tally.label, "(none)"),
        ("By failure callback state", &tally.state, "(none)"),
        ("By response status", &tally.status, "(none)"),
    ];
    for (name, field, missing) in fields {
        lines.push(String::new());
        lines.push(title(name.to_owned()));
        lines.extend(field_lines(field, missing, width));
    }
    lines.push(String::new());
    lines.push(title("By error".to_owned()));
    let (causes, others) = tally.causes.sorted();
    lines.extend(cause_lines(&causes, others, tally.total, TOP, width, zone));
    lines.push(String::new());
    let mut histogram = histogram_lines(tally.time.at_most(ROWS), width, zone).into_iter();
    lines.extend(histogram.next().map(title));
    lines.extend(histogram);
    if tally.without_time > 0 {
        lines.push(format!("  {} without a time", thousands(tally.without_time)));
    }
    lines
}

fn field_lines(field: &Field, missing: &str, width: usize) -> Vec<String> {
    let (counts, others) = field.sorted();
    let line = |count, text: &str| line(count, text, width);
    let mut lines: Vec<String> =
        counts.iter().take(TOP).map(|count| line(count.count, count.value.as_deref().unwrap_or(missing))).collect();
    let rest = others + counts.iter().skip(TOP).map(|count| count.count).sum::<u64>();
    if rest > 0 {
        let more = counts.len().saturating_sub(TOP);
        lines.push(line(rest, &other(more as u64, "value", others == 0)));
    }
    lines
}

/// A count, and what was counted.
fn line(count: u64, text: &str, width: usize) -> String {
    format!("  {:>11}  {}", thousands(count), cell(text, width - INDENT))
}

/// Lines for each of the first `top` causes: how often, how much and when, the latter on a line of its own if it does not fit; the
/// error; where. A line for the `others`.
pub(crate) fn cause_lines(
    causes: &[Cause],
    others: u64,
    total: u64,
    top: usize,
    width: usize,
    zone: Zone,
) -> Vec<String> {
    let below = |text: &str| format!("{:INDENT$}{}", "", cell(text, width - INDENT));
    let mut lines = Vec::new();
    for cause in causes.iter().take(top) {
        let (text, seen) = (format!("{:>6}  {}", share(cause.runs, total), cause.signature), seen(cause, zone));
        // Both are ASCII.
        if INDENT + text.len() + seen.len() <= width {
            lines.push(line(cause.runs, &(text + &seen), width));
        } else {
            lines.push(line(cause.runs, &text, width));
            lines.push(below(seen.trim_start()));
        }
        lines.push(below(if cause.example.is_empty() { "(no text)" } else { &cause.example }));
        lines.extend(hit(&cause.workflows).map(|text| below(&text)));
    }
    let rest = others + causes.iter().skip(top).map(|cause| cause.runs).sum::<u64>();
    if rest > 0 {
        let more = causes.len().saturating_sub(top) as u64;
        lines.push(line(rest, &format!("{:>6}  {}", share(rest, total), other(more, "error", others == 0)), width));
    }
    lines
}

/// `33.3%`
fn share(runs: u64, total: u64) -> String {
    let thousandths = (u128::from(runs) * 1_000 + u128::from(total) / 2).checked_div(u128::from(total)).unwrap_or(0);
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

/// `  2026-11-20 06:30 to 2026-11-23 08:28`
fn seen(cause: &Cause, zone: Zone) -> String {
    let stamp = |at: Option<i64>| at.map(|at| zone.minute(UnixMillis::new(at)));
    match (stamp(cause.first), stamp(cause.last)) {
        (Some(first), Some(last)) if first != last => format!("  {first} to {last}"),
        (Some(at), _) | (None, Some(at)) => format!("  {at}"),
        (None, None) => String::new(),
    }
}

/// `3 workflows, most often https://…`
fn hit(workflows: &Workflows) -> Option<String> {
    let most = workflows.most.as_deref()?;
    Some(match workflows {
        Workflows { more: true, count, .. } => format!("more than {count} workflows, most often {most}"),
        Workflows { count: 1, .. } => most.to_owned(),
        Workflows { count, .. } => format!("{count} workflows, most often {most}"),
    })
}

fn histogram_lines(histogram: Histogram, width: usize, zone: Zone) -> Vec<String> {
    let rows = histogram.rows();
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let stamp = |at: i64| zone.minute(UnixMillis::new(at));
    let left = rows.iter().map(|(at, _)| stamp(*at).len()).max().unwrap_or(0);
    let room = u64::try_from(width.saturating_sub(left + 17)).unwrap_or(0).max(1);
    let mut lines = vec![format!("By time of failure ({}), {} per row", zone.name(), time::length(histogram.millis()))];
    lines.extend(rows.iter().map(|(at, count)| {
        // At least one block for a count above 0.
        let bar = usize::try_from((u128::from(*count) * u128::from(room)).div_ceil(u128::from(most))).unwrap_or(0);
        format!("  {:<left$}  {:>11}  {}", stamp(*at), thousands(*count), "█".repeat(bar)).trim_end().to_owned()
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::causes::Causes;
    use upstash_dlq_core::DlqMessage;

    #[test]
    fn the_time_of_a_cause_is_whole_in_any_width() {
        let mut causes = Causes::default();
        for at in [1_764_000_000_000_i64, 1_764_086_400_000] {
            causes.add(&DlqMessage::parse(&format!(r#"{{"createdAt":{at},"responseBody":"no"}}"#)).unwrap(), None);
        }
        let (causes, others) = causes.sorted();
        for (width, own_line) in [(60, true), (80, false)] {
            let lines = cause_lines(&causes, others, 2, 5, width, Zone::Utc);
            let line = lines.iter().find(|line| line.ends_with("2025-11-24 16:00 to 2025-11-25 16:00")).unwrap();
            assert_eq!((line.starts_with(&" ".repeat(INDENT)), line.len() <= width), (own_line, true), "{lines:?}");
        }
    }
}
