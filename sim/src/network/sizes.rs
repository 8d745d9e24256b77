//! What a client does not read because it is too large, cursors that are bound to the size of a page, and dates that are passed
//! over.

use crate::network::Network;
use crate::schedule::{Fate, Property};
use http::{Method, Request, Response, StatusCode, Uri};
use upstash_dlq_core::TransportFailure;
use upstash_dlq_core::client::response_too_large;

/// The bound that a client names after a response which is too large for reasons of its own, in bytes.
const SOME_BOUND: usize = 4_000;

impl Network {
    /// The response, if the client reads that much.
    pub(super) fn read(
        &self,
        request: &Request<()>,
        fate: Option<Fate>,
        response: Response<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        if fate == Some(Fate::TooLarge) {
            return Err(response_too_large(SOME_BOUND));
        }
        let bounds = self.world.schedule.properties().filter_map(|property| match property {
            Property::LargestBody(bound) => Some(bound as usize),
            _ => None,
        });
        match bounds.min() {
            Some(bound) if *request.method() == Method::GET && response.body().len() > bound => {
                Err(response_too_large(bound))
            }
            _ => Ok(response),
        }
    }

    /// What every cursor of this request's listing begins with, if cursors are bound to the count. `None` otherwise.
    pub(super) fn bond(&self, request: &Request<()>) -> Option<String> {
        let is_bound = self.world.schedule.has(|property| property == Property::CountBoundCursors);
        let is_listing = request.method() == Method::GET && request.uri().path() == "/v2/workflows/dlq";
        let count = value(request, "count").unwrap_or_default();
        (is_bound && is_listing).then(|| format!("n{count}-"))
    }

    /// The request as the service understands it, which knows no such bonds and may pass over dates.
    ///
    /// # Errors
    /// Returns the refusal of a cursor that came with another count.
    #[expect(clippy::result_large_err, reason = "it is the response that is sent at once")]
    pub(super) fn as_understood(&self, number: usize, request: &Request<()>) -> Result<Request<()>, Response<Vec<u8>>> {
        let unbound = self.unbound(request)?;
        let is_lost = |property| matches!(property, Property::ListingLosesDates(from) if number >= from as usize);
        if request.method() != Method::GET || !self.world.schedule.has(is_lost) {
            return Ok(unbound);
        }
        let (path, query) = (unbound.uri().path(), unbound.uri().query().unwrap_or_default());
        let is_date = |pair: &&str| pair.starts_with("fromDate=") || pair.starts_with("toDate=");
        let kept: Vec<&str> = query.split('&').filter(|pair| !is_date(pair)).collect();
        let bare = format!("https://service.invalid{path}?{}", kept.join("&"));
        Ok(with_uri(&unbound, &bare))
    }

    #[expect(clippy::result_large_err, reason = "it is the response that is sent at once")]
    fn unbound(&self, request: &Request<()>) -> Result<Request<()>, Response<Vec<u8>>> {
        let (Some(bond), Some(cursor)) = (self.bond(request), value(request, "cursor")) else {
            return Ok(request.clone());
        };
        if !cursor.starts_with(&bond) {
            let mut refusal = Response::new(br#"{"error":"the cursor belongs to another count"}"#.to_vec());
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refusal);
        }
        let bare = request.uri().to_string().replacen(&format!("cursor={bond}"), "cursor=", 1);
        Ok(with_uri(request, &bare))
    }
}

/// The same request with another address.
fn with_uri(request: &Request<()>, address: &str) -> Request<()> {
    let mut request = request.clone();
    if let Ok(uri) = address.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

/// The value of a name in the query of a request.
fn value(request: &Request<()>, wanted: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
}
