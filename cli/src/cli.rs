//! The command line as clap reads it. Plain data: turning it into the core's types is not done here.

pub(crate) mod help;
pub(crate) mod not_understood;
pub(crate) mod size;
pub(crate) mod span;

use crate::cli::help::{Help, MORE};
use crate::cli::size::parse_size;
use crate::cli::span::{parse_duration, parse_duration_or_zero};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::num::{IntErrorKind, NonZeroU32, NonZeroU64, NonZeroUsize, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use upstash_dlq_core::model::{FieldError, Period, Signature};
use upstash_dlq_core::selection::Shard;

/// Clean up the dead-letter queue (DLQ) of Upstash Workflow
#[derive(Debug, Parser)]
#[command(name = "upstash-dlq", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try everything against an emulator inside this process: no account, no network
    Demo(Demo),
    /// Delete failed runs: by id, by filter, or all of them
    Delete(Delete),
    /// List failed runs in a table, or with --json as one message per line
    List(List),
    /// Count failed runs by workflow, label, state, response status, error and time
    Stats(Stats),
    /// Ask a real service how it behaves where its documentation leaves that open; changes nothing
    Check,
    /// Show everything about failed runs, by their ids
    Get(RunIds),
    /// Resume failed runs at the step that failed; each becomes a new run
    Resume(Start),
    /// Restart failed runs from their first step; each becomes a new run
    Restart(Start),
    /// Retry failed failure callbacks, or cancel those in progress
    #[command(subcommand)]
    Callback(Callback),
    /// Serve a DLQ with sample runs on this machine, for trials and tests
    Emulator(Emulator),
    /// Print a completion script for a shell
    Completions {
        /// The shell to print it for
        shell: clap_complete::Shell,
    },
    /// Write a man page for each command
    Man {
        /// The folder to write them to, such as ~/.cargo/share/man/man1; it is made if it is not there
        dir: PathBuf,
    },
}

/// Hides the global options that a command has no use for, from its help and its man page. Completions offer them all the same.
fn hide_unused(command: clap::Command, global: &[clap::Arg]) -> clap::Command {
    let used: &[&str] = match command.get_name() {
        "demo" => &["json", "quiet", "verbose", "timeout", "max_attempts", "max_body", "local", "color"],
        "emulator" => &["json", "quiet", "color"],
        "completions" | "man" => &["quiet", "color"],
        _ => return command,
    };
    // An option of the command's own takes the place of the global one.
    let unused = global.iter().filter(|option| !used.contains(&option.get_id().as_str()));
    command.args(unused.map(|option| option.clone().hide(true)))
}

/// Gives a command, and those below it, the end of its help.
fn with_help(command: clap::Command, is_summary: bool) -> clap::Command {
    let help = Help::of(command.get_name());
    let command = command.mut_subcommands(|below| with_help(below, is_summary));
    if !is_summary {
        return command.after_help(help.map(Help::whole).unwrap_or_default());
    }
    let command = command.after_help(help.map_or_else(|| MORE.to_owned(), Help::summary));
    command.mut_args(|option| match option.get_help().map(ToString::to_string) {
        _ if option.get_help_heading() == Some(GLOBAL) && !FIRST_NEEDED.contains(&option.get_id().as_str()) => {
            option.hide(true)
        }
        Some(said) => option.help(first_sentence(&said).to_owned()),
        None => option,
    })
}

/// What a sentence says after a semicolon belongs to it: it is often a warning.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

/// The global options that a summary has.
const FIRST_NEEDED: [&str; 3] = ["url", "token_file", "json"];

