//! The command line, as clap reads it.

use crate::input::time;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::num::{IntErrorKind, NonZeroU32, NonZeroU64, NonZeroUsize, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use upstash_dlq_core::{Period, SelectionError, Shard};

/// Clean up the dead-letter queue (DLQ) of Upstash Workflow.
///
/// The token is read from QSTASH_TOKEN or --token-file, never from an argument; the address from QSTASH_URL or --url.
#[derive(Debug, Parser)]
#[command(name = "upstash-dlq", version, after_help = JSON_HELP, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all against an emulator inside the process: no account, no network
    Demo(Demo),
    /// Delete failed runs: by ids, by filters, or all of them
    #[command(after_help = DELETE_HELP)]
    Delete(Delete),
    /// Show failed runs in a table, or with --json one message a line
    #[command(after_help = LIST_HELP)]
    List(List),
    /// Count failed runs by workflow, label, state and response status, and over time
    #[command(after_help = STATS_HELP)]
    Stats(Stats),
    /// Show one failed run, whole
    Get(Get),
    /// Go on with failed runs where they failed; each becomes a new run
    #[command(after_help = START_HELP)]
    Resume(Start),
    /// Start failed runs anew, from their first step
    #[command(after_help = START_HELP)]
    Restart(Start),
    /// Send a failed failure callback again, or cancel one in progress
    #[command(subcommand)]
    Callback(Callback),
    /// Serve a DLQ with sample runs on this machine, for trying and testing
    Emulator(Emulator),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const DELETE_HELP: &str = "\
A selection is exactly one of: ids (also --ids-from), filters, --all.
Values of one filter are alternatives; different filters must all match.

Times (T) are RFC 3339 (2026-11-24T08:30:00Z), a date (UTC; as --to its last millisecond),
milliseconds since 1970, or an age (7d, 12h). Without --to, runs that fail from now on are left alone.

Exit status: 0 complete or dry run; 1 failed, nothing was changed; 2 wrong usage, nothing was sent; 3 failed, something was or may have been deleted; 130 interrupted.

Examples:
  upstash-dlq delete 1752829295505-0
  upstash-dlq delete --label nightly --label 'red & white' --from 7d --dry-run
  upstash-dlq delete --label nightly --archive nightly.ndjson
  upstash-dlq delete --from 2026-11-01 --to 2026-11-20 --shard 3/8 --yes
  upstash-dlq delete --all --yes --json";

const JSON_HELP: &str = "\
With --json, delete, resume and restart end with one object that says what was done, whatever
happened once the command line was understood.
The other commands print what they found, or on failure one line on standard error:
  {\"error\": {\"code\": \"not_found\", \"message\": \"…\", \"http_status\": 404}}
The codes are usage, unauthorized, not_found, wrong_region, refused, redirect, rate_limited,
server_error, unreadable_response, other_run, not_sent, no_response, unsettled, no_progress,
unusable_message, output, interrupted, listen, failed and internal.";

const LIST_HELP: &str = "\
Exit status: 0 all was listed; 1 failed; 2 wrong usage, nothing was sent; 130 interrupted.

Examples:
  upstash-dlq list --from 12h --failure-function-state CALLBACK_FAIL
  upstash-dlq list --json --label nightly | jq -r .dlqId";

const STATS_HELP: &str = "\
Examples:
  upstash-dlq stats --from 7d
  upstash-dlq stats --json | jq '.workflowUrl.values[0]'";

const START_HELP: &str = "\
A selection is exactly one of: ids (also --ids-from), filters, --all.

Starting a run twice is not harmless. So there is exactly one pass. When an answer is lost, the command stops and says where to look. Once you have looked, run it again with --checkpoint and --settle applied (the runs have left the DLQ) or --settle not-applied (they are still there).

Exit status: 0 complete or dry run; 1 failed, nothing was started; 2 wrong usage, nothing was sent; 3 failed, something was or may have been started; 130 interrupted.

Examples:
  upstash-dlq resume 1752829295505-0
  upstash-dlq restart --label nightly --from 12h --set-retries 5 --checkpoint position.json
  upstash-dlq resume --all --yes --set-flow-control-key slow --set-parallelism 3";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The service's base URL [env: QSTASH_URL] [default: https://qstash.upstash.io]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) url: Option<String>,
    /// The region to ask, instead of a URL [env: QSTASH_REGION]
    #[arg(long, global = true, value_name = "REGION", help_heading = "Global options", conflicts_with = "url")]
    pub(crate) region: Option<String>,
    /// A file that holds the token [env: QSTASH_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print JSON: one object at the end; list prints one message a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// No progress and no notes
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// How long one request may take, such as 30s or 500ms
    #[arg(long, global = true, value_name = "D", default_value = "30s", value_parser = time::parse_duration, help_heading = "Global options")]
    pub(crate) timeout: Duration,
    /// How often one request is sent at most
    #[arg(long, global = true, value_name = "N", default_value = "6", help_heading = "Global options", value_parser = whole::<NonZeroU32>)]
    pub(crate) max_attempts: NonZeroU32,
    /// Whether to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub(crate) color: When,
}

/// Whether `--json` stands in a command line that was not understood.
pub(crate) fn asks_for_json(args: impl Iterator<Item = std::ffi::OsString>) -> bool {
    args.take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// What `--color` asks for.
pub(crate) fn colour(args: impl Iterator<Item = std::ffi::OsString>) -> clap::ColorChoice {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).take_while(|arg| arg != "--").collect();
    let after =
        args.iter().zip(args.iter().skip(1)).filter_map(|(flag, value)| (flag == "--color").then_some(value.as_str()));
    let when = args.iter().filter_map(|arg| arg.strip_prefix("--color=")).chain(after).last();
    when.and_then(|when| when.parse().ok()).unwrap_or(clap::ColorChoice::Auto)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Only show what matches; delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Delete no more than N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) max: Option<NonZeroU64>,
    /// How many runs one request deletes
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<NonZeroU32>)]
    pub(crate) page_size: NonZeroU32,
    /// Do not make sure with another pass that nothing is left
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Keep the position in FILE, and go on from it when it exists
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Append each run to FILE, a message a line, before it is deleted; only runs that are on disk there are deleted.
    /// Interrupted? The same command goes on
    #[arg(long, value_name = "FILE")]
    pub(crate) archive: Option<PathBuf>,
    /// Take the server's word that the runs it lists match the filter. Otherwise a listed run that does not match stops
    /// --archive and fails --dry-run
    #[arg(long)]
    pub(crate) trust_server: bool,
    /// Delete N windows of time side by side, once a first page shows that there is enough to do
    #[arg(long, value_name = "N", default_value = "4", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send no more than N requests a second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
    /// Take the I-th of N equal parts of the window from --from to --to, both absolute: for spreading one delete over
    /// machines, each with its own I from 1 to N
    #[arg(long, value_name = "I/N", value_parser = of_core::<Shard>)]
    pub(crate) shard: Option<Shard>,
}

