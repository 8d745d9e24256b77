//! How many of the ids that were given are known not to have been there.

use crate::bulk::state::BulkState;

/// The service says how many runs a request hit, not which. What it was asked for more than that was missing, unless an
/// earlier attempt at the same request, whose response nobody has seen, may have hit it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    known: u64,
    /// As they were after the last page.
    ids: u64,
    runs: u64,
    unconfirmed: u64,
    /// Whether an earlier process may have sent what comes next.
    doubtful: bool,
}

impl Missing {
    pub(crate) fn at(state: &impl BulkState) -> Self {
        let (ids, totals) = (state.ids_done(), state.totals());
        let doubtful = totals.unconfirmed > 0;
        let known = if doubtful { 0 } else { ids.saturating_sub(totals.runs) };
        Self { known, ids, runs: totals.runs, unconfirmed: totals.unconfirmed, doubtful }
    }

    pub(crate) fn on_page(&mut self, state: &impl BulkState) {
        let (ids, totals) = (state.ids_done(), state.totals());
        if !self.doubtful && totals.unconfirmed == self.unconfirmed {
            let asked = ids.saturating_sub(self.ids);
            let hit = totals.runs.saturating_sub(self.runs);
            self.known = self.known.saturating_add(asked.saturating_sub(hit));
        }
        *self = Self { known: self.known, ids, runs: totals.runs, unconfirmed: totals.unconfirmed, doubtful: false };
    }

    /// At least so many; exact where nothing stayed unconfirmed.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }
}