const GLOBAL: &str = "Global options";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Base URL of the service [env: QSTASH_URL] [default: https://qstash.upstash.io]
    #[arg(long, global = true, value_name = "URL", help_heading = GLOBAL)]
    pub(crate) url: Option<String>,
    /// Region of the service, instead of a URL [env: QSTASH_REGION]
    #[arg(long, global = true, value_name = "REGION", help_heading = GLOBAL, conflicts_with = "url")]
    pub(crate) region: Option<String>,
    /// Read the token from FILE [env: QSTASH_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub(crate) token_file: Option<PathBuf>,
    /// Print results and errors as JSON, one object per line. delete, resume and restart end with a report
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
    /// Print one line per request to standard error: method, target without the token, status, time taken, attempt. Cannot be
    /// combined with --quiet
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub(crate) verbose: bool,
    /// Time limit for each request, such as 30s or 500ms
    #[arg(long, global = true, value_name = "D", default_value = "30s", value_parser = parse_duration, help_heading = GLOBAL)]
    pub(crate) timeout: Duration,
    /// Send each request at most N times
    #[arg(long, global = true, value_name = "N", default_value = "6", help_heading = GLOBAL, value_parser = whole::<NonZeroU32>)]
    pub(crate) max_attempts: NonZeroU32,
    /// Read messages of up to SIZE, such as 100MB, 64MiB or a number of bytes. A page of several has at most 16MiB, and never more
    /// than SIZE
    #[arg(long, global = true, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size, help_heading = GLOBAL)]
    pub(crate) max_body: u64,
    /// Show times in this machine's time zone, not in UTC. A date given to --from or --to is UTC all the same; JSON has
    /// milliseconds
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) local: bool,
    /// When to use color
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = GLOBAL)]
    pub(crate) color: When,
}

impl Cli {
    /// What clap needs. With `is_summary`, each help is that of `-h`: a sentence for each option, up to three of the global ones, and
    /// examples.
    pub(crate) fn parser(is_summary: bool) -> clap::Command {
        let command = Self::command();
        let global: Vec<clap::Arg> = command.get_arguments().filter(|option| option.is_global_set()).cloned().collect();
        with_help(command.mut_subcommands(|below| hide_unused(below, &global)), is_summary)
    }

    /// Refuses global options that contradict each other. Clap sees only those on the same side of the subcommand.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Global { url, region, token_file, quiet, verbose, .. } = &self.global;
        if *quiet && *verbose {
            return Err("--quiet and --verbose cannot be combined: give one of them".to_owned());
        }
        let name = match &self.command {
            Command::Demo(_) => "demo",
            Command::Emulator(_) if token_file.is_some() => {
                return Err("--token-file: the emulator takes the token that it accepts with --token".to_owned());
            }
            Command::Emulator(_) => "emulator",
            Command::Completions { .. } => "completions",
            Command::Man { .. } => "man",
            _ => return Ok(()),
        };
        let given = [(url.is_some(), "--url"), (region.is_some(), "--region"), (token_file.is_some(), "--token-file")];
        match given.iter().find_map(|(given, flag)| given.then_some(flag)) {
            Some(flag) => Err(format!("{flag}: {name} never connects to a service: leave it out")),
            None => Ok(()),
        }
    }

    /// Whether results and errors are for programs: `--json`, or the `-o json` that says the same.
    pub(crate) fn json(&self) -> bool {
        self.global.json || matches!(&self.command, Command::List(List { output: Some(ListOutput::Json), .. }))
    }
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
    /// Show what matches; delete nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Delete at most N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) max: Option<NonZeroU64>,
    /// Delete N runs with each request; does not apply to ids. With a refinement or --archive: list N runs with each request, at
    /// most 100
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<NonZeroU32>)]
    pub(crate) page_size: NonZeroU32,
    /// Stop after one pass. Otherwise the delete is repeated until a whole pass finds nothing left. Does not apply to ids
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Keep the position in FILE; if FILE exists, continue from there. On completion FILE is removed
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Append each run to FILE, one message per line, before it is deleted. Only runs that are on disk are deleted. Of ids,
    /// each run is fetched with a request of its own. If interrupted, run the same command again to continue
    #[arg(long, value_name = "FILE")]
    pub(crate) archive: Option<PathBuf>,
    /// Trust that the runs the server lists match the filter. Otherwise a listed run that does not match stops a delete with
    /// --archive, --status, --error or --error-text, and fails --dry-run
    #[arg(long)]
    pub(crate) trust_server: bool,
    /// Delete N windows of time in parallel, once the first pages show that there is enough to do, or N batches of ids
    #[arg(long, value_name = "N", default_value = "4", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send at most N requests per second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
    /// Take only the I-th of N equal parts of the window from --from to --to, both absolute. This spreads one delete over N
    /// machines, each with its own I from 1 to N
    #[arg(long, value_name = "I/N", value_parser = of_core::<Shard>)]
    pub(crate) shard: Option<Shard>,
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:8080")
}

