//! Builds a request from a method, a target and overrides.

use crate::model::endpoint::Endpoint;
use crate::wire::overrides::Overrides;
use alloc::string::String;
use http::{Method, Request};

/// Builds a request. `target` is the encoded path and query.
pub(crate) fn build(
    endpoint: &Endpoint,
    method: Method,
    target: String,
    overrides: Option<&Overrides>,
) -> Result<Request<()>, http::Error> {
    let mut request = endpoint.request(method, target, overrides.map_or(0, Overrides::len))?;
    if let Some(overrides) = overrides {
        overrides.write(request.headers_mut());
    }
    Ok(request)
}
