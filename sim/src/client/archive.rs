//! Deletes only what is in the archive's file.

use crate::client::context::Context;
use crate::client::end::End;
use crate::client::held::unusable;
use crate::disk::ProcessDisk;
use crate::schedule::Driving;
use crate::world::archive_path;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::task::yield_now;
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, StoreResult};
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage};
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{ArchivedDelete, DlqMessage, Driven, Event, Observer, Operation, Selection};
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
    if context.world.schedule.shares_syncs() && context.driving() == Driving::Run {
        return with_shared_syncs(context, selection, file).await;
    }
    let held = Held { file, context: Arc::clone(context) };
    let builder = context.bulk::<Delete>(selection).verify(context.world.schedule.verifies());
    let Some(outcome) = context.drive(context.client.prepare(builder).archive(held)).await else { return End::Left };
    ended(context, outcome)
}

fn ended(context: &Context, outcome: ArchiveOutcome) -> End {
    let mut claim = context.claim_alone(outcome.totals);
    claim.is_verified = outcome.verified;
    claim.archived = outcome.archived;
    End::of(outcome.halted, claim)
}

/// Writes each batch when it comes, and syncs the file when nothing else can be done, as the command does.
async fn with_shared_syncs(context: &Arc<Context>, selection: Selection, file: ArchiveFile<ProcessDisk>) -> End {
    let builder = context.bulk::<Delete>(selection).verify(context.world.schedule.verifies());
    let mut operation = builder.retry(context.client_policy(), context.seed).build_archived();
    let held = Held { file, context: Arc::clone(context) };
    let mut keeper = Keeper { held, written: Vec::new(), broken: None };
    let driven = context.client.run(&mut operation, &mut keeper).await;
    match (keeper.broken, driven) {
        (Some(error), _) => unusable(&error),
        (None, Driven::Done(outcome)) if outcome.halted.is_none() => match keeper.held.file.check_untouched() {
            Ok(()) => ended(context, outcome),
            Err(error) => unusable(&error),
        },
        (None, driven) => ended(context, driven.into_outcome(&operation)),
    }
}

/// So many batches share a sync, if others are on their way.
const SHARE: usize = 2;

struct Keeper {
    held: Held,
    /// The batches that are written and not yet synced.
    written: Vec<u64>,
    broken: Option<StoreError>,
}

impl Keeper {
    fn unless_broken(&mut self, result: Result<(), StoreError>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.broken = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Observer<ArchivedDelete> for Keeper {
    fn before_send(&mut self, _operation: &ArchivedDelete) -> ControlFlow<()> {
        if self.held.context.is_asked_to_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_event(&mut self, _operation: &mut ArchivedDelete, event: &Event<ArchivePage>) -> ControlFlow<()> {
        let Event::Page(ArchivePage { batch: Some(batch), .. }) = event else { return ControlFlow::Continue(()) };
        let written = self.held.file.write(&batch.messages);
        self.unless_broken(written)?;
        self.written.push(batch.number);
        ControlFlow::Continue(())
    }

    fn before_wait(&mut self, operation: &mut ArchivedDelete) -> ControlFlow<(), bool> {
        // The next response may bring another batch.
        let may_share = self.written.len() < SHARE && operation.in_flight() > 0;
        if self.written.is_empty() || may_share {
            return ControlFlow::Continue(false);
        }
        let synced = self.held.file.sync();
        if self.unless_broken(synced).is_break() {
            return ControlFlow::Break(());
        }
        for number in std::mem::take(&mut self.written) {
            if operation.stored(number).is_err() {
                self.held.context.world.violated(format!("a batch is taken as stored: {number} was not"));
            }
        }
        ControlFlow::Continue(true)
    }
}
