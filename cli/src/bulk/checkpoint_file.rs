//! The checkpoint's file, with errors in the words of `--checkpoint`. How it is locked and replaced, the store knows.

use crate::output::wording;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use upstash_dlq_core::Checkpoint;
use upstash_dlq_core::checkpoint::CheckpointError;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_store as store;
use upstash_dlq_store::{IdSpool, IdSpoolWriter, Problem, StoreError};

/// The file of this process, which an interrupt at the question ends without dropping anything.
static HELD: Mutex<Option<Arc<store::CheckpointFile>>> = Mutex::new(None);

#[derive(Debug)]
pub(crate) struct CheckpointFile(Arc<store::CheckpointFile>);

impl CheckpointFile {
    /// Takes it for this process, until this is dropped. What an earlier process left half written is removed.
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        let file = Arc::new(store::CheckpointFile::open(path).map_err(|error| sentence(&error))?);
        *held() = Some(Arc::clone(&file));
        Ok(Self(file))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `None` when there is no such file yet.
    pub(crate) fn read<C>(&self, parse: impl FnOnce(&[u8]) -> Result<C, CheckpointError>) -> Result<Option<C>, String> {
        let Some(text) = self.0.read().map_err(|error| sentence(&error))? else { return Ok(None) };
        parse(&text).map(Some).map_err(|error| wording::checkpoint(&error, Some(&text), self.path()))
    }

    /// On disk when it returns; whoever reads sees the old or the new one, whole.
    pub(crate) fn write(&self, checkpoint: &str) -> Result<(), String> {
        self.0.write(checkpoint).map_err(|error| sentence(&error))
    }

    /// Notes that the request in doubt was shown. Best effort: otherwise it is shown again before it is settled.
    pub(crate) fn note_shown(&self) {
        if let Ok(Some(checkpoint)) = self.read(|json| Checkpoint::from_json(json)) {
            let _ = self.write(&checkpoint.with_doubt_shown().to_json());
        }
    }

    /// A list of ids beside it, to be written.
    pub(crate) fn new_spool(&self) -> Result<IdSpoolWriter, String> {
        self.0.new_spool().map_err(|error| sentence(&error))
    }

    /// The list of ids beside it, if it is the one of this digest.
    pub(crate) fn spool(&self, digest: &str) -> Result<IdSpool, String> {
        self.0.spool(digest).map_err(|error| sentence(&error))
    }

    /// Saves that the command is complete. Returns false if it cannot be saved: then an earlier position stays for the moment. Returns an
    /// error if another process may have the file.
    pub(crate) fn write_end(&self, checkpoint: &str) -> Result<bool, String> {
        match self.0.write(checkpoint) {
            Err(error) if matches!(error.problem, Problem::Moved | Problem::Unverifiable(_)) => {
                Err(Self::by_hand(self.path(), &error))
            }
            result => Ok(result.is_ok()),
        }
    }

    /// Removes it, if there is one.
    pub(crate) fn remove(&self) -> Result<(), String> {
        self.0.remove().or_else(|error| {
            // It may be the list of ids that stays, or the lock that is another one.
            let stays = if let Problem::Remove(_) = error.problem { &error.path } else { self.path() };
            if stays.exists() { Err(Self::by_hand(stays, &error)) } else { Ok(()) }
        })
    }

    fn by_hand(stays: &Path, error: &StoreError) -> String {
        format!("{}; remove {} by hand", sentence(error), Escaped(&stays.display().to_string()))
    }
}

impl Drop for CheckpointFile {
    /// The store removes the lock file; from here on it may be another process's.
    fn drop(&mut self) {
        *held() = None;
    }
}

fn held() -> MutexGuard<'static, Option<Arc<store::CheckpointFile>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the lock file, while it is locked: for the end of the process.
pub(crate) fn tidy() {
    if let Some(file) = held().take() {
        file.remove_lock_file();
    }
}

fn sentence(error: &StoreError) -> String {
    match error.problem {
        Problem::InUse => format!("--checkpoint: {error}: wait for it, or give another file"),
        _ => format!("--checkpoint: {error}"),
    }
}
