//! What a store does around the requests of an operation.
//!
//! A call takes the store and gives it back with its result. So its future owns all that it needs, and may be dropped.

use futures_core::future::BoxFuture;
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore, StoreResult};
use upstash_dlq_core::engine::InvalidState;
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage, Bulk};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{ArchivedDelete, Checkpoint, Halt, Operation, Outcome};

pub(crate) type BoxStorage<'a, O> = Box<dyn Storage<'a, O> + 'a>;

/// A call that is awaited.
pub(crate) type Storing<'a, O, T = ()> = BoxFuture<'a, (BoxStorage<'a, O>, StoreResult<T>)>;

/// What a store does now.
pub(crate) enum Call<'a, O> {
    /// There is nothing to store.
    Nothing(BoxStorage<'a, O>),
    Await(Storing<'a, O>),
}

/// What a store does for one kind of operation.
pub(crate) trait Storage<'a, O: Operation>: Send {
    /// Reads the checkpoint that an earlier process has left.
    fn load(self: Box<Self>) -> Storing<'a, O, Option<Checkpoint>>;

    /// Called with the next request in flight, before it is sent.
    fn before_send(self: Box<Self>, operation: &O) -> Call<'a, O>;

    fn on_page(self: Box<Self>, page: &O::Page) -> Call<'a, O>;

    /// Called after [`Self::on_page`] has stored what is in the page.
    fn page_stored(&self, operation: &mut O, page: &O::Page) -> Result<(), InvalidState>;

    /// Called once, when nothing is in flight any more.
    fn end(self: Box<Self>, operation: &O, outcome: &O::Outcome) -> Call<'a, O>;

    /// The outcome of an operation whose store failed at its end.
    fn failed(&self, outcome: O::Outcome, halt: Halt) -> O::Outcome;
}

/// Keeps the checkpoints of a bulk operation.
pub(crate) struct Checkpoints<S>(pub(crate) S);

impl<'a, S: AsyncCheckpointStore + 'a> Checkpoints<S> {
    fn save<O: BulkOperation>(mut self: Box<Self>, operation: &Bulk<O>) -> Call<'a, Bulk<O>> {
        let checkpoint = operation.checkpoint();
        Call::Await(Box::pin(async move {
            let result = self.0.save(checkpoint).await;
            (self as BoxStorage<'a, Bulk<O>>, result)
        }))
    }
}

impl<'a, O: BulkOperation, S: AsyncCheckpointStore + 'a> Storage<'a, Bulk<O>> for Checkpoints<S> {
    fn load(mut self: Box<Self>) -> Storing<'a, Bulk<O>, Option<Checkpoint>> {
        Box::pin(async move {
            let result = self.0.load().await;
            (self as BoxStorage<'a, Bulk<O>>, result)
        })
    }

    fn before_send(self: Box<Self>, operation: &Bulk<O>) -> Call<'a, Bulk<O>> {
        self.save(operation)
    }

    fn on_page(self: Box<Self>, _page: &O::Page) -> Call<'a, Bulk<O>> {
        Call::Nothing(self)
    }

    fn page_stored(&self, _operation: &mut Bulk<O>, _page: &O::Page) -> Result<(), InvalidState> {
        Ok(())
    }

    fn end(mut self: Box<Self>, operation: &Bulk<O>, outcome: &Outcome) -> Call<'a, Bulk<O>> {
        if outcome.halted.is_some() {
            return self.save(operation);
        }
        Call::Await(Box::pin(async move {
            let result = self.0.remove().await;
            (self as BoxStorage<'a, Bulk<O>>, result)
        }))
    }

    fn failed(&self, mut outcome: Outcome, halt: Halt) -> Outcome {
        replace(&mut outcome.halted, halt);
        outcome
    }
}

/// Keeps the runs that an archived delete deletes.
pub(crate) struct Archive<S>(pub(crate) S);

impl<'a, S: AsyncArchiveStore + 'a> Storage<'a, ArchivedDelete> for Archive<S> {
    fn load(self: Box<Self>) -> Storing<'a, ArchivedDelete, Option<Checkpoint>> {
        Box::pin(std::future::ready((self as BoxStorage<'a, ArchivedDelete>, Ok(None))))
    }

    fn before_send(self: Box<Self>, _operation: &ArchivedDelete) -> Call<'a, ArchivedDelete> {
        Call::Nothing(self)
    }

    fn on_page(mut self: Box<Self>, page: &ArchivePage) -> Call<'a, ArchivedDelete> {
        let Some(batch) = &page.batch else { return Call::Nothing(self) };
        let messages = batch.messages.clone();
        Call::Await(Box::pin(async move {
            let result = self.0.append(messages).await;
            (self as BoxStorage<'a, ArchivedDelete>, result)
        }))
    }

    fn page_stored(&self, operation: &mut ArchivedDelete, page: &ArchivePage) -> Result<(), InvalidState> {
        page.batch.as_ref().map_or(Ok(()), |batch| operation.stored(batch.number))
    }

    fn end(mut self: Box<Self>, _operation: &ArchivedDelete, outcome: &ArchiveOutcome) -> Call<'a, ArchivedDelete> {
        if outcome.archived == 0 {
            return Call::Nothing(self);
        }
        Call::Await(Box::pin(async move {
            let result = self.0.finish().await;
            (self as BoxStorage<'a, ArchivedDelete>, result)
        }))
    }

    fn failed(&self, mut outcome: ArchiveOutcome, halt: Halt) -> ArchiveOutcome {
        replace(&mut outcome.halted, halt);
        outcome
    }
}

/// A halt of the operation's own says more than that of its store.
fn replace(halted: &mut Option<Halt>, halt: Halt) {
    if matches!(halted, None | Some(Halt::Stopped)) {
        *halted = Some(halt);
    }
}
