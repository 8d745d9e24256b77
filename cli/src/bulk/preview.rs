//! Lists what a selection matches, to show it before anything is changed.

use crate::drive::{Parallelism, Stopped, each_page};
use crate::output::progress::Progress;
use crate::output::runs::{self, Row};
use crate::output::table::Stream;
use crate::output::terminal::Terminal;
use crate::output::text::thousands;
use std::ops::ControlFlow;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::selection::Listed;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{DlqMessage, RetryPolicy, Selection, UnixMillis};
use upstash_dlq_ureq::Client;

/// How many runs are shown.
pub(crate) const SAMPLES: usize = 5;
/// Before a question, counting stops here.
pub(crate) const ENOUGH: u64 = 1_000;

pub(crate) struct Preview {
    pub(crate) matching: u64,
    /// Whether all were counted.
    pub(crate) whole: bool,
    /// A few of them, as rows of a table. A message itself may have many megabytes.
    pub(crate) samples: Vec<Row>,
    /// A sentence about the first listed run that does not match.
    pub(crate) mismatch: Option<String>,
    /// How many lack a field that the filter names.
    pub(crate) unchecked: u64,
    /// What else is to be said of them.
    pub(crate) notes: Vec<String>,
}

/// A preview of given ids: counts them without asking the server.
pub(crate) fn of_ids(ids: u64) -> Preview {
    Preview { matching: ids, whole: true, samples: Vec::new(), mismatch: None, unchecked: 0, notes: Vec::new() }
}

/// Counts until more than `limit` are found. `now` is what ages count from. Returns the number of requests in any case.
pub(crate) fn count(
    client: &Client,
    selection: &Selection,
    limit: u64,
    now: UnixMillis,
    policy: RetryPolicy,
    parallelism: Parallelism,
    terminal: Terminal,
) -> (u64, Result<Preview, Stopped>) {
    let list = List::for_selection(selection);
    let mut preview = of_ids(0);
    // Before a question counting is short, and its lines stay above the question.
    let mut progress =
        if limit == u64::MAX { Progress::new(terminal, None, "found") } else { Progress::in_lines(terminal, "found") };
    let pages = each_page(client, list, policy, parallelism, terminal, &mut progress, |page| {
        page.messages.iter().for_each(|message| preview.add(selection, message, now));
        if preview.matching > limit && page.cursor.is_some() {
            preview.whole = false;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    (pages.requests, pages.result.map(|()| preview))
}

impl Preview {
    /// Counts a listed run if it is selected, and checks it against the filter that was sent.
    fn add(&mut self, selection: &Selection, message: &DlqMessage, now: UnixMillis) {
        // A run that does not match is told of, and counts all the same: with --trust-server it would be acted on.
        if let Listed::Mismatch(field) = selection.check_listed(message, false) {
            self.mismatch.get_or_insert_with(|| {
                let id = message.dlq_id().map_or_else(|| "without an id".into(), |id| Escaped(id.as_str()).to_string());
                format!("the server lists a run that does not match the filter: {id} differs in {field}")
            });
        }
        if let Listed::Selected { is_unchecked } = selection.check_listed(message, true) {
            self.matching += 1;
            self.unchecked += u64::from(is_unchecked);
            if self.samples.len() < SAMPLES {
                self.samples.push(runs::row(message, now));
            }
        }
    }

    /// What is to be said of the runs, warnings first.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let unchecked = (self.unchecked > 0)
            .then(|| format!("{} of them lack a field that the filter names", thousands(self.unchecked)));
        let mismatch = self.mismatch.iter().map(|mismatch| format!("warning: {mismatch}"));
        mismatch.chain(unchecked).chain(self.notes.iter().cloned()).collect()
    }

    /// `more than 1,000 runs match (--dry-run counts them all)`
    pub(crate) fn sentence(&self) -> String {
        let verb = if self.matching == 1 { "run matches" } else { "runs match" };
        if self.whole {
            format!("{} {verb}", thousands(self.matching))
        } else {
            format!("more than {} runs match (--dry-run counts them all)", thousands(ENOUGH))
        }
    }

    /// A table of a few of them.
    pub(crate) fn sample_lines(&self, stream: Stream) -> Vec<String> {
        let rows = &self.samples;
        let mut lines = if rows.is_empty() { Vec::new() } else { runs::table(stream).lines(rows) };
        if self.matching > rows.len() as u64 && !lines.is_empty() {
            lines.push("…".into());
        }
        lines
    }
}
