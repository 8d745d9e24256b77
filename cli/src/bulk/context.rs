//! What delete, resume and restart start from: everything on the command line that is not particular to one of them.

use crate::bulk::preview::{self, Preview};
use crate::cli::SelectionArgs;
use crate::context::Context;
use crate::drive::{self, Handler, Parallelism, Stopped};
use crate::exit::Exit;
use crate::input::selection::Window;
use crate::interrupt;
use crate::output::progress::Progress;
use crate::output::question::Asker;
use crate::output::report::{Ending, Report};
use crate::output::terminal::Terminal;
use crate::output::text::{shown, thousands};
use crate::output::time::Zone;
use crate::output::wording::{self, VerbText};
use std::cell::Cell;
use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::{BulkOperation, List, ListPage};
use upstash_dlq_core::{Driven, Operation, RetryPolicy, Selection, Totals};
use upstash_dlq_ureq::Client;

pub(crate) struct BulkContext<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) args: &'a SelectionArgs,
    pub(crate) max: Option<NonZeroU64>,
    /// Requests per second, for everything that the command sends.
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) verb: VerbText,
    pub(crate) client: Client,
    pub(crate) policy: RetryPolicy,
    /// Where a copy of each run is kept, if one is: for the question.
    pub(crate) archive: Option<&'a Path>,
    /// Whether the service's order decides which runs a maximum takes: for the question.
    pub(crate) in_order: bool,
    /// Asks for confirmation; `None` with `--yes` and for a dry run.
    pub(crate) asker: Option<Asker>,
    /// Whether an operation has sent requests.
    pub(crate) has_sent: Cell<bool>,
    /// Until when the server has asked to wait.
    pub(crate) waits_until: Cell<Option<Instant>>,
}

impl<'a> BulkContext<'a> {
    /// Checks what can be checked before anything is sent.
    pub(crate) fn new(
        context: &'a Context<'a>,
        args: &'a SelectionArgs,
        verb: VerbText,
        yes: bool,
        max: Option<NonZeroU64>,
        rate: Option<NonZeroU32>,
    ) -> Result<Self, String> {
        let asker = if yes { None } else { Asker::find(args.reads_standard_input()) };
        if !yes && asker.is_none() {
            let what = if std::io::stdin().is_terminal() { "error" } else { "input" };
            return Err(format!(
                "standard {what} is not a terminal, so there is nobody to confirm: pass --yes to {}, or --dry-run to look",
                verb.infinitive
            ));
        }
        args.filters.unknown_states().iter().for_each(|note| context.terminal.note(note));
        let (client, policy) = (context.client()?, context.policy());
        let (has_sent, waits_until) = <_>::default();
        Ok(Self {
            context,
            args,
            max,
            rate,
            verb,
            client,
            policy,
            archive: None,
            in_order: false,
            asker,
            has_sent,
            waits_until,
        })
    }

    pub(crate) fn terminal(&self) -> Terminal {
        self.context.terminal
    }

    /// Starts to build the operation: the options that all three share.
    pub(crate) fn builder<V: BulkOperation>(&self, selection: Selection) -> BulkBuilder<V> {
        let fingerprint = self.args.fingerprint(self.client.endpoint(), &selection);
        Bulk::builder(self.client.endpoint().clone(), selection)
            .fingerprint(fingerprint)
            .relative_times(self.args.relative_times())
            .max(self.max)
            .retry(self.policy, self.client.seed())
    }

    /// Drives an operation to its end, or until an interrupt or the handler stops it.
    pub(crate) fn run<O: Operation<Outcome: Send> + Send>(
        &self,
        operation: &mut O,
        progress: &mut Progress,
        handler: impl Handler<O, O::Page> + Send,
    ) -> Driven<O::Outcome> {
        self.wait_for_its_turn();
        drive::run(&self.client, operation, progress, handler)
    }

    /// Lists what is selected, page by page. Returns the number of requests in any case.
    pub(crate) fn each_page(
        &self,
        selection: &Selection,
        parallelism: Parallelism,
        progress: &mut Progress,
        on_page: impl FnMut(&ListPage) -> ControlFlow<()> + Send,
    ) -> (u64, Result<(), Stopped>) {
        self.wait_for_its_turn();
        let list = List::for_selection(selection);
        let (policy, terminal) = (self.policy, self.terminal());
        let pages = drive::each_page(&self.client, list, policy, parallelism, terminal, progress, on_page);
        self.waits_until.set(pages.waits_until);
        (pages.requests, pages.result)
    }

