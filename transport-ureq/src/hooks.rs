//! What happens around the requests of an operation: its observer, its stores, and what stops it.

use std::ops::ControlFlow;
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore, StoreResult};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage, Bulk};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{ArchivedDelete, Checkpoint, Event, Halt, Observer, Operation, Outcome};

/// Everything that an application has set around the requests.
pub(crate) struct Hooks<'a, O: Operation> {
    pub(crate) observer: Option<Box<dyn Observer<O> + Send + 'a>>,
    pub(crate) is_stopped: Option<Box<dyn FnMut() -> bool + Send + 'a>>,
    /// Dropped when it fails, so that it is not called again.
    pub(crate) storage: Option<Box<dyn Storage<O> + Send + 'a>>,
    /// Why the store failed.
    pub(crate) failure: Option<StoreFailure>,
}

impl<O: Operation> Default for Hooks<'_, O> {
    fn default() -> Self {
        Self { observer: None, is_stopped: None, storage: None, failure: None }
    }
}

/// What a store does for one kind of operation.
pub(crate) trait Storage<O: Operation> {
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        Ok(None)
    }

    fn before_send(&mut self, _operation: &O) -> StoreResult {
        Ok(())
    }

    fn on_page(&mut self, _operation: &mut O, _page: &O::Page) -> StoreResult {
        Ok(())
    }

    /// Called before pages are handed to a caller who may stop there.
    fn before_hand_over(&mut self, _operation: &O) -> StoreResult {
        Ok(())
    }

    fn end(&mut self, operation: &O, outcome: &O::Outcome) -> StoreResult;

    /// The outcome of an operation whose store failed at its end.
    fn failed(&self, outcome: O::Outcome, halt: Halt) -> O::Outcome;
}

impl<O: Operation> Hooks<'_, O> {
    /// Calls the store. One that fails is not called again.
    fn store<T>(&mut self, call: impl FnOnce(&mut dyn Storage<O>) -> StoreResult<T>) -> Result<Option<T>, Halt> {
        let Some(storage) = &mut self.storage else { return Ok(None) };
        call(&mut **storage).map(Some).map_err(|error| {
            self.storage = None;
            let failure = StoreFailure::new(error);
            self.failure = Some(failure.clone());
            Halt::StoreFailed(failure)
        })
    }

    /// The checkpoint that the store has.
    pub(crate) fn load(&mut self) -> Result<Option<Checkpoint>, Halt> {
        self.store(|storage| storage.load()).map(Option::flatten)
    }

    /// Stores that nothing is in flight, because whoever takes a page may not come back for the next one.
    pub(crate) fn before_hand_over(&mut self, operation: &O) -> Result<(), Halt> {
        self.store(|storage| storage.before_hand_over(operation)).map(drop)
    }

    fn unless_stopped(&mut self) -> ControlFlow<()> {
        let is_stopped = self.is_stopped.as_mut().is_some_and(|is_stopped| is_stopped());
        if is_stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Why the operation was stopped from here.
    pub(crate) fn reason(&self) -> Halt {
        self.failure.clone().map_or(Halt::Stopped, Halt::StoreFailed)
    }

    /// Tells the store how the operation ended.
    pub(crate) fn end(&mut self, operation: &O, outcome: O::Outcome) -> O::Outcome {
        let Some(mut storage) = self.storage.take() else { return outcome };
        match storage.end(operation, &outcome) {
            Ok(()) => outcome,
            Err(error) => storage.failed(outcome, Halt::StoreFailed(StoreFailure::new(error))),
        }
    }
}

impl<O: Operation> Observer<O> for Hooks<'_, O> {
    fn before_send(&mut self, operation: &O) -> ControlFlow<()> {
        if self.failure.is_some() {
            return ControlFlow::Break(());
        }
        self.unless_stopped()?;
        if let Some(observer) = &mut self.observer {
            observer.before_send(operation)?;
        }
        // Last, so that a request in a saved checkpoint is sent.
        match self.store(|storage| storage.before_send(operation)) {
            Ok(_) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn on_event(&mut self, operation: &mut O, event: &Event<O::Page>) -> ControlFlow<()> {
        let stored = match event {
            Event::Page(page) => self.store(|storage| storage.on_page(operation, page)),
            _ => Ok(None),
        };
        // The observer hears of the event in any case.
        let observed = match &mut self.observer {
            Some(observer) => observer.on_event(operation, event),
            None => ControlFlow::Continue(()),
        };
        if stored.is_err() { ControlFlow::Break(()) } else { observed }
    }

    fn while_waiting(&mut self) -> ControlFlow<()> {
        self.unless_stopped()?;
        self.observer.as_mut().map_or(ControlFlow::Continue(()), |observer| observer.while_waiting())
    }
}

/// Keeps the checkpoints of a bulk operation.
pub(crate) struct Checkpoints<S>(pub(crate) S);

impl<O: BulkOperation, S: CheckpointStore> Storage<Bulk<O>> for Checkpoints<S> {
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        self.0.load()
    }

    fn before_send(&mut self, operation: &Bulk<O>) -> StoreResult {
        self.0.save(&operation.checkpoint())
    }

    fn before_hand_over(&mut self, operation: &Bulk<O>) -> StoreResult {
        self.0.save(&operation.checkpoint())
    }

    fn end(&mut self, operation: &Bulk<O>, outcome: &Outcome) -> StoreResult {
        if outcome.halted.is_some() { self.0.save(&operation.checkpoint()) } else { self.0.remove() }
    }

    fn failed(&self, mut outcome: Outcome, halt: Halt) -> Outcome {
        replace(&mut outcome.halted, halt);
        outcome.verified = false;
        outcome
    }
}

/// Keeps the runs that an archived delete deletes.
pub(crate) struct Archive<S>(pub(crate) S);

impl<S: ArchiveStore> Storage<ArchivedDelete> for Archive<S> {
    fn on_page(&mut self, operation: &mut ArchivedDelete, page: &ArchivePage) -> StoreResult {
        if let Some(batch) = &page.batch {
            self.0.append(&batch.messages)?;
            operation.stored(batch.number)?;
        }
        Ok(())
    }

    fn end(&mut self, _operation: &ArchivedDelete, outcome: &ArchiveOutcome) -> StoreResult {
        if outcome.archived > 0 { self.0.finish() } else { Ok(()) }
    }

    fn failed(&self, mut outcome: ArchiveOutcome, halt: Halt) -> ArchiveOutcome {
        replace(&mut outcome.halted, halt);
        outcome.verified = false;
        outcome
    }
}

/// A halt of the operation's own says more than that of its store.
fn replace(halted: &mut Option<Halt>, halt: Halt) {
    if matches!(halted, None | Some(Halt::Stopped)) {
        *halted = Some(halt);
    }
}