/// In words that speak of no type of ours.
fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1".to_owned(),
        IntErrorKind::PosOverflow => "is too large".to_owned(),
        _ => "must be a whole number".to_owned(),
    })
}

/// The library names the flag and the value by itself.
fn of_core<T: FromStr<Err = SelectionError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: SelectionError| error.problem().to_owned())
}

fn parse_lanes(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(lanes) if lanes.get() <= 256 => Ok(lanes),
        _ => Err("must be a number from 1 to 256".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Show no more than N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) limit: Option<NonZeroU64>,
    /// List N windows of time side by side, in no order
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send no more than N requests a second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// List N windows of time side by side, once the first pages show that there is enough to do
    #[arg(long, value_name = "N", default_value = "4", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send no more than N requests a second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The id of a run in the DLQ
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Callback {
    /// Send the failure callback of a run again, after it has failed
    Retry(Get),
    /// Cancel the failure callback of a run while it is in progress
    Cancel(Get),
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Only show what matches; start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Start no more than N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) max: Option<NonZeroU64>,
    /// Keep the position in FILE, and go on from it when it exists
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// What became of the request whose answer was lost: its runs have left the DLQ (applied), or are still there
    #[arg(long, value_name = "HOW", requires = "checkpoint")]
    pub(crate) settle: Option<Settle>,
    /// Has no effect: resume and restart use one lane, so that no run is started twice
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send no more than N requests a second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) overrides: OverrideArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Settle {
    Applied,
    NotApplied,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Settings the runs get instead of their own")]
pub(crate) struct OverrideArgs {
    /// How often the steps are retried
    #[arg(long, value_name = "N", value_parser = whole::<u32>)]
    pub(crate) set_retries: Option<u32>,
    /// How long to wait before the first step, such as 10s or 5m
    #[arg(long, value_name = "D", value_parser = of_core::<Period>)]
    pub(crate) set_delay: Option<Period>,
    /// The wait between retries, an expression in the service's language
    #[arg(long, value_name = "EXPR")]
    pub(crate) set_retry_delay: Option<String>,
    /// The flow control key
    #[arg(long, value_name = "K")]
    pub(crate) set_flow_control_key: Option<String>,
    /// How many steps may run at once under the key
    #[arg(long, value_name = "N", requires = "set_flow_control_key", value_parser = whole::<u32>)]
    pub(crate) set_parallelism: Option<u32>,
    /// How many steps may start in a period under the key
    #[arg(long, value_name = "N", requires = "set_flow_control_key", value_parser = whole::<u32>)]
    pub(crate) set_rate: Option<u32>,
    /// The period of --set-rate, such as 1m
    #[arg(long, value_name = "D", requires = "set_rate", value_parser = of_core::<Period>)]
    pub(crate) set_period: Option<Period>,
    /// The label; may be given again
    #[arg(long, value_name = "L")]
    pub(crate) set_label: Vec<String>,
    /// Where a failure is reported to
    #[arg(long, value_name = "URL")]
    pub(crate) set_failure_callback: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// The ids of runs in the DLQ
    #[arg(value_name = "ID", help_heading = "Selection")]
    pub(crate) ids: Vec<String>,
    /// A file with one id a line, or with messages as list --json and --archive write them; "-" is standard input
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub(crate) ids_from: Option<PathBuf>,
    /// Every run in the DLQ
    #[arg(long, help_heading = "Selection")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

const FILTERS: &str = "Filters (those with … may be given again)";

#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// With this label …
    #[arg(long, help_heading = FILTERS, value_name = "L")]
    pub(crate) label: Vec<String>,
    /// Of this workflow …
    #[arg(long, help_heading = FILTERS, value_name = "U")]
    pub(crate) workflow_url: Vec<String>,
    /// Of this run; the service may take it for a prefix
    #[arg(long, help_heading = FILTERS, value_name = "R")]
    pub(crate) workflow_run_id: Option<String>,
    /// Of the run that was created at exactly this time
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) workflow_created_at: Option<String>,
    /// Failed at this time or later
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Failed at this time or earlier [default: now]
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// Whose failure function is in this state: CALLBACK_INPROGRESS, CALLBACK_SUCCESS, CALLBACK_FAIL, CALLBACK_CANCELED …
    #[arg(long, help_heading = FILTERS, value_name = "S")]
    pub(crate) failure_function_state: Vec<String>,
    /// Published from this address …
    #[arg(long, help_heading = FILTERS, value_name = "IP")]
    pub(crate) caller_ip: Vec<String>,
    /// With this flow control key …
    #[arg(long, help_heading = FILTERS, value_name = "K")]
    pub(crate) flow_control_key: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many failed runs to begin with
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) runs: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Emulator {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// How many sample runs to begin with [default: 1000, or none with --load]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) runs: Option<u32>,
    /// Begin with the runs of FILE, a message a line, as --archive writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// What the sample runs and the faults are made from
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>)]
    pub(crate) seed: u64,
    /// How long each answer is held back, such as 20ms
    #[arg(long, value_name = "D", default_value = "0s", value_parser = time::parse_duration_or_zero)]
    pub(crate) latency: Duration,
    /// How it misbehaves
    #[arg(long, value_name = "PROFILE", default_value = "none", value_parser = clap::builder::PossibleValuesParser::new(upstash_dlq_emulator::PROFILES))]
    pub(crate) fault: String,
    /// The token it accepts instead of the public one of the official local server
    #[arg(long, value_name = "T")]
    pub(crate) token: Option<String>,
}
