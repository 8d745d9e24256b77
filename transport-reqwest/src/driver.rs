//! Drives an operation: a future for each request in flight, all in the caller's task.
//!
//! ```text
//!   next_step -- Send --> the store saves --> in flight --> landed --> on_response --> the store appends --> the page
//!       |                      | fails: taken back                                         | fails
//!       +-- End, stopped ------+-----------------------------------------------------------+--> nothing more is sent:
//!                                                 what is in flight lands, the store is told how it ended, finished
//! ```
//!
//! One call of the store is awaited at a time. What lands meanwhile waits for its turn.

use crate::budget::OperationNumber;
use crate::client::Client;
use crate::storage::{BoxStorage, Call};
use crate::timer::Timer;
#[cfg(feature = "tracing")]
use crate::trace::OperationSpan;
use futures_core::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use upstash_dlq_core::client::StoreResult;
use upstash_dlq_core::drive::{NextStep, next_step, take_result};
use upstash_dlq_core::engine::{InvalidState, RequestId, StoreFailure};
use upstash_dlq_core::{Driven, Event, Halt, Observer, Operation, TransportFailure};

/// The longest wait before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

type Landed = (RequestId, Result<Response<Vec<u8>>, TransportFailure>);

/// Sends the requests of one operation, which the caller has.
pub(crate) struct Driver<'a, O: Operation> {
    client: Arc<Client>,
    /// For the budget of response bytes.
    number: OperationNumber,
    start: Instant,
    timer: Timer,
    stop: Option<BoxFuture<'a, ()>>,
    /// The store. One that has failed is called no more.
    storage: Option<BoxStorage<'a, O>>,
    failed_storage: Option<BoxStorage<'a, O>>,
    /// What comes after the call of the store that is awaited.
    after: Option<After<O>>,
    in_flight: FuturesUnordered<BoxFuture<'static, Landed>>,
    /// What has landed while the store was called.
    landed: VecDeque<Landed>,
    /// How the operation ended. Nothing more is sent then.
    ended: Option<Driven<O::Outcome>>,
    /// Why it ended from here, if it did.
    reason: Option<Halt>,
    /// Whether pages are handed to a caller who may not come back.
    hands_over: bool,
    is_finished: bool,
    /// Whether a poll has begun and not returned. After a panic, it never did.
    is_polled: bool,
    #[cfg(feature = "tracing")]
    span: OperationSpan,
}

/// What comes after a call of the store.
enum After<O: Operation> {
    Send(RequestId, Request<()>),
    Tell(Event<O::Page>),
    HandOver(O::Page),
    Finish(O::Outcome),
}

impl<'a, O: Operation> Driver<'a, O> {
    /// Whatever drove the operation before is gone.
    pub(crate) fn new(client: Client, operation: &mut O) -> Self {
        operation.connection_lost();
        Self {
            client: Arc::new(client),
            number: OperationNumber::new(),
            start: Instant::now(),
            timer: Timer::default(),
            stop: None,
            storage: None,
            failed_storage: None,
            after: None,
            in_flight: FuturesUnordered::new(),
            landed: VecDeque::new(),
            ended: None,
            reason: None,
            hands_over: false,
            is_finished: false,
            is_polled: false,
            #[cfg(feature = "tracing")]
            span: OperationSpan::new(operation),
        }
    }

    /// Nothing more is sent once `stop` is done.
    pub(crate) fn stop_when(&mut self, stop: Option<BoxFuture<'a, ()>>) {
        self.stop = stop;
    }

    pub(crate) fn store_in(&mut self, storage: Option<BoxStorage<'a, O>>) {
        self.storage = storage;
    }

    /// The caller takes pages, and may not come back for the next one.
    pub(crate) fn hand_over(&mut self) {
        self.hands_over = true;
    }

    /// Nothing more is sent, and the store is not called again.
    fn store_failed(&mut self, failure: StoreFailure) {
        self.failed_storage = self.storage.take();
        self.end(Driven::Stopped);
        self.reason = Some(Halt::StoreFailed(failure));
    }

    fn halted(&self, operation: &O) -> O::Outcome {
        operation.outcome_halted(self.reason.clone().unwrap_or(Halt::Stopped))
    }

    /// How the operation ended.
    pub(crate) fn into_driven(self) -> Driven<O::Outcome> {
        self.ended.unwrap_or(Driven::Stopped)
    }

    /// The outcome, or how the operation stands.
    pub(crate) fn outcome(&self, operation: &O) -> O::Outcome
    where
        O::Outcome: Clone,
    {
        match &self.ended {
            Some(Driven::Done(outcome)) => outcome.clone(),
            _ => self.halted(operation),
        }
    }

