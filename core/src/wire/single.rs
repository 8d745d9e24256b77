//! The calls on one run: each is one request and its response.

use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::wire::bound::ResponseBound;
use crate::wire::call::Call;
use crate::wire::error::ResponseError;
use crate::wire::overrides::Overrides;
use crate::wire::page::StartedRun;
use crate::wire::page::parse_json;
use crate::wire::query::push_segment;
use crate::wire::request;
use http::{Method, Request, Response, StatusCode};
use serde_json::value::RawValue;

const DLQ: &str = "/v2/workflows/dlq";

fn build(
    endpoint: &Endpoint,
    method: Method,
    under: &str,
    id: &DlqId,
    overrides: Option<&Overrides>,
) -> Result<Request<()>, http::Error> {
    let mut path = endpoint.path(DLQ);
    path.push_str(under);
    push_segment(&mut path, id.as_str());
    request::build(endpoint, method, path, overrides)
}

/// Fetches one failed run: `GET /v2/workflows/dlq/{dlqId}`.
///
/// ```
/// use upstash_dlq_core::{DlqId, Endpoint, Token, wire::{Call, GetMessage}};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let request = GetMessage(DlqId::new("a/b~ü")?).to_request(&endpoint)?;
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq/a%2Fb%7E%C3%BC");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMessage(pub DlqId);

/// Deletes one run: `DELETE /v2/workflows/dlq/{dlqId}`. A run that is not there is an error here (404), but
/// none for a bulk delete by id.
///
/// ```
/// use upstash_dlq_core::wire::{Call, DeleteOne};
/// use upstash_dlq_core::{DlqId, Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let request = DeleteOne(DlqId::new("a")?).to_request(&endpoint)?;
/// assert_eq!((request.method().as_str(), request.uri().path()), ("DELETE", "/v2/workflows/dlq/a"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOne(pub DlqId);

/// Resumes one run where it failed: `POST /v2/workflows/dlq/resume/{dlqId}`.
///
/// ```
/// use upstash_dlq_core::wire::{Call, ResumeOne, Overrides};
/// use upstash_dlq_core::{DlqId, Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let request = ResumeOne::new(DlqId::new("a")?, Overrides::builder().retries(5).build()?).to_request(&endpoint)?;
/// assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v2/workflows/dlq/resume/a"));
/// assert_eq!(request.headers()["upstash-retries"], "5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResumeOne {
    /// The entry in the DLQ.
    pub id: DlqId,
    /// The options that the new run gets in place of its old ones.
    pub overrides: Overrides,
}

impl ResumeOne {
    /// Resumes the run of this entry with these options in place of its old ones.
    pub fn new(id: DlqId, overrides: Overrides) -> Self {
        Self { id, overrides }
    }
}

/// Restarts one run from its beginning: `POST /v2/workflows/dlq/restart/{dlqId}`.
///
/// ```
/// use upstash_dlq_core::wire::{Call, RestartOne, Overrides};
/// use upstash_dlq_core::{DlqId, Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let request = RestartOne::new(DlqId::new("a")?, Overrides::default()).to_request(&endpoint)?;
/// assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v2/workflows/dlq/restart/a"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartOne {
    /// The entry in the DLQ.
    pub id: DlqId,
    /// The options that the new run gets in place of its old ones.
    pub overrides: Overrides,
}

impl RestartOne {
    /// Restarts the run of this entry with these options in place of its old ones.
    pub fn new(id: DlqId, overrides: Overrides) -> Self {
        Self { id, overrides }
    }
}

/// Sends a failed failure callback again: `POST /v2/workflows/dlq/callback/{dlqId}`.
///
/// ```
/// use upstash_dlq_core::wire::{Call, RetryCallback};
/// use upstash_dlq_core::{DlqId, Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let request = RetryCallback(DlqId::new("a")?).to_request(&endpoint)?;
/// assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v2/workflows/dlq/callback/a"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryCallback(pub DlqId);

/// Cancels a failure callback in progress: `DELETE /v2/workflows/dlq/callback/{dlqId}`. The service confirms it with a 302
/// that names no usable location.
///
/// ```
/// use upstash_dlq_core::wire::{Call, CancelCallback};
/// use upstash_dlq_core::{DlqId, Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let request = CancelCallback(DlqId::new("a")?).to_request(&endpoint)?;
/// assert_eq!((request.method().as_str(), request.uri().path()), ("DELETE", "/v2/workflows/dlq/callback/a"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelCallback(pub DlqId);

impl Call for GetMessage {
    type Output = DlqMessage;
    const READ_ONLY: bool = true;
    const RETRY_SAFE: bool = true;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        let mut request = build(endpoint, Method::GET, "", &self.0, None)?;
        ResponseBound::note_message(&mut request);
        Ok(request)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<DlqMessage, ResponseError> {
        let raw: &RawValue = parse_json(response)?;
        if !raw.get().starts_with('{') {
            return Err(ResponseError::unreadable(response, &"not a JSON object"));
        }
        let message = DlqMessage::from_raw(raw);
        // Every field may be missing: a run without an id is not another run.
        if message.dlq_id_text().is_some_and(|id| id != self.0.as_str()) {
            return Err(ResponseError::OtherRun { status: response.status() });
        }
        Ok(message)
    }
}