/// Parses a number. The errors do not speak of types.
fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1".to_owned(),
        IntErrorKind::PosOverflow => "is too large".to_owned(),
        _ => "must be a whole number".to_owned(),
    })
}

/// Parses with the core. Clap itself names the flag and the value.
fn of_core<T: FromStr<Err = FieldError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: FieldError| error.problem().to_owned())
}

fn parse_lanes(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(lanes) if lanes.get() <= 256 => Ok(lanes),
        _ => Err("must be a number from 1 to 256".into()),
    }
}

fn parse_status(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(status) if (100..=599).contains(&status) => Ok(status),
        _ if text.contains(',') => Err("holds a comma: give --status once for each of them".into()),
        _ => Err("must be the status of a response, from 100 to 599".into()),
    }
}

fn parse_signature(text: &str) -> Result<Signature, String> {
    if text.contains(',') {
        return Err("holds a comma: give --error once for each of them".into());
    }
    of_core(text)
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) refinements: Refinements,
    /// List at most N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) limit: Option<NonZeroU64>,
    /// List the newest first, by the time they failed; runs without a time come last. Reads every run that matches, and
    /// without --limit keeps all of them in memory
    #[arg(long)]
    pub(crate) newest_first: bool,
    /// How to print them: a table, one id per line, or one message per line (as --json) [default: table]
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<ListOutput>,
    /// List N windows of time in parallel; the runs come in no particular order
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send at most N requests per second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListOutput {
    Table,
    Ids,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) refinements: Refinements,
    /// List N windows of time in parallel, once the first pages show that there is enough to do
    #[arg(long, value_name = "N", default_value = "4", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send at most N requests per second
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU32>)]
    pub(crate) rate: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
pub(crate) struct RunIds {
    /// Ids of runs in the DLQ
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Callback {
    /// Retry the failure callbacks of runs after they have failed
    Retry(RunIds),
    /// Cancel the failure callbacks of runs while they are in progress
    Cancel(RunIds),
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Show what matches; start nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Start at most N runs
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroU64>)]
    pub(crate) max: Option<NonZeroU64>,
    /// Keep the position in FILE; if FILE exists, continue from there. On completion FILE is removed
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Together with --checkpoint: what happened to the request whose response was lost. Its runs were started and have left the
    /// DLQ (applied), or none was started
    #[arg(long, value_name = "HOW", requires = "checkpoint")]
    pub(crate) settle: Option<Settle>,
    /// Send N batches of ids in parallel. Unless ids are given, the runs are listed first if N is above 1, or with a refinement
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_lanes)]
    pub(crate) parallel: NonZeroUsize,
    /// Send at most N requests per second
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
#[command(next_help_heading = "New settings for the runs")]
pub(crate) struct OverrideArgs {
    /// Retry each step up to N times
    #[arg(long, value_name = "N", value_parser = whole::<u32>)]
    pub(crate) set_retries: Option<u32>,
    /// Wait D before the first step, such as 10s or 5m
    #[arg(long, value_name = "D", value_parser = of_core::<Period>)]
    pub(crate) set_delay: Option<Period>,
    /// Wait between retries, in milliseconds: an expression in the service's language, such as '1000 * (1 + retried)'
    #[arg(long, value_name = "EXPR")]
    pub(crate) set_retry_delay: Option<String>,
    /// Flow control key of the runs
    #[arg(long, value_name = "K")]
    pub(crate) set_flow_control_key: Option<String>,
    /// Run at most N steps at once under the key
    #[arg(long, value_name = "N", requires = "set_flow_control_key", value_parser = whole::<u32>)]
    pub(crate) set_parallelism: Option<u32>,
    /// Start at most N steps per period under the key
    #[arg(long, value_name = "N", requires = "set_flow_control_key", value_parser = whole::<u32>)]
    pub(crate) set_rate: Option<u32>,
    /// Period of --set-rate, such as 1m
    #[arg(long, value_name = "D", requires = "set_rate", value_parser = of_core::<Period>)]
    pub(crate) set_period: Option<Period>,
    /// Label of the runs; may be repeated
    #[arg(long, value_name = "L")]
    pub(crate) set_label: Vec<String>,
    /// URL of the failure callback, which failures are reported to
    #[arg(long, value_name = "URL")]
    pub(crate) set_failure_callback: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    /// Ids of runs in the DLQ
    #[arg(value_name = "ID", help_heading = "Selection")]
    pub(crate) ids: Vec<String>,
    /// Read from FILE one id per line, or messages as list --json and --archive write them; "-" is standard input
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub(crate) ids_from: Option<PathBuf>,
    /// Select every run in the DLQ
    #[arg(long, help_heading = "Selection")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) refinements: Refinements,
}

