//! What a client of the simulation acts on: in the library's words, and read naively, as an oracle.

use crate::schedule::{RunIndex, Target};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::{Filter, Selection, UnixMillis};
use upstash_dlq_emulator::Run;

/// The present at which every history begins, in milliseconds since the epoch.
pub(crate) const BASE: i64 = 1_764_000_000_000;

/// How far apart in time two groups of runs are, in milliseconds.
pub(crate) const SPACING: i64 = 60_000;

pub(crate) fn id_of(run: RunIndex) -> String {
    format!("dlq-{run}")
}

/// From this number on, runs arrive while the history goes on.
pub(crate) const FIRST_ARRIVAL: RunIndex = 1_000;

/// When a run failed. The first is the newest. Those that arrive later lie after the present at which the history begins.
pub(crate) fn created_at(run: RunIndex) -> i64 {
    match run.checked_sub(FIRST_ARRIVAL) {
        Some(arrival) => BASE + 100 * i64::from(arrival),
        // Three lie in neighbouring milliseconds.
        None => BASE - SPACING * (i64::from(run / 3) + 1) - i64::from(run % 3),
    }
}

/// The run as the service has it. Every fourth is blue, the others are red.
pub(crate) fn run(index: RunIndex) -> Run {
    let color = if index % 4 == 2 { "blue" } else { "red" };
    Run {
        dlq_id: id_of(index),
        workflow_run_id: format!("wfr-{index}"),
        workflow_created_at: created_at(index),
        created_at: created_at(index),
        labels: vec![color.to_owned()],
        ..Run::default()
    }
}

impl Target {
    /// The selection, as a caller writes it down at `now` (milliseconds since the epoch). `None` if it is empty.
    pub(crate) fn selection(&self, now: i64) -> Option<Selection> {
        let filter = Filter::builder();
        let filter = match self {
            Self::Everything => return Some(Selection::Everything),
            Self::Ids(runs) => return Ids::parse(runs.iter().map(|run| id_of(*run))).ok().map(Selection::Ids),
            Self::Red => filter.label("red"),
            Self::RedUntilNow => filter.label("red").to(UnixMillis::new(now)),
            Self::Between { oldest, newest } => {
                filter.from(UnixMillis::new(created_at(*oldest))).to(UnixMillis::new(created_at(*newest)))
            }
        };
        filter.build().ok().map(Selection::Filter)
    }

    /// Whether the run may be acted on.
    pub(crate) fn wants(&self, index: RunIndex) -> bool {
        let run = run(index);
        let is_red = run.labels.iter().any(|label| label == "red");
        match self {
            Self::Everything => true,
            Self::Ids(runs) => runs.contains(&index),
            Self::Red => is_red,
            Self::RedUntilNow => is_red && run.created_at <= BASE + crate::schedule::LONGEST_CLOCK_STEP,
            Self::Between { oldest, newest } => (created_at(*oldest)..=created_at(*newest)).contains(&run.created_at),
        }
    }

    /// What is wrong with a request that asks for runs by filter with this query, if anything is.
    pub(crate) fn objection(&self, query: &[(String, String)]) -> Option<String> {
        let all = |name: &str| -> Vec<&str> {
            query.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
        };
        let date = |name: &str| all(name).first().and_then(|value| value.parse::<i64>().ok());
        let labels = all("label");
        let red = labels == ["red"];
        let (from, to) = (date("fromDate"), date("toDate"));
        let is_narrow = |oldest: Option<i64>, newest: Option<i64>| {
            oldest.is_none_or(|oldest| from.is_some_and(|from| from >= oldest))
                && newest.is_none_or(|newest| to.is_some_and(|to| to <= newest))
        };
        let is_right = match self {
            Self::Everything => labels.is_empty(),
            Self::Ids(_) => false,
            Self::Red => red && is_narrow(None, None),
            Self::RedUntilNow => red && is_narrow(None, Some(BASE + crate::schedule::LONGEST_CLOCK_STEP)),
            Self::Between { oldest, newest } => {
                labels.is_empty() && is_narrow(Some(created_at(*oldest)), Some(created_at(*newest)))
            }
        };
        (!is_right).then(|| format!("nothing outside: a request asks for runs outside {self:?}: {query:?}"))
    }
}
