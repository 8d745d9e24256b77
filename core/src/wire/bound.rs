//! Which bound holds for the body of a response. What it is in bytes, the transport knows.

use http::Request;

/// Which bound holds for the body of the response to a request. A request for a single message has an extension
/// `ResponseBound::Message`; every other request has none, and its response is bounded as a page.
///
/// A page that is too large is asked for again with fewer messages. One message cannot be made smaller, so its bound is larger.
///
/// ```
/// use upstash_dlq_core::{DlqId, Endpoint, Token, wire::{Call, GetMessage, List, ResponseBound}};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let bound = |request: http::Request<()>| ResponseBound::of(&request);
/// assert_eq!(bound(List::everything().to_request(&endpoint)?), ResponseBound::Page);
/// assert_eq!(bound(List::everything().page_size(1).to_request(&endpoint)?), ResponseBound::Message);
/// assert_eq!(bound(GetMessage(DlqId::new("a")?).to_request(&endpoint)?), ResponseBound::Message);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseBound {
    /// A page of messages, a count, or anything else.
    #[default]
    Page,
    /// One message: the response to [`GetMessage`](crate::wire::GetMessage), or a listed page of one.
    Message,
}

impl ResponseBound {
    /// The bound of this request's response.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_default()
    }

    /// Notes in the request that its response is one message. A page is not noted: it would cost every page an allocation.
    pub(crate) fn note_message(request: &mut Request<()>) {
        request.extensions_mut().insert(Self::Message);
    }
}
