//! Puts a method, a target and the settings of started runs into one request.

use crate::model::endpoint::Endpoint;
use crate::wire::overrides::Overrides;
use alloc::string::String;
use http::{Method, Request};

/// `target` is the path and the query, encoded.
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
