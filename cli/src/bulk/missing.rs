//! Counts the given ids that are known not to be in the DLQ.

use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::BulkOperation;

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
    pub(crate) fn at<O: BulkOperation>(operation: &Bulk<O>) -> Self {
        let (ids, totals) = (operation.ids_done(), operation.totals());
        let doubtful = totals.unconfirmed > 0;
        let known = if doubtful { 0 } else { ids.saturating_sub(totals.affected) };
        Self { known, ids, runs: totals.affected, unconfirmed: totals.unconfirmed, doubtful }
    }

    pub(crate) fn on_page<O: BulkOperation>(&mut self, operation: &Bulk<O>) {
        let (ids, totals) = (operation.ids_done(), operation.totals());
        if !self.doubtful && totals.unconfirmed == self.unconfirmed {
            let asked = ids.saturating_sub(self.ids);
            let hit = totals.affected.saturating_sub(self.runs);
            self.known = self.known.saturating_add(asked.saturating_sub(hit));
        }
        *self =
            Self { known: self.known, ids, runs: totals.affected, unconfirmed: totals.unconfirmed, doubtful: false };
    }

    /// A lower bound; exact if nothing stayed unconfirmed.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }
}
