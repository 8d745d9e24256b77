//! What the steps of the demo act on: an emulator inside the process, a client for it, a folder for the copy. What is said goes
//! to standard output. Knows no step.

use crate::bulk::context::BulkContext;
use crate::cli::{Cli, Command, SelectionArgs};
use crate::commands::demo::balance::Balance;
use crate::commands::stats;
use crate::context::Context;
use crate::drive::{Parallelism, Stopped};
use crate::exit::CommandError;
use crate::output::report::{Ending, Report};
use crate::output::tally::Tally;
use crate::output::terminal::print_line;
use crate::output::wording::VerbText;
use clap::Parser;
use http::Method;
use std::cell::Cell;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{Endpoint, RetryPolicy, Token};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

/// Of the sample runs, so that each demo tells the same.
const SEED: u64 = 1;

/// What a step says stands under its title.
pub(crate) const INDENT: &str = "   ";

pub(crate) struct Stage<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) client: Client,
    pub(crate) policy: RetryPolicy,
    /// It is removed with everything in it when the demo ends.
    pub(crate) folder: tempfile::TempDir,
    server: Server,
}

impl<'a> Stage<'a> {
    pub(crate) fn build(context: &'a Context<'a>, runs: u32) -> Result<Self, CommandError> {
        let mut service = Service::new(Config::default());
        service.extend(sample::runs(usize::try_from(runs).unwrap_or(usize::MAX), SEED, context.now.millis().get()));
        let server = Server::start(service, ServerOptions::default()).map_err(failed)?;
        let endpoint = Token::new(LOCAL_TOKEN).and_then(|token| Endpoint::new(&server.url(), token)).map_err(failed)?;
        let client = context.client_for(endpoint).map_err(failed)?;
        // Nobody has to wait long for an emulator.
        let policy = RetryPolicy::default().base(Duration::from_millis(50));
        let folder = tempfile::Builder::new().prefix("upstash-dlq-demo-").tempdir().map_err(failed)?;
        Ok(Self { context, client, policy, folder, server })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn tell(&self, line: &str) -> Result<(), CommandError> {
        Ok(print_line(line)?)
    }

    /// Begins a step without a command.
    pub(crate) fn say(&self, title: &str) -> Result<(), CommandError> {
        self.tell(&format!("\n{title}"))
    }

    /// Begins a step: what happens in it, and the command for it. Returns what the command line means.
    pub(crate) fn step(&self, title: &str, words: &[&str]) -> Result<Cli, CommandError> {
        self.say(title)?;
        self.tell(&format!("{INDENT}$ upstash-dlq {}", words.join(" ")))?;
        Cli::try_parse_from(["upstash-dlq"].iter().chain(words)).map_err(failed)
    }

    /// What came of a step.
    pub(crate) fn result(&self, sentence: &str) -> Result<(), CommandError> {
        self.tell(&format!("{INDENT}{sentence}"))
    }

    /// Lines as the command prints them.
    pub(crate) fn lines(&self, lines: &[String]) -> Result<(), CommandError> {
        if lines.is_empty() { Ok(()) } else { self.tell(&lines.join("\n")) }
    }

    /// What a bulk command starts from. Nobody is asked: the command says `--yes`.
    pub(crate) fn bulk<'b>(&'b self, args: &'b SelectionArgs, verb: VerbText) -> BulkContext<'b> {
        let (context, client, policy) = (self.context, self.client.clone(), self.policy);
        BulkContext {
            context,
            args,
            max: None,
            rate: None,
            verb,
            client,
            policy,
            archive: None,
            in_order: true,
            asker: None,
            has_sent: Cell::default(),
            waits_until: Cell::default(),
        }
    }

    /// The report of a command that ended as it should.
    pub(crate) fn completed(&self, report: Report) -> Result<Report, CommandError> {
        match report.outcome {
            Ending::Complete => Ok(report),
            Ending::Cancelled => Err(CommandError::interrupted()),
            Ending::Halted | Ending::DryRun => Err(failed(report.reason.unwrap_or_default())),
        }
    }

    pub(crate) fn stopped(&self, stopped: Stopped) -> CommandError {
        stopped.into_error(self.client.endpoint())
    }

    /// Counts what the DLQ holds, as `stats` does.
    pub(crate) fn count(&self, cli: &Cli) -> Result<Tally, CommandError> {
        let Command::Stats(args) = &cli.command else { return Err(failed("the command does not count")) };
        let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
        stats::count(&self.client, List::everything(), None, self.policy, parallelism, self.context.terminal)
    }

    /// Does something while the emulator misbehaves, a fault for each request with this method.
    pub(crate) fn with_faults<T>(&self, faults: &[Option<Fault>], only: Method, act: impl FnOnce() -> T) -> T {
        let set = |plan| self.server.with_service(|service| service.set_faults(plan));
        set(FaultPlan::script(faults.to_vec()).only(only));
        let acted = act();
        set(FaultPlan::none());
        acted
    }

    /// How many runs the emulator has deleted.
    pub(crate) fn truly_deleted(&self) -> u64 {
        self.server.with_service(|service| service.deleted_total())
    }

    /// How many runs of the emulator carry this label.
    pub(crate) fn labelled(&self, label: &str) -> u64 {
        self.server.with_service(|service| {
            service.runs().filter(|run| run.labels.iter().any(|one| one == label)).count() as u64
        })
    }

    /// How many lines the copy has.
    pub(crate) fn archived(&self) -> Result<u64, CommandError> {
        let file = std::fs::File::open(self.folder.path().join("copy.ndjson")).map_err(failed)?;
        // Line by line: a million runs are a large file.
        BufReader::new(file).lines().try_fold(0, |lines, line| line.map(|_| lines + 1)).map_err(failed)
    }

    /// Adds what really happened.
    pub(crate) fn truth(&self, balance: Balance) -> Balance {
        self.server.with_service(|service| {
            let mut seen = HashSet::new();
            let twice = service.started().filter(|run| !seen.insert(&run.dlq_id)).count() as u64;
            let started = service.started().count() as u64;
            Balance { started, twice, left: service.len() as u64, ..balance }
        })
    }
}

pub(crate) fn failed(error: impl ToString) -> CommandError {
    CommandError::new("failed", error.to_string())
}
