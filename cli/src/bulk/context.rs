//! What delete, resume and restart start from: everything on the command line that is not particular to one of them.

use crate::cli::SelectionArgs;
use crate::context::Context;
use crate::drive::Stopped;
use crate::exit::Exit;
use crate::interrupt;
use crate::output::question::Asker;
use crate::output::report::{Ending, Report};
use crate::output::terminal::Terminal;
use crate::output::text::{shown, thousands};
use crate::output::wording::{self, VerbText};
use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::Duration;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{RetryPolicy, Selection, Totals};
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
    /// Asks for confirmation; `None` with `--yes` and for a dry run.
    pub(crate) asker: Option<Asker>,
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
        Ok(Self { context, args, max, rate, verb, client: context.client()?, policy: context.policy(), asker })
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

    /// Waits for the rate between two operations: each keeps to it by itself, and knows nothing about the other's last request.
    pub(crate) fn pause(&self) {
        if let Some(rate) = self.rate {
            interrupt::sleep(Duration::from_secs(1) / rate.get());
        }
    }

    /// Notes where the checkpoint left off.
    pub(crate) fn note_continuing(&self, file: &Path, totals: Totals) {
        let (path, done) = (shown(file), self.verb.done);
        self.terminal().note(&format!("continuing from {path}: {} {done} so far", thousands(totals.affected)));
    }

    /// Ends the report of a command that stopped during its preview.
    pub(crate) fn stopped_before(&self, report: Report, stopped: Stopped) -> Report {
        let (done, nothing) = (self.verb.done, report.nothing());
        match stopped {
            Stopped::Halted(halt) => {
                let reason = wording::halt(&halt, self.client.endpoint());
                report.end(Ending::Halted, Exit::Failure, Some(format!("{reason}; {nothing} was {done}")))
            }
            Stopped::Interrupted => {
                report.end(Ending::Cancelled, Exit::Interrupted, Some(format!("interrupted; {nothing} was {done}")))
            }
        }
    }
}
