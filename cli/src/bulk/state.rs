//! How far a bulk operation has come. One trait, so that the rest of the command does not care how many lanes there are.

use upstash_dlq_core::{Bulk, Fleet, OutOfTurn, Settlement, Totals, Unsettled, Verb};

pub(crate) trait BulkState {
    fn totals(&self) -> Totals;
    /// The position, as the checkpoint file holds it.
    fn checkpoint(&self) -> String;
    /// The request that has to be settled before anything further is sent.
    fn unsettled(&self) -> Option<Unsettled<'_>>;
    /// Settles it.
    fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn>;
    /// How many of the given ids are done.
    fn ids_done(&self) -> u64;
}

impl<V: Verb> BulkState for Bulk<V> {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn checkpoint(&self) -> String {
        self.checkpoint().to_json()
    }

    fn unsettled(&self) -> Option<Unsettled<'_>> {
        self.unsettled()
    }

    fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn> {
        self.settle(settlement)
    }

    fn ids_done(&self) -> u64 {
        self.ids_done()
    }
}

impl<V: Verb> BulkState for Fleet<V> {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn checkpoint(&self) -> String {
        self.checkpoint().to_json()
    }

    fn unsettled(&self) -> Option<Unsettled<'_>> {
        self.unsettled()
    }

    fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn> {
        self.settle(settlement)
    }

    /// Ids are never spread over lanes.
    fn ids_done(&self) -> u64 {
        0
    }
}
