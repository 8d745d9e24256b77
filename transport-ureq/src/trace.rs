//! Spans for operations and requests, and counters as events.
//!
//! None of them holds a secret: the token is in a header or in the query, which are left out. A counter is an event at level
//! DEBUG with the target `upstash_dlq::metrics` and one field that begins with `monotonic_counter.`, as metric layers of
//! `tracing` read it.

use http::{Request, Response};
use tracing::field::Empty;
use upstash_dlq_core::{Delivery, Operation, Totals, TransportFailure};

/// An event that counts.
macro_rules! count {
    ($($counter:tt)*) => {
        tracing::event!(target: "upstash_dlq::metrics", tracing::Level::DEBUG, $($counter)*)
    };
}

/// The span of one operation, while it is driven.
pub(crate) fn operation(operation: &impl Operation) -> tracing::Span {
    let name = operation.name();
    tracing::info_span!("upstash_dlq.operation", name, affected = Empty, unconfirmed = Empty, requests = Empty)
}

/// Says in the operation's span what has been done, when it is no longer driven.
pub(crate) fn end(span: &tracing::Span, totals: Totals) {
    span.record("affected", totals.affected);
    span.record("unconfirmed", totals.unconfirmed);
    span.record("requests", totals.requests);
    tracing::debug!(parent: span, affected = totals.affected, unconfirmed = totals.unconfirmed, requests = totals.requests, retries = totals.retries, "no longer driven");
}

/// Counts what one response or failure has changed.
pub(crate) fn progress(before: Totals, after: Totals) {
    let affected = after.affected.saturating_sub(before.affected);
    if affected > 0 {
        count!(monotonic_counter.upstash_dlq_affected = affected);
    }
    let retries = after.retries.saturating_sub(before.retries);
    if retries > 0 {
        count!(monotonic_counter.upstash_dlq_retries = retries);
    }
}

/// The span of one request.
pub(crate) fn request(request: &Request<()>) -> tracing::Span {
    tracing::debug_span!("upstash_dlq.request", method = %request.method(), path = request.uri().path(), status = Empty)
}

/// Says in the request's span what came of it.
pub(crate) fn response(result: &Result<Response<Vec<u8>>, TransportFailure>) {
    count!(monotonic_counter.upstash_dlq_requests = 1_u64);
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::Span::current().record("status", status);
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

/// The subscriber and the span of the caller's thread, for threads that work for it.
pub(crate) struct Context {
    subscriber: tracing::Dispatch,
    span: tracing::Span,
}

impl Context {
    pub(crate) fn new(span: tracing::Span) -> Self {
        Self { subscriber: tracing::dispatcher::get_default(Clone::clone), span }
    }

    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.subscriber, || self.span.in_scope(work))
    }

    pub(crate) fn end(&self, totals: Totals) {
        end(&self.span, totals);
    }
}
