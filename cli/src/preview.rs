//! What a selection would hit, by listing it.

use crate::list;
use crate::listing::{Failed, Speed, each_page};
use crate::report::thousands;
use crate::terminal::Terminal;
use crate::time::Age;
use std::ops::ControlFlow;
use upstash_dlq_core::{DlqMessage, List, RetryPolicy, Selection};
use upstash_dlq_ureq::Client;

/// How many runs are shown.
const SAMPLES: usize = 5;
/// Where counting stops before a question.
pub(crate) const ENOUGH: u64 = 1_000;

pub(crate) struct Preview {
    pub(crate) matching: u64,
    /// Whether all were counted.
    pub(crate) whole: bool,
    pub(crate) samples: Vec<DlqMessage>,
}

/// Ids are counted as they were given, without asking the server.
pub(crate) fn of_ids(ids: u64) -> Preview {
    Preview { matching: ids, whole: true, samples: Vec::new() }
}

/// Counts until more than `limit` are found. The number of requests comes back in any case.
pub(crate) fn count(
    client: &Client,
    selection: &Selection,
    limit: u64,
    policy: RetryPolicy,
    speed: Speed,
    terminal: Terminal,
) -> (u64, Result<Preview, Failed>) {
    let list = match selection {
        Selection::Filter(filter) => List::matching(filter.clone()),
        Selection::Everything => List::everything(),
        Selection::Ids(ids) => return (0, Ok(of_ids(ids.len() as u64))),
    };
    let mut preview = Preview { matching: 0, whole: true, samples: Vec::new() };
    let (requests, result) = each_page(client, list, policy, speed, terminal, None, |page| {
        preview.matching += page.messages.len() as u64;
        let room = SAMPLES.saturating_sub(preview.samples.len());
        preview.samples.extend(page.messages.iter().take(room).cloned());
        if preview.matching > limit && page.cursor.is_some() {
            preview.whole = false;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    (requests, result.map(|()| preview))
}

impl Preview {
    /// `more than 1,000 runs match`
    pub(crate) fn sentence(&self) -> String {
        let verb = if self.matching == 1 { "run matches" } else { "runs match" };
        if self.whole {
            format!("{} {verb}", thousands(self.matching))
        } else {
            format!("more than {} runs match", thousands(ENOUGH))
        }
    }

    /// A few of them, with nothing in it that steers a terminal.
    pub(crate) fn sample_lines(&self) -> Vec<String> {
        let now = Age::from_clock();
        let rows: Vec<_> = self.samples.iter().map(|message| list::row(message, now)).collect();
        let mut lines = if rows.is_empty() { Vec::new() } else { list::table().lines(&rows) };
        if self.matching > self.samples.len() as u64 && !lines.is_empty() {
            lines.push("…".into());
        }
        lines
    }
}