const FILTERS: &str = "Filters (those with … may be repeated)";

#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// Runs with this label …
    #[arg(long, help_heading = FILTERS, value_name = "L")]
    pub(crate) label: Vec<String>,
    /// Runs of the workflow at this URL …
    #[arg(long, help_heading = FILTERS, value_name = "U")]
    pub(crate) workflow_url: Vec<String>,
    /// The run with this run id; the service may take it as a prefix
    #[arg(long, help_heading = FILTERS, value_name = "R")]
    pub(crate) workflow_run_id: Option<String>,
    /// The run that was created at exactly this time
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) workflow_created_at: Option<String>,
    /// Runs that failed at this time or later
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Runs that failed at this time or earlier [default: now]
    #[arg(long, help_heading = FILTERS, value_name = "T", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// Runs whose failure callback is in this state: CALLBACK_INPROGRESS, CALLBACK_SUCCESS, CALLBACK_FAIL, CALLBACK_CANCELED …
    #[arg(long, help_heading = FILTERS, value_name = "S")]
    pub(crate) failure_function_state: Vec<String>,
    /// Runs published from this IP address …
    #[arg(long, help_heading = FILTERS, value_name = "IP")]
    pub(crate) caller_ip: Vec<String>,
    /// Runs with this flow control key …
    #[arg(long, help_heading = FILTERS, value_name = "K")]
    pub(crate) flow_control_key: Vec<String>,
}

const REFINEMENTS: &str = "Refinements (those with … may be repeated)";

#[derive(Debug, Args)]
pub(crate) struct Refinements {
    /// Runs whose step responded with this status …
    #[arg(long, help_heading = REFINEMENTS, value_name = "N", value_parser = parse_status)]
    pub(crate) status: Vec<u16>,
    /// Runs that failed for this reason: a signature as stats shows it …
    #[arg(long, help_heading = REFINEMENTS, value_name = "SIGNATURE", value_parser = parse_signature)]
    pub(crate) error: Vec<Signature>,
    /// Runs whose error contains this text, in upper or lower case
    #[arg(long, help_heading = REFINEMENTS, value_name = "TEXT")]
    pub(crate) error_text: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Number of failed runs to start with
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) runs: u32,
}

/// `lost-answers` is an earlier name.
fn fault_profile() -> impl TypedValueParser<Value = String> {
    let profile = |name: &'static str| match name {
        LOST_RESPONSES => PossibleValue::new(name).alias(LOST_ANSWERS),
        _ => PossibleValue::new(name),
    };
    let parser = PossibleValuesParser::new(upstash_dlq_emulator::PROFILES.map(profile));
    parser.map(|name| if name == LOST_ANSWERS { LOST_RESPONSES.to_owned() } else { name })
}

const LOST_RESPONSES: &str = "lost-responses";
const LOST_ANSWERS: &str = "lost-answers";

#[derive(Debug, Args)]
pub(crate) struct Emulator {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// Number of sample runs to start with [default: 1000, or none with --load]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub(crate) runs: Option<u32>,
    /// Load the runs in FILE, one message per line, as --archive writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// Seed of the sample runs and the faults
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>)]
    pub(crate) seed: u64,
    /// Delay each response by D, such as 20ms
    #[arg(long, value_name = "D", default_value = "0s", value_parser = parse_duration_or_zero)]
    pub(crate) latency: Duration,
    /// Kind of faults to inject
    #[arg(long, value_name = "PROFILE", default_value = "none", value_parser = fault_profile())]
    pub(crate) fault: String,
    /// Give each sample run a body of K kilobytes (of 1,000 bytes)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) body_kb: Option<u32>,
    /// Accept this token instead of the public one of the official local server
    #[arg(long, value_name = "T")]
    pub(crate) token: Option<String>,
}
