//! The files as stores of a client: `client.delete(selection).archive(file)`, `….checkpoint(file)`.

use crate::archive_file::ArchiveFile;
use crate::checkpoint_file::CheckpointFile;
use crate::disk::Disk;
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore, StoreResult};
use upstash_dlq_core::{Checkpoint, DlqMessage};

/// [`ArchiveFile::append`], and [`ArchiveFile::check_untouched`] at the end.
impl<D: Disk> ArchiveStore for ArchiveFile<D> {
    fn append(&mut self, messages: &[DlqMessage]) -> StoreResult {
        Ok(Self::append(self, messages)?)
    }

    fn finish(&mut self) -> StoreResult {
        Ok(self.check_untouched()?)
    }
}

/// The operation continues from the checkpoint that the file holds. When it is complete, the file is removed.
impl<D: Disk> CheckpointStore for CheckpointFile<D> {
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        Ok(self.read()?.map(|json| Checkpoint::from_json(&json)).transpose()?)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> StoreResult {
        Ok(self.write(&checkpoint.to_json())?)
    }

    fn remove(&mut self) -> StoreResult {
        Ok(Self::remove(self)?)
    }
}
