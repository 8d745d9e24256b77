//! What the log tells: a span for each operation and one for each of its requests, and counters.
//!
//! It holds no secret: the token is in a header or in the query, which are left out. The counters are events of the target
//! `upstash_dlq::metrics`, with the field names that `tracing-opentelemetry` makes counters of.

use http::{Request, Response};
use upstash_dlq_core::{Delivery, Event, Halt, Operation, TransportFailure};

/// An event that counts.
macro_rules! count {
    ($($counter:tt)*) => {
        tracing::event!(target: "upstash_dlq::metrics", tracing::Level::DEBUG, $($counter)*)
    };
}

/// The span of a request that is about to be sent.
pub(crate) fn request(request: &Request<()>) -> tracing::Span {
    count!(monotonic_counter.upstash_dlq_requests = 1_u64);
    tracing::debug_span!("upstash_dlq.request", method = %request.method(), path = request.uri().path())
}

/// Tells what came of a request.
pub(crate) fn response(result: &Result<Response<Vec<u8>>, TransportFailure>) {
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

    pub(crate) fn enter(&self) -> tracing::span::EnteredSpan {
        self.span.clone().entered()
    }

    pub(crate) fn on_event<O: Operation>(&mut self, operation: &O, event: &Event<O::Page>) {
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
