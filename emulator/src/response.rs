//! The forms of the service's responses, and why a request is refused.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

/// A status other than success, and what the service says of it.
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

pub(crate) fn plain(status: StatusCode, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn html(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    let mut response = plain(status, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

pub(crate) fn json(value: &serde_json::Value) -> Response<Vec<u8>> {
    plain(StatusCode::OK, value.to_string())
}

pub(crate) fn error(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    plain(status, serde_json::json!({ "error": words }).to_string())
}
