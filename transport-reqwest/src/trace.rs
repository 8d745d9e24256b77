//! A span for each request. It holds no secret: the token is in a header or in the query, which are left out.

use http::{Request, Response};
use upstash_dlq_core::TransportFailure;

pub(crate) fn span(request: &Request<()>) -> tracing::Span {
    tracing::debug_span!("upstash_dlq.request", method = %request.method(), path = request.uri().path())
}

pub(crate) fn record(result: &Result<Response<Vec<u8>>, TransportFailure>) {
    match result {
        Ok(response) => {
            tracing::debug!(status = response.status().as_u16(), bytes = response.body().len(), "response received");
        }
        Err(failure) => {
            tracing::warn!(delivery = ?failure.delivery, %failure, "no response");
        }
    }
}
