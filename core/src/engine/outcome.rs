//! What an operation has done, and how it ended.

use crate::engine::halt::Halt;
use serde::{Deserialize, Serialize};

/// What has happened so far, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "asking for the counts changes nothing"]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Totals {
    /// Runs that the service says it deleted, resumed or restarted. Exact when `unconfirmed` is 0, a lower bound otherwise.
    pub affected: u64,
    /// Requests that may have changed something, and whose result is not known.
    pub unconfirmed: u64,
    /// Responses that were understood.
    pub pages: u64,
    /// Requests that were sent, or may have been.
    pub requests: u64,
    /// How often a request was to be sent again.
    pub retries: u64,
}

/// How a bulk operation ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// For a selection by filter, or everything: a whole pass saw nothing left. For ids: every request was answered.
    pub verified: bool,
    /// `None` when complete. Otherwise why not: [`Bulk::checkpoint`](crate::operation::Bulk::checkpoint) then holds what
    /// another process needs to go on.
    pub halted: Option<Halt>,
}

impl Outcome {
    /// Nothing was done, and why.
    pub fn nothing(halt: Halt) -> Self {
        Self { totals: Totals::default(), verified: false, halted: Some(halt) }
    }
}

/// Adds one. Counters come out of files, too, where they can stand at their end.
pub(crate) fn add_one(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
