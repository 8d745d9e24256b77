//! The archive, with errors in the words of `--archive`. What a file is and when it is safe, the store knows.

use std::path::Path;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_store as store;
use upstash_dlq_store::{Problem, StoreError};

/// A place for an archive, which nothing has been written to: whoever says no finds it as it was.
#[derive(Debug)]
pub(crate) struct FoundArchive(store::FoundArchive);

#[derive(Debug)]
pub(crate) struct ArchiveFile(store::ArchiveFile);

impl FoundArchive {
    /// Everything that can be said against it. A file that exists is locked from here on.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        store::FoundArchive::find(path).map(Self).map_err(|error| before(&error))
    }

    /// Makes the file, or continues it: a last line that a crash left unfinished is taken off.
    pub(crate) fn open(self) -> Result<ArchiveFile, String> {
        self.0.open().map(ArchiveFile).map_err(|error| before(&error))
    }
}

impl ArchiveFile {
    /// Whether something was taken off.
    pub(crate) fn repaired(&self) -> bool {
        self.0.repaired()
    }

    /// Written when it returns, and not yet on disk.
    pub(crate) fn write(&mut self, messages: &[DlqMessage]) -> Result<(), String> {
        self.0.write(messages).map_err(|error| meanwhile(&error))
    }

    /// On disk when it returns, and still at its place.
    pub(crate) fn sync(&mut self) -> Result<(), String> {
        self.0.sync().map_err(|error| meanwhile(&error))
    }

    /// Whether it is at its place, as long as it was left.
    pub(crate) fn is_untouched(&self) -> Result<(), String> {
        self.0.check_untouched().map_err(|error| meanwhile(&error))
    }
}

/// Nothing has been deleted yet.
fn before(error: &StoreError) -> String {
    match error.problem {
        Problem::InUse => format!("--archive: {error}: wait for it, or give another file"),
        _ => format!("--archive: {error}; give another file"),
    }
}

fn meanwhile(error: &StoreError) -> String {
    match error.problem {
        Problem::Write(_) => {
            format!("--archive: {error}; make room or give another file; nothing that is not in it was deleted")
        }
        _ => format!("--archive: {error}; nothing more was deleted"),
    }
}
