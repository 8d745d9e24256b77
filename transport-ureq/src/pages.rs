//! An operation page by page, or item by item.

use crate::client::Client;
use crate::hooks::Hooks;
use crate::trace::OperationSpan;
use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use upstash_dlq_core::operation::{Itemized, Paged};
use upstash_dlq_core::{Driven, Event, Halt, Observer, Operation};

/// The pages of an operation, made by [`Prepared::pages`](crate::Prepared::pages). After an error it ends.
///
/// It sends requests only when it is asked for a page. A drop loses how far the operation has come, unless a store keeps its
/// checkpoints: one is stored before a page is handed over, too. [`Self::into_operation`] keeps the operation. Pages that have
/// arrived and were not taken are lost.
#[must_use = "nothing is sent before `next`"]
pub struct Pages<'a, O: Operation> {
    client: Client,
    operation: O,
    hooks: Hooks<'a, O>,
    span: OperationSpan,
    /// Pages that have arrived and were not handed over.
    ready: VecDeque<O::Page>,
    /// Why the operation ended, until it is told.
    halt: Option<Halt>,
    /// How the operation ended.
    outcome: Option<O::Outcome>,
    /// Whether pages are fetched. After a panic, they still are.
    is_fetching: bool,
}

impl<'a, O: Operation> Pages<'a, O> {
    pub(crate) fn new(client: Client, operation: O, hooks: Hooks<'a, O>) -> Self {
        let span = OperationSpan::new(&operation);
        let ready = VecDeque::new();
        Self { client, operation, hooks, span, ready, halt: None, outcome: None, is_fetching: false }
    }

    /// The operation, for its totals and its checkpoint.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Returns the operation, to be driven on with [`Client::run`] from where it stands. Pages that have arrived and were not
    /// taken are lost.
    pub fn into_operation(self) -> O {
        self.operation
    }
}

impl<'a, O: Paged> Pages<'a, O> {
    /// The outcome, or how the operation stands: halted by [`Halt::Stopped`] if it has not ended.
    pub fn outcome(&self) -> O::Outcome {
        self.outcome.clone().unwrap_or_else(|| self.operation.outcome_halted(self.hooks.reason()))
    }

    /// The single items: listed runs, started runs, fetched runs, or runs that were archived and are deleted.
    pub fn items(self) -> Items<'a, O>
    where
        O: Itemized,
    {
        Items { pages: self, items: Vec::new().into_iter() }
    }

    /// Sends requests until at least one page has arrived, or the operation has ended.
    fn fetch(&mut self) {
        if std::mem::replace(&mut self.is_fetching, true) {
            // An observer or a store has panicked. Nothing more is sent.
            return self.end(Driven::Stopped);
        }
        let mut one = OnePage { hooks: &mut self.hooks, ready: &mut self.ready, is_stopped: false };
        let driven = self.client.drive(&mut self.operation, &mut one, &mut self.span);
        // It goes on after a page. What has stopped without one waits for something that nobody does.
        let goes_on = matches!(driven, Driven::Stopped) && !one.is_stopped && !one.ready.is_empty();
        self.is_fetching = false;
        if !goes_on || self.hooks.before_hand_over(&self.operation).is_err() {
            self.end(driven);
        }
    }

    fn end(&mut self, driven: Driven<O::Outcome>) {
        let was_stopped = matches!(driven, Driven::Stopped);
        let outcome = self.hooks.outcome(&self.operation, driven);
        let outcome = self.hooks.end(&self.operation, outcome);
        let reason = (was_stopped || self.hooks.has_failed()).then(|| self.hooks.reason());
        self.span.end(&self.operation, reason.as_ref());
        self.halt = O::halted(&outcome).cloned();
        self.outcome = Some(outcome);
    }
}

impl<O: Paged> Iterator for Pages<'_, O> {
    type Item = Result<O::Page, Halt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && self.outcome.is_none() {
            self.fetch();
        }
        match self.ready.pop_front() {
            Some(page) => Some(Ok(page)),
            None => self.halt.take().map(Err),
        }
    }
}

/// Keeps the pages, and stops after each.
struct OnePage<'p, 'a, O: Operation> {
    hooks: &'p mut Hooks<'a, O>,
    ready: &'p mut VecDeque<O::Page>,
    /// Whether the application or its store has stopped the operation.
    is_stopped: bool,
}

impl<O: Operation> OnePage<'_, '_, O> {
    fn unless_stopped(&mut self, flow: ControlFlow<()>) -> ControlFlow<()> {
        self.is_stopped |= flow.is_break();
        flow
    }
}

impl<O: Operation<Page: Clone>> Observer<O> for OnePage<'_, '_, O> {
    fn before_send(&mut self, operation: &O) -> ControlFlow<()> {
        let flow = self.hooks.before_send(operation);
        self.unless_stopped(flow)
    }

    fn on_event(&mut self, operation: &mut O, event: &Event<O::Page>) -> ControlFlow<()> {
        let flow = self.hooks.on_event(operation, event);
        let flow = self.unless_stopped(flow);
        match event {
            // A page that the store could not keep is not handed over.
            Event::Page(page) if !self.hooks.has_failed() => {
                self.ready.push_back(page.clone());
                ControlFlow::Break(())
            }
            _ => flow,
        }
    }

    fn before_wait(&mut self, operation: &mut O) -> ControlFlow<(), bool> {
        let flow = self.hooks.before_wait(operation);
        self.is_stopped |= flow.is_break();
        flow
    }

    fn while_waiting(&mut self) -> ControlFlow<()> {
        let flow = self.hooks.while_waiting();
        self.unless_stopped(flow)
    }
}

/// The items of an operation, one after another. After an error it ends.
#[must_use = "nothing is sent before `next`"]
pub struct Items<'a, O: Itemized> {
    pages: Pages<'a, O>,
    items: std::vec::IntoIter<<O as Itemized>::Item>,
}

impl<O: Itemized> Items<'_, O> {
    /// See [`Pages::operation`].
    pub fn operation(&self) -> &O {
        self.pages.operation()
    }

    /// See [`Pages::outcome`].
    pub fn outcome(&self) -> O::Outcome {
        self.pages.outcome()
    }

    /// See [`Pages::into_operation`]. The items of the last page that were not taken are lost.
    pub fn into_operation(self) -> O {
        self.pages.into_operation()
    }
}

impl<O: Itemized> Iterator for Items<'_, O> {
    type Item = Result<<O as Itemized>::Item, Halt>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(item));
            }
            match self.pages.next()? {
                Ok(page) => self.items = O::items(page).into_iter(),
                Err(halt) => return Some(Err(halt)),
            }
        }
    }
}

impl<O: Operation> fmt::Debug for Pages<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("operation", &self.operation.name()).finish_non_exhaustive()
    }
}

impl<O: Itemized> fmt::Debug for Items<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}
