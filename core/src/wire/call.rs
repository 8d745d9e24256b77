//! One request and its response.

use crate::model::endpoint::Endpoint;
use crate::wire::error::ResponseError;
use http::{Request, Response};

/// One request and its answer. [`Single`](crate::Single) drives it with retries.
pub trait Call {
    /// What the answer says.
    type Output;

    /// Whether the request may be sent again when nobody knows whether it was carried out.
    const REPEATABLE: bool;

    /// # Errors
    /// Never for values that this crate built: every part is checked and bounded where it is made. The error is passed on
    /// rather than ruled out by a panic.
    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error>;

    /// # Errors
    /// An answer that is not the one asked for.
    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<Self::Output, ResponseError>;
}
