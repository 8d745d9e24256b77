//! What the log tells: a span for each operation and one for each of its requests, and counters.
//!
//! It holds no secret: the token is in a header or in the query, which are left out. The counters are events of the target
//! `upstash_dlq::metrics`, with the field names that `tracing-opentelemetry` makes counters of.

use http::{Request, Response};
use tracing::Level;
use upstash_dlq_core::{Delivery, Driven, Event, Halt, Operation, TransportFailure};

/// The target of the counters.
const METRICS: &str = "upstash_dlq::metrics";

pub(crate) fn span(request: &Request<()>) -> tracing::Span {
    tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_requests = 1_u64);
    tracing::debug_span!("upstash_dlq.request", method = %request.method(), path = request.uri().path())
}

pub(crate) fn record(result: &Result<Response<Vec<u8>>, TransportFailure>) {
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            tracing::debug!(status, bytes = response.body().len(), "response received");
            tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_responses = 1_u64, status);
        }
        Err(failure) => {
            tracing::warn!(delivery = ?failure.delivery, %failure, "no response");
            match failure.delivery {
                Delivery::NotSent => {
                    tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_unsent = 1_u64);
                }
                Delivery::Unknown => {
                    tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_unknown = 1_u64);
                }
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
        let (name, lanes) = (operation.name(), operation.concurrency());
        let span = tracing::info_span!("upstash_dlq.operation", operation = name, lanes);
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
                    tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_affected = more, operation = name);
                }
            }
            Event::Retry(retried) => {
                tracing::debug!(cause = %retried.cause, after = ?retried.after, "the request will be sent again");
                tracing::event!(target: METRICS, Level::DEBUG, monotonic_counter.upstash_dlq_retries = 1_u64, operation = name);
            }
            _ => {}
        }
    }

    /// Tells how the operation ended.
    pub(crate) fn end<O: Operation>(&self, operation: &O, driven: &Driven<O::Outcome>, reason: &Halt) {
        let totals = operation.totals();
        let halt = match driven {
            Driven::Done(_) if *reason == Halt::Stopped => operation.halt(),
            _ => Some(operation.halt().unwrap_or(reason)),
        };
        let outcome = halt.map_or_else(|| "complete".to_owned(), ToString::to_string);
        tracing::info!(
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
