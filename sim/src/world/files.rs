//! Where the files of a client lie, and what somebody else does to them.

use crate::disk::Meddling;
use crate::schedule::{Item, Schedule, Touched};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What somebody else writes into an archive.
pub(crate) const FOREIGN: &str = "{\"dlqId\":\"foreign\"}\n";

pub(crate) fn checkpoint_path() -> PathBuf {
    PathBuf::from("/data/dlq.json")
}

pub(crate) fn lock_path() -> PathBuf {
    PathBuf::from("/data/.dlq.json.lock")
}

pub(crate) fn archive_path() -> PathBuf {
    PathBuf::from("/data/kept.ndjson")
}

/// The messages that stand in an archive in whole lines. An empty line may stand between two.
pub(crate) fn messages_in(archive: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(archive);
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What somebody else does to files, by the step before which it happens.
pub(super) fn meddlings(schedule: &Schedule) -> BTreeMap<u64, (PathBuf, Meddling)> {
    let meddling = |touched| match touched {
        Touched::LockRemoved => (lock_path(), Meddling::Removed),
        Touched::LockReplaced => (lock_path(), Meddling::Replaced(Vec::new())),
        Touched::ArchiveReplaced => (archive_path(), Meddling::Replaced(FOREIGN.into())),
        Touched::ArchiveAppended => (archive_path(), Meddling::Appended(FOREIGN.into())),
        Touched::CheckpointEdited => (checkpoint_path(), Meddling::Edited),
        Touched::CheckpointRemoved => (checkpoint_path(), Meddling::Removed),
    };
    let of = |item: &Item| match item {
        Item::Meddles(step, touched) => Some((*step, meddling(*touched))),
        _ => None,
    };
    schedule.items.iter().filter_map(of).collect()
}