    /// The outcome of an operation that is driven no further.
    pub(crate) fn into_outcome(self, operation: &O) -> O::Outcome {
        match self.ended {
            Some(Driven::Done(outcome)) => outcome,
            _ => operation.outcome_halted(self.reason.unwrap_or(Halt::Stopped)),
        }
    }

    /// Gives the operation back. What is in flight is lost, and what was not sent is not.
    pub(crate) fn leave(self, operation: &mut O) {
        let storage = self.storage.or(self.failed_storage);
        let give_up = |operation: &mut O, page: &O::Page| {
            if let Some(storage) = &storage {
                storage.page_given_up(operation, page);
            }
        };
        match self.after {
            // The request is in flight, so this is no invalid state.
            Some(After::Send(id, _)) => drop(operation.cancel_unsent(id)),
            Some(After::Tell(Event::Page(page))) => give_up(operation, &page),
            _ => {}
        }
        // What has landed is known, although nobody hears of it.
        for (id, result) in self.landed {
            if let Ok(Event::Page(page)) = take_result(operation, id, result) {
                give_up(operation, &page);
            }
        }
        operation.connection_lost();
    }

    /// Drives the operation up to the next page. Returns `None` at its end, when nothing is in flight any more.
    pub(crate) fn poll_page(
        &mut self,
        operation: &mut O,
        observer: &mut (impl Observer<O> + ?Sized),
        cx: &mut Context<'_>,
    ) -> Poll<Option<O::Page>> {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        if mem::replace(&mut self.is_polled, true) {
            self.end(Driven::Stopped);
        }
        let polled = self.advance(operation, observer, cx);
        self.is_polled = false;
        polled
    }

    fn advance(
        &mut self,
        operation: &mut O,
        observer: &mut (impl Observer<O> + ?Sized),
        cx: &mut Context<'_>,
    ) -> Poll<Option<O::Page>> {
        while !self.is_finished {
            self.poll_stop(cx);
            if self.after.is_some() {
                if let Poll::Ready(result) = self.poll_store(cx) {
                    self.timer.stop();
                    if let Some(page) = self.on_stored(result, operation, observer) {
                        return Poll::Ready(Some(page));
                    }
                } else {
                    while let Poll::Ready(Some(landed)) = self.in_flight.poll_next_unpin(cx) {
                        self.landed.push_back(landed);
                    }
                    ready!(self.wait(SLICE, observer, cx));
                }
                continue;
            }
            let mut wait = SLICE;
            if self.ended.is_none() {
                let now = self.start.elapsed();
                match next_step(operation, now, observer) {
                    NextStep::End(driven) => {
                        self.end(driven);
                        continue;
                    }
                    NextStep::Send(id, request) => {
                        self.store_and_send(id, request, operation);
                        continue;
                    }
                    NextStep::Wait(Some(until)) => wait = until.saturating_sub(now).min(SLICE),
                    NextStep::Wait(None) => {}
                }
            } else if self.landed.is_empty() && self.in_flight.is_empty() {
                self.finish(operation);
                continue;
            }
            if let Some((id, result)) = self.next_landed(cx) {
                self.timer.stop();
                if let Some(page) = self.on_landed(id, result, operation, observer) {
                    return Poll::Ready(Some(page));
                }
                continue;
            }
            ready!(self.wait(wait, observer, cx));
        }
        Poll::Ready(None)
    }

