//! What the log tells: a span for each operation and one for each of its requests, and counters.
//!
//! It holds no secret: the token is in a header or in the query, which are left out. The counters are events of the target
//! `upstash_dlq::metrics`, with the field names that `tracing-opentelemetry` makes counters of.

use http::{Request, Response};
use std::ops::ControlFlow;
use upstash_dlq_core::{Delivery, Event, Halt, Observer, Operation, TransportFailure};

/// An event that counts.
macro_rules! count {
    ($($counter:tt)*) => {
        tracing::event!(target: "upstash_dlq::metrics", tracing::Level::DEBUG, $($counter)*)
    };
}

/// Sends a request within a span of its own.
pub(crate) fn send(
    request: Request<()>,
    send: impl FnOnce(Request<()>) -> Result<Response<Vec<u8>>, TransportFailure>,
) -> Result<Response<Vec<u8>>, TransportFailure> {
    count!(monotonic_counter.upstash_dlq_requests = 1_u64);
    let span = tracing::debug_span!("upstash_dlq.request", method = %request.method(), path = request.uri().path());
    let _entered = span.entered();
    let result = send(request);
    response(&result);
    result
}

/// Tells what came of a request.
fn response(result: &Result<Response<Vec<u8>>, TransportFailure>) {
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::debug!(status, bytes = response.body().len(), "response received");
            count!(monotonic_counter.upstash_dlq_responses = 1_u64, status = status);
        }
        Err(failure) => {
            tracing::warn!(delivery = ?failure.delivery, %failure, "no response");
            match failure.delivery {
                Delivery::NotSent => count!(monotonic_counter.upstash_dlq_unsent = 1_u64),
                Delivery::Unknown => count!(monotonic_counter.upstash_dlq_unknown = 1_u64),
            }
        }
    }
}

/// The span of an operation, and how much of what it has done was counted.
#[derive(Debug)]
pub(crate) struct OperationSpan {
    span: tracing::Span,
    affected: u64,
}

impl OperationSpan {
    pub(crate) fn new(operation: &impl Operation) -> Self {
        let span = tracing::info_span!("upstash_dlq.operation", operation = operation.name());
        Self { span, affected: operation.totals().affected }
    }

    /// What the threads of lanes need to work within this span.
    pub(crate) fn context(&self) -> Context {
        Context { subscriber: tracing::dispatcher::get_default(Clone::clone), span: self.span.clone() }
    }

    /// The observer, after this.
    pub(crate) fn observe<'a, W: ?Sized>(&'a mut self, observer: &'a mut W) -> Traced<'a, W> {
        Traced { span: self, observer }
    }

    fn on_event<O: Operation>(&mut self, operation: &O, event: &Event<O::Page>) {
        let name = operation.name();
        match event {
            Event::Page(_) => {
                let affected = operation.totals().affected;
                let more = affected.saturating_sub(self.affected);
                self.affected = affected;
                if more > 0 {
                    count!(monotonic_counter.upstash_dlq_affected = more, operation = name);
                }
            }
            Event::Retry(retried) => {
                tracing::debug!(cause = %retried.cause, after = ?retried.after, "the request will be sent again");
                count!(monotonic_counter.upstash_dlq_retries = 1_u64, operation = name);
            }
            _ => {}
        }
    }

    /// Tells how the operation ended. `reason` is why it ended from outside, if it did.
    pub(crate) fn end<O: Operation>(&self, operation: &O, reason: Option<&Halt>) {
        let totals = operation.totals();
        let halt = match (reason, operation.halt()) {
            (Some(Halt::StoreFailed(_)), _) | (_, None) => reason,
            (_, own) => own,
        };
        let outcome = halt.map_or_else(|| "complete".to_owned(), ToString::to_string);
        tracing::info!(
            parent: &self.span,
            affected = totals.affected,
            unconfirmed = totals.unconfirmed,
            pages = totals.pages,
            requests = totals.requests,
            retries = totals.retries,
            outcome,
            "the operation has ended"
        );
    }
}

/// The subscriber of the caller's thread and the operation's span, for threads that work for them.
#[derive(Debug)]
pub(crate) struct Context {
    subscriber: tracing::Dispatch,
    span: tracing::Span,
}

impl Context {
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.subscriber, || self.span.in_scope(work))
    }
}

/// An observer whose events are logged and counted first.
pub(crate) struct Traced<'a, W: ?Sized> {
    span: &'a mut OperationSpan,
    observer: &'a mut W,
}

impl<O: Operation, W: Observer<O> + ?Sized> Observer<O> for Traced<'_, W> {
    fn on_event(&mut self, operation: &mut O, event: &Event<O::Page>) -> ControlFlow<()> {
        self.span.on_event(operation, event);
        self.observer.on_event(operation, event)
    }
}
