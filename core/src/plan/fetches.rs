//! The runs of a list of ids, each fetched by a request of its own.

use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::plan::{Drained, Plan};
use crate::engine::totals::{Totals, add_one};
use crate::job::fetch::FetchJob;
use crate::model::dlq_id::DlqId;
use crate::model::message::DlqMessage;
use crate::selection::ids::Ids;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug)]
pub(crate) struct Fetches {
    ids: Ids,
    /// How many of the ids were requested.
    begun: usize,
    found: u64,
}

/// One run of a list of ids, or that it is not in the DLQ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fetched {
    /// The id that was asked for.
    pub id: DlqId,
    /// The run. `None` if it is not in the DLQ.
    pub message: Option<DlqMessage>,
}

/// How fetching many runs ended, or how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "only this tells whether all of them were fetched"]
#[non_exhaustive]
pub struct GetManyOutcome {
    /// How many of the runs are in the DLQ.
    pub found: u64,
    /// Counts of what was sent. No run is affected, and `missing` is how many of the ids are not in the DLQ.
    pub totals: Totals,
    /// `None` if every id was asked for. Otherwise, why not.
    pub halted: Option<Halt>,
}

impl Fetches {
    pub(crate) fn new(ids: Ids) -> Self {
        Self { ids, begun: 0, found: 0 }
    }
}

impl Plan for Fetches {
    type Job = FetchJob;
    type Page = Fetched;
    type Outcome = GetManyOutcome;

    fn next(&mut self) -> Result<Option<FetchJob>, Halt> {
        let id = self.ids.as_slice().get(self.begun);
        self.begun += usize::from(id.is_some());
        Ok(id.cloned().map(FetchJob::new))
    }

    fn queued(&self) -> usize {
        self.ids.len().saturating_sub(self.begun)
    }

    fn on_page(&mut self, job: &mut FetchJob, message: Option<DlqMessage>, next: &mut Next) -> Fetched {
        if message.as_ref().is_some_and(|message| message.dlq_id().as_ref() != Some(job.id())) {
            *next = Next::Halt(Halt::UnusableMessage);
        }
        if message.is_some() {
            add_one(&mut self.found);
        }
        Fetched { id: job.id().clone(), message }
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        Drained::Done
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> GetManyOutcome {
        GetManyOutcome { found: self.found, totals, halted }
    }
}