    /// The first end counts.
    fn end(&mut self, driven: Driven<O::Outcome>) {
        if self.ended.is_none() {
            if let Driven::Stopped = driven {
                self.reason.get_or_insert(Halt::Stopped);
            }
            self.ended = Some(driven);
        }
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_none() && self.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(cx).is_ready()) {
            self.end(Driven::Stopped);
        }
        if self.ended.is_some() {
            self.stop = None;
        }
    }

    fn poll_store(&mut self, cx: &mut Context<'_>) -> Poll<StoreResult> {
        match &mut self.storage {
            Some(storage) => storage.poll(cx).map_ok(|_| ()),
            None => Poll::Ready(Ok(())),
        }
    }

    fn wait(&mut self, wait: Duration, observer: &mut (impl Observer<O> + ?Sized), cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.timer.poll(wait, cx));
        if observer.while_waiting().is_break() {
            self.end(Driven::Stopped);
        }
        Poll::Ready(())
    }

    fn next_landed(&mut self, cx: &mut Context<'_>) -> Option<Landed> {
        if let Some(landed) = self.landed.pop_front() {
            return Some(landed);
        }
        match self.in_flight.poll_next_unpin(cx) {
            Poll::Ready(landed) => landed,
            Poll::Pending => None,
        }
    }

    /// The request counts as in flight, so this is the moment to store that.
    fn store_and_send(&mut self, id: RequestId, request: Request<()>, operation: &O) {
        match self.storage.as_mut().map_or(Call::Nothing, |storage| storage.before_send(operation)) {
            Call::Begun => self.after = Some(After::Send(id, request)),
            Call::Nothing => self.send(id, request),
        }
    }

    fn send(&mut self, id: RequestId, mut request: Request<()>) {
        self.timer.stop();
        let client = Arc::clone(&self.client);
        request.extensions_mut().insert(self.number);
        self.in_flight.push(Box::pin(async move { (id, client.send_held(request).await) }));
    }

    fn on_landed(
        &mut self,
        id: RequestId,
        result: Result<Response<Vec<u8>>, TransportFailure>,
        operation: &mut O,
        observer: &mut (impl Observer<O> + ?Sized),
    ) -> Option<O::Page> {
        let Ok(event) = take_result(operation, id, result) else {
            // This cannot happen, since the request was in flight. Stopping is safe in any case.
            self.end(Driven::Stopped);
            return None;
        };
        #[cfg(feature = "tracing")]
        self.span.on_event(operation, &event);
        if let (Event::Page(page), Some(failed)) = (&event, &self.failed_storage) {
            failed.page_given_up(operation, page);
        }
        if let (Event::Page(page), Some(storage)) = (&event, &mut self.storage) {
            if storage.on_page(page) == Call::Begun {
                self.after = Some(After::Tell(event));
                return None;
            }
        }
        self.tell(event, operation, observer)
    }

    /// Tells the observer. Returns the page, for whoever takes pages.
    fn tell(
        &mut self,
        event: Event<O::Page>,
        operation: &mut O,
        observer: &mut (impl Observer<O> + ?Sized),
    ) -> Option<O::Page> {
        if observer.on_event(operation, &event).is_break() {
            self.end(Driven::Stopped);
        }
        let Event::Page(page) = event else { return None };
        if self.hands_over {
            if let Some(Call::Begun) = self.storage.as_mut().map(|storage| storage.before_hand_over(operation)) {
                self.after = Some(After::HandOver(page));
                return None;
            }
        }
        Some(page)
    }

    fn on_stored(
        &mut self,
        result: StoreResult,
        operation: &mut O,
        observer: &mut (impl Observer<O> + ?Sized),
    ) -> Option<O::Page> {
        let failed = result.err().map(StoreFailure::new);
        match (self.after.take()?, failed) {
            (After::Send(id, request), None) if self.ended.is_none() => self.send(id, request),
            (After::Send(id, _), failed) => {
                // The request is in flight, so this is no invalid state.
                let _ = operation.cancel_unsent(id);
                if let Some(failure) = failed {
                    self.store_failed(failure);
                }
            }
            (After::HandOver(page), failed) => {
                if let Some(failure) = failed {
                    self.store_failed(failure);
                }
                return Some(page);
            }
            (After::Tell(event), None) => {
                if let (Event::Page(page), Some(storage)) = (&event, &self.storage) {
                    if let Err(InvalidState) = storage.page_stored(operation, page) {
                        // Only an observer can have said so before. Stopping is safe in any case.
                        self.end(Driven::Stopped);
                    }
                }
                return self.tell(event, operation, observer);
            }
            (After::Tell(event), Some(failure)) => {
                if let (Event::Page(page), Some(storage)) = (&event, &self.storage) {
                    storage.page_given_up(operation, page);
                }
                self.store_failed(failure);
                // A page that could not be stored is told to the observer, and not handed over.
                let _ = self.tell(event, operation, observer);
            }
            (After::Finish(outcome), failed) => {
                let outcome = match (failed, self.storage.take()) {
                    (Some(failure), Some(storage)) => {
                        self.reason = Some(Halt::StoreFailed(failure.clone()));
                        storage.failed(outcome, failure)
                    }
                    _ => outcome,
                };
                self.finished(Driven::Done(outcome), operation);
            }
        }
        None
    }

    /// Nothing is in flight any more. The store is told how the operation ended.
    fn finish(&mut self, operation: &O) {
        // It stays ended while the store is called: nothing more is sent.
        let driven = self.ended.replace(Driven::Stopped).unwrap_or(Driven::Stopped);
        let Some(mut storage) = self.storage.take() else { return self.finished(driven, operation) };
        let outcome = match driven {
            Driven::Done(outcome) => outcome,
            Driven::Stopped => self.halted(operation),
        };
        let call = storage.end(operation, &outcome);
        self.storage = Some(storage);
        match call {
            Call::Begun => self.after = Some(After::Finish(outcome)),
            Call::Nothing => self.finished(Driven::Done(outcome), operation),
        }
    }

    fn finished(&mut self, driven: Driven<O::Outcome>, operation: &O) {
        #[cfg(feature = "tracing")]
        self.span.end(operation, self.reason.as_ref());
        #[cfg(not(feature = "tracing"))]
        let _ = operation;
        self.ended = Some(driven);
        self.is_finished = true;
    }
}
