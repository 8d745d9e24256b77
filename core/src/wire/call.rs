//! One request and its response.

use crate::model::endpoint::Endpoint;
use crate::wire::error::ResponseError;
use core::fmt::Debug;
use http::{Request, Response};

/// One request and its response. A [`SingleCall`](crate::SingleCall) sends it, with retries.
pub trait Call: Clone + Debug + Send {
    /// What the response says.
    type Output: Clone + Debug + Send;

    /// Whether the request changes nothing.
    const READ_ONLY: bool;

    /// Whether the request may be sent again when nobody knows whether it was carried out.
    const RETRY_SAFE: bool;

    /// # Errors
    /// Never for values that this crate built: every part is checked and bounded where it is made. The error is passed on
    /// rather than ruled out by a panic.
    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error>;

    /// # Errors
    /// An answer that is not the one asked for.
    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<Self::Output, ResponseError>;
}