    /// Counts what is selected until more than `limit` are found. Returns the number of requests in any case.
    pub(crate) fn preview(
        &self,
        selection: &Selection,
        limit: u64,
        parallelism: Parallelism,
    ) -> (u64, Result<Preview, Stopped>) {
        self.wait_for_its_turn();
        let now = self.context.now.millis();
        preview::count(&self.client, selection, limit, now, self.policy, parallelism, self.terminal())
    }

    /// Waits between two operations, for the rate and for what the server has asked of the first: each keeps to that by itself, and
    /// knows nothing about the other's last request.
    fn wait_for_its_turn(&self) {
        let asked = self.waits_until.take().map(|until| until.saturating_duration_since(Instant::now()));
        let of_rate = self.rate.filter(|_| self.has_sent.get()).map(|rate| Duration::from_secs(1) / rate.get());
        self.has_sent.set(true);
        if let Some(wait) = asked.max(of_rate) {
            interrupt::sleep(wait);
        }
    }

    /// How to continue a delete without a checkpoint. Where the window depended on the present moment, the same command would take
    /// another one.
    pub(crate) fn again(&self, window: Window, done: Option<u64>) -> String {
        wording::AGAIN.to_owned() + &self.since(window) + &self.what_is_left(done)
    }

    /// `; --max=60 keeps to the maximum`, which the same command would take anew. `done` is how many runs count against it, if
    /// that is known.
    pub(crate) fn what_is_left(&self, done: Option<u64>) -> String {
        // By ids, it takes the same first ones again.
        let by_ids = !self.args.ids.is_empty() || self.args.ids_from.is_some();
        match (self.max, done) {
            (None, _) => String::new(),
            (Some(_), _) if by_ids => String::new(),
            (Some(max), Some(done)) if done >= max.get() => "; the maximum was reached".to_owned(),
            (Some(max), Some(done)) => format!("; --max={} keeps to the maximum", max.get().saturating_sub(done)),
            (Some(_), None) => "; its --max counts from the beginning".to_owned(),
        }
    }

    /// `; --to=2026-11-24T08:30:00Z leaves alone what failed since`, or both ends of the window if the command line gives its
    /// beginning by an age: it would begin later next time. Nothing if the command line names moments.
    pub(crate) fn since(&self, (from, to): Window) -> String {
        let times = self.args.relative_times();
        let [from, to] = [("from", from, times.from), ("to", to, times.to)].map(|(name, at, is_relative)| {
            let at = at.filter(|_| is_relative)?;
            Some(format!("--{name}={}", Zone::Utc.moment(at)))
        });
        match (from, to) {
            (None, None) => String::new(),
            (None, Some(to)) => {
                let place = if self.args.all { " in place of --all" } else { "" };
                format!("; {to}{place} leaves alone what failed since")
            }
            (Some(from), None) => format!("; with {from} it begins where this one did"),
            (Some(from), Some(to)) => format!("; with {from} {to} it keeps to the same time"),
        }
    }

    /// Notes where the checkpoint left off.
    pub(crate) fn note_continuing(&self, file: &Path, totals: Totals) {
        let (path, done) = (shown(file), self.verb.done);
        self.terminal().note(&format!("continuing from {path}: {} {done} so far", thousands(totals.affected)));
    }

    /// Ends the report of a command that stopped during its preview.
    pub(crate) fn stopped_before(&self, mut report: Report, stopped: Stopped) -> Report {
        let (done, nothing) = (self.verb.done, report.nothing());
        match stopped {
            Stopped::Halted(halt) => {
                report.note_halt(&halt);
                let reason = wording::halt_of_listing(&halt, self.verb, self.client.endpoint());
                report.end(Ending::Halted, Exit::Failure, Some(format!("{reason}; {nothing} was {done}")))
            }
            Stopped::Interrupted => {
                report.end(Ending::Cancelled, Exit::Interrupted, Some(format!("interrupted; {nothing} was {done}")))
            }
        }
    }
}
