//! How far a bulk operation has come: the same questions to one lane and to many.

use upstash_dlq_core::{Bulk, Fleet, OutOfTurn, Settlement, Totals, Unsettled, Verb};

pub(crate) trait BulkState {
    fn totals(&self) -> Totals;
    /// As the file has it.
    fn checkpoint(&self) -> String;
    /// What waits for somebody to look.
    fn unsettled(&self) -> Option<Unsettled<'_>>;
    /// Takes what somebody has found out.
    fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn>;
    /// How many of the ids that were given are done.
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
