//! What a store does around the requests of an operation.
//!
//! A call is begun, then polled. Its future owns the store and gives it back, so it may be dropped at any point.

use crate::bugs::bug;
use futures_core::future::BoxFuture;
use std::task::{Context, Poll, ready};
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore, StoreResult};
use upstash_dlq_core::engine::{InvalidState, StoreFailure};
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage, Bulk};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{ArchivedDelete, Checkpoint, Operation, Outcome};

pub(crate) type BoxStorage<'a, O> = Box<dyn Storage<O> + 'a>;

/// Whether a call was begun, which must be polled to its end before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Begun,
    /// There is nothing to store.
    Nothing,
}

/// What a store does for one kind of operation.
pub(crate) trait Storage<O: Operation>: Send {
    /// Reads the checkpoint that an earlier process has left.
    fn load(&mut self) -> Call;

    /// Called with the next request in flight, before it is sent.
    fn before_send(&mut self, operation: &O) -> Call;

    fn on_page(&mut self, page: &O::Page) -> Call;

    /// Called before a page is handed to a caller who may not come back for the next one.
    fn before_hand_over(&mut self, _operation: &O) -> Call {
        Call::Nothing
    }

    /// What is in the page is not stored after all, because the operation is taken back meanwhile, or the store has failed.
    fn page_given_up(&self, _operation: &mut O, _page: &O::Page) {}

    /// Called after [`Self::on_page`] has stored what is in the page.
    fn page_stored(&self, operation: &mut O, page: &O::Page) -> Result<(), InvalidState>;

    /// Called once, when nothing is in flight any more.
    fn end(&mut self, operation: &O, outcome: &O::Outcome) -> Call;

    /// Polls the call. Only [`Self::load`] returns a checkpoint.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreResult<Option<Checkpoint>>>;

    /// The outcome of an operation whose store failed at its end.
    fn failed(&self, outcome: O::Outcome, failure: StoreFailure) -> O::Outcome;
}

/// A store, or a call of it.
struct Calls<'a, S> {
    /// `None` while it is called.
    store: Option<S>,
    call: Option<BoxFuture<'a, (S, StoreResult<Option<Checkpoint>>)>>,
}

impl<'a, S> Calls<'a, S> {
    fn new(store: S) -> Self {
        Self { store: Some(store), call: None }
    }

    fn begin<F>(&mut self, call: impl FnOnce(S) -> F) -> Call
    where
        F: Future<Output = (S, StoreResult<Option<Checkpoint>>)> + Send + 'a,
    {
        if let Some(store) = self.store.take() {
            self.call = Some(Box::pin(call(store)));
        }
        Call::Begun
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreResult<Option<Checkpoint>>> {
        // A call that has panicked is not polled again.
        let Some(mut call) = self.call.take() else { return Poll::Ready(Err("the store has panicked".into())) };
        let polled = call.as_mut().poll(cx);
        if polled.is_pending() {
            self.call = Some(call);
        }
        let (store, result) = ready!(polled);
        self.store = Some(store);
        Poll::Ready(result)
    }
}

/// Keeps the checkpoints of a bulk operation.
pub(crate) struct Checkpoints<'a, S>(Calls<'a, S>);

impl<'a, S: AsyncCheckpointStore + 'a> Checkpoints<'a, S> {
    pub(crate) fn new(store: S) -> Self {
        Self(Calls::new(store))
    }

    fn save(&mut self, checkpoint: Checkpoint) -> Call {
        self.0.begin(|mut store| async move {
            let result = store.save(checkpoint).await;
            (store, result.map(|()| None))
        })
    }
}

impl<'a, O: BulkOperation, S: AsyncCheckpointStore + 'a> Storage<Bulk<O>> for Checkpoints<'a, S> {
    fn load(&mut self) -> Call {
        self.0.begin(|mut store| async move {
            let result = store.load().await;
            (store, result)
        })
    }

    fn before_send(&mut self, operation: &Bulk<O>) -> Call {
        if bug!(CheckpointNotSaved) {
            return Call::Nothing;
        }
        self.save(operation.checkpoint())
    }

    fn on_page(&mut self, _page: &O::Page) -> Call {
        Call::Nothing
    }

    fn before_hand_over(&mut self, operation: &Bulk<O>) -> Call {
        self.save(operation.checkpoint())
    }

    fn page_stored(&self, _operation: &mut Bulk<O>, _page: &O::Page) -> Result<(), InvalidState> {
        Ok(())
    }

    fn end(&mut self, operation: &Bulk<O>, outcome: &Outcome) -> Call {
        if outcome.halted.is_some() && !bug!(CheckpointRemovedEarly) {
            return self.save(operation.checkpoint());
        }
        self.0.begin(|mut store| async move {
            let result = store.remove().await;
            (store, result.map(|()| None))
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreResult<Option<Checkpoint>>> {
        self.0.poll(cx)
    }

    fn failed(&self, mut outcome: Outcome, failure: StoreFailure) -> Outcome {
        outcome.halted = Some(failure.after(outcome.halted.as_ref()));
        outcome.verified = false;
        outcome
    }
}

/// Keeps the runs that an archived delete deletes.
pub(crate) struct Archive<'a, S>(Calls<'a, S>);

impl<S> Archive<'_, S> {
    pub(crate) fn new(store: S) -> Self {
        Self(Calls::new(store))
    }
}

impl<'a, S: AsyncArchiveStore + 'a> Storage<ArchivedDelete> for Archive<'a, S> {
    fn load(&mut self) -> Call {
        Call::Nothing
    }

    fn before_send(&mut self, _operation: &ArchivedDelete) -> Call {
        Call::Nothing
    }

    fn on_page(&mut self, page: &ArchivePage) -> Call {
        let Some(batch) = &page.batch else { return Call::Nothing };
        let messages = batch.messages.clone();
        self.0.begin(|mut store| async move {
            let result = store.append(messages).await;
            let result = if bug!(StoreFailureIgnored) { Ok(()) } else { result };
            (store, result.map(|()| None))
        })
    }

    fn page_stored(&self, operation: &mut ArchivedDelete, page: &ArchivePage) -> Result<(), InvalidState> {
        page.batch.as_ref().map_or(Ok(()), |batch| operation.stored(batch.number))
    }

    fn page_given_up(&self, operation: &mut ArchivedDelete, page: &ArchivePage) {
        if let Some(batch) = &page.batch {
            // The batch waits to be stored, so this is no invalid state.
            let _ = operation.not_stored(batch.number);
        }
    }

    fn end(&mut self, _operation: &ArchivedDelete, outcome: &ArchiveOutcome) -> Call {
        if outcome.archived == 0 {
            return Call::Nothing;
        }
        self.0.begin(|mut store| async move {
            let result = store.finish().await;
            (store, result.map(|()| None))
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreResult<Option<Checkpoint>>> {
        self.0.poll(cx)
    }

    fn failed(&self, mut outcome: ArchiveOutcome, failure: StoreFailure) -> ArchiveOutcome {
        outcome.halted = Some(failure.after(outcome.halted.as_ref()));
        outcome.verified = false;
        outcome
    }
}
