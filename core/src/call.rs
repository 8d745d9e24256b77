use crate::{Endpoint, ResponseError};
use http::{Request, Response};

/// One request and its answer.
pub trait Call {
    /// What the answer says.
    type Output;

    /// # Errors
    /// Never for values that this crate built: every part is checked and bounded where it is made. The error is passed on
    /// rather than ruled out by a panic.
    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error>;

    /// # Errors
    /// An answer that is not the one asked for.
    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<Self::Output, ResponseError>;
}
