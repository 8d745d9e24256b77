//! What an archived delete hands to its caller, and how it ends. Every other operation on runs that were listed ends in the same way,
//! with nothing archived.

use crate::engine::halt::Halt;
use crate::engine::totals::{Ending, Totals};
use crate::model::message::DlqMessage;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Runs to be stored, which are then deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Batch {
    /// The number for [`ArchivedDelete::stored`](crate::ArchivedDelete::stored). Call that once a crash can no longer lose the
    /// messages. None of the runs is deleted before.
    pub number: u64,
    /// The messages of the runs, as the server sent them. Never empty.
    pub messages: Vec<DlqMessage>,
}

impl Batch {
    /// A batch, as an archived delete hands it out. For tests of stores.
    pub fn new(number: u64, messages: Vec<DlqMessage>) -> Self {
        Self { number, messages }
    }
}

/// What one response of an archived delete brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArchivePage {
    /// Runs to be stored. `None` if the response completed no batch: it brought one run of the next batch, or a deletion.
    pub batch: Option<Batch>,
}

/// How an archived delete ended, or how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct ArchiveOutcome {
    /// What was done. `pages` counts the responses to listings, fetches and deletions.
    pub totals: Totals,
    /// How many messages the caller has stored.
    pub archived: u64,
    /// How many of the runs lacked a field that the filter speaks of, so that it could not be checked.
    pub unchecked: u64,
    /// For a filter, a refinement or everything: the last listing showed nothing left. For ids: every request got its response.
    pub verified: bool,
    /// `None` if the operation is complete. Otherwise, why it is not.
    pub halted: Option<Halt>,
}

impl From<ArchiveOutcome> for Ending {
    fn from(outcome: ArchiveOutcome) -> Self {
        let ArchiveOutcome { totals, verified, unchecked, halted, .. } = outcome;
        Self { totals, verified, unchecked, halted }
    }
}
