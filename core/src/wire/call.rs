//! A call: one request and its response.

use crate::model::endpoint::Endpoint;
use crate::wire::error::ResponseError;
use core::fmt::Debug;
use http::{Request, Response};

/// One request and its response. A [`SingleCall`](crate::SingleCall) sends it, with retries.
pub trait Call: Clone + Debug + Send {
    /// What a successful response says.
    type Output: Clone + Debug + Send;

    /// Whether the request changes nothing.
    const READ_ONLY: bool;

    /// Whether the request may be sent again if it is unknown whether it was carried out.
    const RETRY_SAFE: bool;

    /// Builds the request.
    ///
    /// # Errors
    /// Returns an error only because of a defect in this library: every part of a request is checked where it is made.
    /// Nothing is sent.
    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error>;

    /// Reads the response.
    ///
    /// # Errors
    /// Returns a [`ResponseError`] if the response is not the expected one. After a 2xx that cannot be read or a 5xx
    /// the call may have been carried out all the same.
    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<Self::Output, ResponseError>;
}
