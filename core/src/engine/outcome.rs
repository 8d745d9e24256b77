//! Counts what an operation has done, and says how it ended.

use crate::engine::halt::Halt;
use serde::{Deserialize, Serialize};

/// Counts of what has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "asking for the counts changes nothing"]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Totals {
    /// Runs that the service says it deleted, resumed or restarted. Exact if `unconfirmed` is 0, otherwise a lower bound.
    pub affected: u64,
    /// Requests that may have changed something, and whose result is unknown.
    pub unconfirmed: u64,
    /// Successful responses.
    pub pages: u64,
    /// Requests that were sent, or may have been.
    pub requests: u64,
    /// How often a request was scheduled to be sent again.
    pub retries: u64,
}

/// How a bulk operation ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// For a filter or everything: a whole pass found nothing left. For ids: every request got its response.
    pub verified: bool,
    /// `None` if the operation is complete. Otherwise, why it is not: [`Bulk::checkpoint`](crate::operation::Bulk::checkpoint) then holds what
    /// another process needs to continue.
    pub halted: Option<Halt>,
}

impl Outcome {
    /// The outcome of an operation that did nothing.
    pub fn nothing(halt: Halt) -> Self {
        Self { totals: Totals::default(), verified: false, halted: Some(halt) }
    }
}

/// Adds one, without overflow: a counter from a file may be at its maximum.
pub(crate) fn add_one(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
