//! Counts what an operation has done.

use crate::engine::halt::Halt;
use serde::{Deserialize, Serialize};

/// Counts of what has happened so far.
///
/// ```
/// use upstash_dlq_core::Totals;
/// let totals = Totals::from_counts(250, 1);
/// let at_least = if totals.unconfirmed > 0 { "at least " } else { "" };
/// assert_eq!(format!("{at_least}{} deleted", totals.affected), "at least 250 deleted");
/// ```
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
    /// How many of the given ids were certainly not in the DLQ. Exact if `unconfirmed` is 0, otherwise a lower bound. Zero for
    /// operations that were given no ids.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Totals {
    /// So many runs were affected, and the results of so many requests are unknown. For tests of code that gets totals.
    pub fn from_counts(affected: u64, unconfirmed: u64) -> Self {
        Self { affected, unconfirmed, ..Self::default() }
    }
}

/// How a bulk plan ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) totals: Totals,
    pub(crate) verified: bool,
    /// How many runs were acted on that could not be checked whole.
    pub(crate) unchecked: u64,
    /// `None` if it is complete.
    pub(crate) halted: Option<Halt>,
}

/// Adds one, without overflow: a counter from a file may be at its maximum.
pub(crate) fn add_one(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
