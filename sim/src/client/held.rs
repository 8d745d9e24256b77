//! The checkpoint's file, as one process has it open.

use crate::client::context::Context;
use crate::client::end::End;
use crate::disk::{Meddled, Meddling, ProcessDisk};
use crate::world::checkpoint_path;
use std::sync::Arc;
use tokio::task::yield_now;
use upstash_dlq_core::Checkpoint;
use upstash_dlq_core::client::{AsyncCheckpointStore, CheckpointStore, StoreResult};
use upstash_dlq_store::{CheckpointFile, Problem, StoreError};

/// The file of the library, used by an async client.
pub(super) struct Held {
    pub(super) file: CheckpointFile<ProcessDisk>,
    context: Arc<Context>,
}

impl Held {
    /// Opens the checkpoint's file for this process alone. Returns the checkpoint, too, that an earlier process has left. If there is
    /// none, counts begin anew.
    pub(super) fn open(context: &Arc<Context>) -> Result<(Self, Option<Checkpoint>), End> {
        let file =
            CheckpointFile::open_on(context.disk.clone(), checkpoint_path()).map_err(|error| unusable(&error))?;
        context.world.on_opened(&context.process);
        let held = Self { file, context: Arc::clone(context) };
        let saved = held.read()?;
        let writer = || context.world.machine.creator(&checkpoint_path());
        context.begin_counts(saved.as_ref().and_then(|_| writer()));
        Ok((held, saved))
    }

    fn read(&self) -> Result<Option<Checkpoint>, End> {
        let text = self.file.read().map_err(|error| unusable(&error))?;
        let Some(text) = text else { return Ok(None) };
        let is_edited = |meddled: &Meddled| meddled.how == Meddling::Edited && meddled.after == text;
        let is_edited = self.context.world.machine.meddled(&checkpoint_path()).iter().any(is_edited);
        match Checkpoint::from_json(&text) {
            Ok(_) if is_edited => {
                self.context.world.violated("a changed checkpoint is refused: it is continued".to_owned());
                Err(End::GivenUp)
            }
            Err(_) if is_edited => Err(End::GivenUp),
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) => {
                self.context.world.violated(format!("a checkpoint survives: it cannot be read, {error}"));
                Err(End::Unusable(error.to_string()))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.context.world.on_closed(&self.context.process);
    }
}

pub(super) fn unusable(error: &StoreError) -> End {
    match error.problem {
        Problem::InUse => End::InUse,
        _ => End::Unusable(error.to_string()),
    }
}

impl AsyncCheckpointStore for Held {
    async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        yield_now().await;
        CheckpointStore::load(&mut self.file)
    }

    async fn save(&mut self, checkpoint: Checkpoint) -> StoreResult {
        yield_now().await;
        let saved = CheckpointStore::save(&mut self.file, &checkpoint);
        yield_now().await;
        saved
    }

    async fn remove(&mut self) -> StoreResult {
        CheckpointStore::remove(&mut self.file)
    }
}