impl Call for DeleteOne {
    type Output = ();
    const READ_ONLY: bool = false;
    const RETRY_SAFE: bool = true;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        build(endpoint, Method::DELETE, "", &self.0, None)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<(), ResponseError> {
        // The body is empty, and is not read.
        ResponseError::from_response(response).map_or(Ok(()), Err)
    }
}

impl Call for ResumeOne {
    type Output = StartedRun;
    const READ_ONLY: bool = false;
    const RETRY_SAFE: bool = false;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        build(endpoint, Method::POST, "/resume", &self.id, Some(&self.overrides))
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<StartedRun, ResponseError> {
        parse_json(response)
    }
}

impl Call for RestartOne {
    type Output = StartedRun;
    const READ_ONLY: bool = false;
    const RETRY_SAFE: bool = false;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        build(endpoint, Method::POST, "/restart", &self.id, Some(&self.overrides))
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<StartedRun, ResponseError> {
        parse_json(response)
    }
}

impl Call for RetryCallback {
    type Output = StartedRun;
    const READ_ONLY: bool = false;
    const RETRY_SAFE: bool = false;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        build(endpoint, Method::POST, "/callback", &self.0, None)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<StartedRun, ResponseError> {
        parse_json(response)
    }
}

impl Call for CancelCallback {
    type Output = ();
    const READ_ONLY: bool = false;
    /// A second one would be refused, as if the first had never been carried out.
    const RETRY_SAFE: bool = false;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        build(endpoint, Method::DELETE, "/callback", &self.0, None)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<(), ResponseError> {
        if response.status() == StatusCode::FOUND {
            return Ok(());
        }
        ResponseError::from_response(response).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::Token;
    use alloc::string::ToString;

    fn endpoint() -> Endpoint {
        Endpoint::new("https://h/base", Token::new("t").unwrap()).unwrap()
    }

    fn line(call: &impl Call) -> alloc::string::String {
        let request = call.to_request(&endpoint()).unwrap();
        alloc::format!("{} {}", request.method(), request.uri())
    }

    #[test]
    fn one_run_is_addressed_and_nothing_else() {
        let overrides = Overrides::default;
        let id = || DlqId::new("a?b#c%2e/../*~").unwrap();
        let path = "a%3Fb%23c%252e%2F..%2F*%7E";
        let at = "https://h/base/v2/workflows/dlq";
        assert_eq!(line(&GetMessage(id())), alloc::format!("GET {at}/{path}"));
        assert_eq!(line(&DeleteOne(id())), alloc::format!("DELETE {at}/{path}"));
        assert_eq!(line(&ResumeOne { id: id(), overrides: overrides() }), alloc::format!("POST {at}/resume/{path}"));
        assert_eq!(line(&RestartOne { id: id(), overrides: overrides() }), alloc::format!("POST {at}/restart/{path}"));
        assert_eq!(line(&RetryCallback(id())), alloc::format!("POST {at}/callback/{path}"));
        assert_eq!(line(&CancelCallback(id())), alloc::format!("DELETE {at}/callback/{path}"));
        let parsed = url::Url::parse(&GetMessage(id()).to_request(&endpoint()).unwrap().uri().to_string()).unwrap();
        assert_eq!(parsed.path(), alloc::format!("/base/v2/workflows/dlq/{path}"));
    }

    #[test]
    fn responses() {
        let id = || DlqId::new("a").unwrap();
        let with = |status: u16, body: &'static str| Response::builder().status(status).body(body).unwrap();
        assert!(
            CancelCallback(id()).parse(&with(302, "")).is_ok() && CancelCallback(id()).parse(&with(301, "")).is_err()
        );
        assert!(DeleteOne(id()).parse(&with(200, "")).is_ok() && DeleteOne(id()).parse(&with(302, "")).is_err());
        assert_eq!(RetryCallback(id()).parse(&with(200, r#"{"workflowRunId":"w"}"#)).unwrap().workflow_run_id, "w");
        for body in ["", "[]", "null", "{", "<html>"] {
            assert!(GetMessage(id()).parse(&with(200, body)).is_err(), "{body}");
        }
        assert!(RetryCallback(id()).parse(&with(200, "{}")).is_err());
        let other = GetMessage(id()).parse(&with(200, r#"{"dlqId":"b"}"#));
        assert_eq!(other.unwrap_err(), ResponseError::OtherRun { status: StatusCode::OK });
        for body in [r#"{"dlqId":"b c"}"#, r#"{"dlqId":7}"#, r#"{"dlqId":""}"#] {
            assert!(GetMessage(id()).parse(&with(200, body)).is_err(), "{body}");
        }
        assert_eq!(GetMessage(id()).parse(&with(200, "{}")).unwrap().dlq_id(), None);
    }
}
