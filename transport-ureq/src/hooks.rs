//! What happens around the requests of an operation: its observer, its stores, and what stops it.

use crate::client::Client;
use crate::trace::OperationSpan;
use std::error::Error;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore, StoreResult};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage, Bulk};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{ArchivedDelete, Checkpoint, Driven, Event, Halt, Observer, Operation, Outcome};

/// Everything that an application has set around the requests.
pub(crate) struct Hooks<'a, O: Operation> {
    pub(crate) observer: Option<Box<dyn Observer<O> + Send + 'a>>,
    pub(crate) is_stopped: Option<Box<dyn FnMut() -> bool + Send + 'a>>,
    /// Put aside when it fails, so that it is not called again.
    pub(crate) storage: Option<Box<dyn Storage<O> + Send + 'a>>,
    /// The storage that has failed.
    pub(crate) failed: Option<Box<dyn Storage<O> + Send + 'a>>,
    /// Why the store failed.
    pub(crate) failure: Option<StoreFailure>,
}

impl<O: Operation> Default for Hooks<'_, O> {
    fn default() -> Self {
        Self { observer: None, is_stopped: None, storage: None, failed: None, failure: None }
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

    /// What is in the page is not stored, because the store has failed.
    fn page_given_up(&self, _operation: &mut O, _page: &O::Page) {}

    /// Called before pages are handed to a caller who may stop there.
    fn before_hand_over(&mut self, _operation: &O) -> StoreResult {
        Ok(())
    }

    fn end(&mut self, operation: &O, outcome: &O::Outcome) -> StoreResult;

    /// The outcome of an operation whose store failed at its end.
    fn failed(&self, outcome: O::Outcome, failure: StoreFailure) -> O::Outcome;
}

impl<O: Operation> Hooks<'_, O> {
    /// Calls the store. One that fails is not called again.
    fn store<T>(&mut self, call: impl FnOnce(&mut dyn Storage<O>) -> StoreResult<T>) -> Result<Option<T>, Halt> {
        // Taken out: a store that panics is not called again, either.
        let Some(mut storage) = self.storage.take() else { return Ok(None) };
        match call(&mut *storage) {
            Ok(value) => {
                self.storage = Some(storage);
                Ok(Some(value))
            }
            Err(error) => {
                self.failed = Some(storage);
                Err(Halt::StoreFailed(self.fail(error)))
            }
        }
    }

    fn fail(&mut self, error: Box<dyn Error + Send + Sync>) -> StoreFailure {
        self.failure.insert(StoreFailure::new(error)).clone()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Runs the operation to its end, and tells the store how it ended.
    pub(crate) fn run(&mut self, client: &Client, operation: &mut O) -> O::Outcome
    where
        O: Operation<Outcome: Send> + Send,
    {
        let mut span = OperationSpan::new(operation);
        let driven = catch_unwind(AssertUnwindSafe(|| client.drive(operation, self, &mut span)));
        let was_stopped = !matches!(driven, Ok(Driven::Done(_)));
        let (outcome, panic) = match driven {
            Ok(driven) => (self.outcome(operation, driven), None),
            // What is known is stored before the panic goes on.
            Err(panic) => (operation.outcome_halted(Halt::Stopped), Some(panic)),
        };
        let outcome = self.end(operation, outcome);
        span.end(operation, (was_stopped || self.has_failed()).then(|| self.reason()).as_ref());
        match panic {
            Some(panic) => resume_unwind(panic),
            None => outcome,
        }
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

    pub(crate) fn outcome(&self, operation: &O, driven: Driven<O::Outcome>) -> O::Outcome {
        match driven {
            Driven::Done(outcome) => outcome,
            Driven::Stopped => operation.outcome_halted(self.reason()),
        }
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
            Err(error) => storage.failed(outcome, self.fail(error)),
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
            Event::Page(page) => {
                let stored = self.store(|storage| storage.on_page(operation, page));
                if let Some(failed) = &self.failed {
                    failed.page_given_up(operation, page);
                }
                stored
            }
            _ => Ok(None),
        };
        // The observer hears of the event in any case.
        let observed = match &mut self.observer {
            Some(observer) => observer.on_event(operation, event),
            None => ControlFlow::Continue(()),
        };
        if stored.is_err() {
            return ControlFlow::Break(());
        }
        observed?;
        self.unless_stopped()
    }

    fn before_wait(&mut self, operation: &mut O) -> ControlFlow<(), bool> {
        match &mut self.observer {
            Some(observer) => observer.before_wait(operation),
            None => ControlFlow::Continue(false),
        }
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

    fn failed(&self, mut outcome: Outcome, failure: StoreFailure) -> Outcome {
        outcome.halted = Some(failure.after(outcome.halted.as_ref()));
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

    fn page_given_up(&self, operation: &mut ArchivedDelete, page: &ArchivePage) {
        if let Some(batch) = &page.batch {
            // The batch waits to be stored, so this is no invalid state.
            let _ = operation.not_stored(batch.number);
        }
    }

    fn end(&mut self, _operation: &ArchivedDelete, outcome: &ArchiveOutcome) -> StoreResult {
        if outcome.archived > 0 { self.0.finish() } else { Ok(()) }
    }

    fn failed(&self, mut outcome: ArchiveOutcome, failure: StoreFailure) -> ArchiveOutcome {
        outcome.halted = Some(failure.after(outcome.halted.as_ref()));
        outcome.verified = false;
        outcome
    }
}
