//! The runs that were chosen for the next batch.

use crate::model::dlq_id::DlqId;
use crate::model::message::DlqMessage;
use alloc::vec::Vec;
use core::mem;

/// The length of its messages in bytes at which a batch is complete.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    messages: Vec<DlqMessage>,
    ids: Vec<DlqId>,
    /// How many of them lack a field that the filter speaks of.
    unchecked: u64,
    bytes: usize,
}

impl Choice {
    /// Adds a run. Its message is kept only if it is stored.
    pub(super) fn add(&mut self, message: Option<DlqMessage>, id: DlqId, is_unchecked: bool) {
        let bytes = message.as_ref().map_or(0, |message| message.as_json().len());
        self.bytes = self.bytes.saturating_add(bytes);
        self.messages.extend(message);
        self.ids.push(id);
        self.unchecked += u64::from(is_unchecked);
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether it makes a batch of at most so many runs.
    pub(super) fn is_full(&self, runs: usize) -> bool {
        self.ids.len() >= runs || self.bytes >= BATCH_BYTES
    }

    /// The messages and ids of the batch, and how many of them could not be checked whole. `None` if there are none.
    pub(super) fn take(&mut self) -> Option<(Vec<DlqMessage>, Vec<DlqId>, u64)> {
        let Self { messages, ids, unchecked, .. } = mem::take(self);
        (!ids.is_empty()).then_some((messages, ids, unchecked))
    }
}
