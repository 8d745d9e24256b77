//! Counts the given ids that are known not to be in the DLQ.

use crate::bulk::state::BulkState;

/// The service says how many runs a request acted on, not which. The other ids of the request were missing, unless an earlier
/// attempt at the same request, whose response was lost, may have acted on them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    known: u64,
    /// The counts after the last page.
    ids: u64,
    runs: u64,
    unconfirmed: u64,
    /// Whether an earlier process may have sent the next request.
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

    /// A lower bound; exact if nothing stayed unconfirmed.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }
}
