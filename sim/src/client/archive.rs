//! Deletes only what is in the archive's file.

use crate::client::context::Context;
use crate::client::end::End;
use crate::client::held::unusable;
use crate::disk::ProcessDisk;
use crate::world::archive_path;
use std::sync::Arc;
use tokio::task::yield_now;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, StoreResult};
use upstash_dlq_core::wire::Delete;
use upstash_dlq_store::{ArchiveFile, FoundArchive, Problem, StoreError};

struct Held {
    file: ArchiveFile<ProcessDisk>,
    context: Arc<Context>,
}

impl AsyncArchiveStore for Held {
    async fn append(&mut self, messages: Vec<DlqMessage>) -> StoreResult {
        yield_now().await;
        let stored = ArchiveStore::append(&mut self.file, &messages);
        yield_now().await;
        stored
    }

    async fn finish(&mut self) -> StoreResult {
        ArchiveStore::finish(&mut self.file)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.context.world.on_closed(&self.context.process);
    }
}

/// The file cannot be used. A first line of which the disk has a later part and not the beginning is taken for somebody else's
/// file: a person looks, sees that nothing was deleted, and removes it.
fn refused(context: &Context, error: &StoreError) -> End {
    if matches!(error.problem, Problem::NotAnArchive(_)) {
        if context.world.has_done_something() && !context.world.is_archive_overwritten() {
            context.world.violated(format!("what is deleted is in the archive: it is refused, {error}"));
        }
        context.world.machine.remove(&archive_path());
    }
    unusable(error)
}

pub(super) async fn delete(context: &Arc<Context>) -> End {
    let Some(selection) = context.selection() else { return End::Complete(context.claim_alone(<_>::default())) };
    let file = match FoundArchive::find_on(context.disk.clone(), archive_path()).and_then(FoundArchive::open) {
        Ok(file) => file,
        Err(error) => return refused(context, &error),
    };
    context.world.on_opened(&context.process);
    let held = Held { file, context: Arc::clone(context) };
    let builder = context.bulk::<Delete>(selection).verify(context.world.schedule.verifies());
    let Some(outcome) = context.drive(context.client.prepare(builder).archive(held)).await else { return End::Left };
    let mut claim = context.claim_alone(outcome.totals);
    claim.is_verified = outcome.verified;
    claim.archived = outcome.archived;
    End::of(outcome.halted, claim)
}
