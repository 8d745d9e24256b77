//! The batches that are not done: those that wait to be stored, and those whose requests are sent.

use crate::engine::halt::Halt;
use crate::engine::plan::Plan;
use crate::job::batch::BatchJob;
use crate::model::dlq_id::DlqId;
use crate::plan::batches::Batches;
use crate::wire::bulk::BulkOperation;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct HandedOver<O> {
    /// How many batches were handed over.
    count: u64,
    waiting: BTreeMap<u64, Waiting>,
    acting: BTreeMap<u64, Acting<O>>,
    /// The batches that have requests left to send.
    unsent: VecDeque<u64>,
}

/// A batch that waits to be stored.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) ids: Vec<DlqId>,
    /// How many of its runs lack a field that the filter speaks of.
    pub(super) unchecked: u64,
    /// How long its messages are.
    pub(super) bytes: usize,
}

#[derive(Clone, Debug)]
struct Acting<O> {
    batches: Batches<O>,
    affected: u64,
}

impl<O: BulkOperation> HandedOver<O> {
    pub(super) fn new() -> Self {
        Self { count: 0, waiting: BTreeMap::new(), acting: BTreeMap::new(), unsent: VecDeque::new() }
    }

    /// How many batches are not done.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.acting.len()
    }

    /// How long the messages are that wait to be stored, in bytes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.values().map(|waiting| waiting.bytes).sum()
    }

    pub(super) fn are_any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds a batch that waits to be stored. Returns its number.
    pub(super) fn wait(&mut self, waiting: Waiting) -> u64 {
        let number = self.count;
        self.count = self.count.wrapping_add(1);
        self.waiting.insert(number, waiting);
        number
    }

    /// Takes the batch with this number out of those that wait.
    pub(super) fn take_waiting(&mut self, number: u64) -> Option<Waiting> {
        self.waiting.remove(&number)
    }

    /// Adds a batch whose requests are sent from now on.
    pub(super) fn act(&mut self, number: u64, batches: Batches<O>) {
        self.acting.insert(number, Acting { batches, affected: 0 });
        self.unsent.push_back(number);
    }

    /// The next request, and the number of its batch.
    pub(super) fn next(&mut self) -> Result<Option<(u64, BatchJob<O>)>, Halt> {
        while let Some(number) = self.unsent.front().copied() {
            if let Some(acting) = self.acting.get_mut(&number) {
                if let Some(job) = acting.batches.next()? {
                    return Ok(Some((number, job)));
                }
            }
            self.unsent.pop_front();
        }
        Ok(None)
    }

    pub(super) fn queued(&self) -> usize {
        let batches = self.unsent.iter().filter_map(|number| self.acting.get(number));
        batches.map(|acting| acting.batches.queued()).sum()
    }

    /// Takes the end of a request, which has acted on so many runs. Returns how many all requests of its batch have acted on, if
    /// it was the last of them.
    pub(super) fn on_answered(&mut self, number: u64, job: &BatchJob<O>, affected: u64) -> Option<u64> {
        let acting = self.acting.get_mut(&number)?;
        acting.affected = acting.affected.saturating_add(affected);
        acting.batches.done = acting.batches.done.saturating_add(job.range.len());
        if acting.batches.done < acting.batches.limit {
            return None;
        }
        self.acting.remove(&number).map(|acting| acting.affected)
    }
}
