//! How a process ends, and what the library then claims.

use crate::population::RunIndex;
use upstash_dlq_core::{Halt, Outcome, Totals};

/// How one process ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The work is complete, as the library says.
    Complete(Claim),
    /// The library has halted.
    Halted(Box<Halt>, Claim),
    /// The caller has left on purpose. Another process goes on.
    Left,
    /// Another process has the file.
    InUse,
    /// A file cannot be used.
    Unusable(String),
    /// A person cannot tell what became of a request.
    GivenUp,
}

/// What the library says about what it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim {
    pub(crate) totals: Totals,
    pub(crate) is_verified: bool,
    /// Runs that were listed or fetched, in the order in which they came.
    pub(crate) seen: Vec<RunIndex>,
    /// Messages that were archived.
    pub(crate) archived: u64,
    /// The first and the last process whose requests are counted.
    pub(crate) since: u32,
    pub(crate) until: u32,
}

impl End {
    pub(super) fn halted(halt: Halt, claim: Claim) -> Self {
        Self::Halted(Box::new(halt), claim)
    }

    /// Halted, or complete.
    pub(super) fn of(halted: Option<Halt>, claim: Claim) -> Self {
        match halted {
            None => Self::Complete(claim),
            Some(halt) => Self::halted(halt, claim),
        }
    }

    /// The end of a bulk operation. `claim` makes the claim of its totals.
    pub(super) fn of_bulk(outcome: Outcome, claim: impl FnOnce(Totals) -> Claim) -> Self {
        let claim = Claim { is_verified: outcome.verified, ..claim(outcome.totals) };
        Self::of(outcome.halted, claim)
    }

    /// In a few words, for the trace.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Complete(claim) => format!("complete, {:?}, verified: {}", claim.totals, claim.is_verified),
            Self::Halted(halt, claim) => format!("halted, {:?}: {halt}", claim.totals),
            Self::Unusable(problem) => format!("a file cannot be used: {problem}"),
            other => format!("{other:?}"),
        }
    }
}
