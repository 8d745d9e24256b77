//! `GET /v2/workflows/dlq`: the request for a page of failed runs, and the page.

use crate::model::cursor::Cursor;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::selection::filter::Filter;
use crate::selection::selected::Selection;
use crate::wire::bound::ResponseBound;
use crate::wire::call::Call;
use crate::wire::error::ResponseError;
use crate::wire::page::{WireCursor, parse_json};
use crate::wire::query::Prefix;
use crate::wire::request;
use alloc::vec::Vec;
use core::fmt;
use http::{Method, Request, Response};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Lists one page of failed runs: `GET /v2/workflows/dlq`.
///
/// ```
/// use upstash_dlq_core::{Endpoint, Token, wire::{Call, List}};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let request = List::everything().page_size(10).to_request(&endpoint)?;
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq?count=10");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct List {
    pub(crate) filter: Option<Filter>,
    pub(crate) page_size: u32,
    pub(crate) cursor: Option<Cursor>,
}

/// One page of failed runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListPage {
    /// The runs, in the order in which the service sent them.
    pub messages: Vec<DlqMessage>,
    /// Where the next page begins. `None` at the end.
    pub cursor: Option<Cursor>,
}

impl ListPage {
    /// A page, as a response says it. For tests of code that gets pages.
    pub fn new(messages: Vec<DlqMessage>, cursor: Option<Cursor>) -> Self {
        Self { messages, cursor }
    }
}

impl List {
    /// The most runs that one page may hold, by the service's OpenAPI description. This is the default.
    pub const MAX_PAGE_SIZE: u32 = 100;

    /// Lists every run in the DLQ.
    pub fn everything() -> Self {
        Self { filter: None, page_size: Self::MAX_PAGE_SIZE, cursor: None }
    }

    /// Lists the runs that match a filter.
    pub fn matching(filter: Filter) -> Self {
        Self { filter: Some(filter), ..Self::everything() }
    }

    /// Lists the runs among which a selection chooses: those of its filter, or all. Ids are not looked up by a listing.
    pub fn for_selection(selection: &Selection) -> Self {
        selection.filter().cloned().map_or_else(Self::everything, Self::matching)
    }

    /// Sets how many runs one page holds. A number outside 1 to [`Self::MAX_PAGE_SIZE`] becomes the nearest in that range.
    pub fn page_size(self, page_size: u32) -> Self {
        Self { page_size: page_size.clamp(1, Self::MAX_PAGE_SIZE), ..self }
    }

    /// The filter. `None` if every run is listed.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Begins after the page that this cursor came with.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::model::Cursor;
    /// use upstash_dlq_core::wire::{Call, List};
    /// let cursor = Cursor::try_from("c+1".to_owned())?; // a page brings it
    /// let request = List::everything().after(cursor).to_request(&endpoint)?;
    /// assert_eq!(request.uri().query(), Some("count=100&cursor=c%2B1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn after(self, cursor: Cursor) -> Self {
        Self { cursor: Some(cursor), ..self }
    }
}

impl List {
    /// The part of the request that does not change from page to page.
    pub(crate) fn prefix(&self, endpoint: &Endpoint) -> Prefix {
        Prefix::new(endpoint.path(PATH), self.filter.as_ref(), self.page_size.into())
    }

    /// The request for a page of at most `count` messages.
    pub(crate) fn page(&self, endpoint: &Endpoint, prefix: &Prefix, count: u32) -> Result<Request<()>, http::Error> {
        let target = prefix.page(count.into(), self.cursor.as_ref(), endpoint.query_overhead());
        let mut request = request::build(endpoint, Method::GET, target, None)?;
        if count == 1 {
            ResponseBound::note_message(&mut request);
        }
        Ok(request)
    }

    pub(crate) fn selection(&self) -> Selection {
        self.filter.clone().map_or(Selection::Everything, Selection::Filter)
    }

    /// Lists another selection with the same page size, from its start.
    pub(crate) fn of(&self, selection: &Selection) -> Self {
        Self { page_size: self.page_size, ..Self::for_selection(selection) }
    }
}

/// The most runs that are read from a page. A server may send more than it was asked for, and each takes memory of its own.
const MAX_MESSAGES: usize = 10_000;

/// The messages of a page. They are read one by one, so only the messages themselves take memory.
struct Messages(Vec<DlqMessage>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<DlqMessage>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<DlqMessage>, A::Error> {
                let mut messages = Vec::new();
                while let Some(raw) = elements.next_element::<&'de RawValue>()? {
                    if messages.len() == MAX_MESSAGES {
                        return Err(A::Error::custom("more than 10,000 messages in one page"));
                    }
                    messages.push(DlqMessage::from_raw(raw));
                }
                Ok(messages)
            }
        }
        deserializer.deserialize_seq(Each).map(Self)
    }
}

const PATH: &str = "/v2/workflows/dlq";

impl Call for List {
    type Output = ListPage;
    const READ_ONLY: bool = true;
    const RETRY_SAFE: bool = true;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        self.page(endpoint, &self.prefix(endpoint), self.page_size)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<ListPage, ResponseError> {
        #[derive(Deserialize)]
        struct Wire {
            messages: Option<Messages>,
            cursor: Option<WireCursor>,
        }
        let wire: Wire = parse_json(response)?;
        if wire.messages.is_none() && wire.cursor.is_none() {
            return Err(ResponseError::unreadable(response, &"neither `messages` nor `cursor`"));
        }
        let messages = wire.messages.map(|Messages(messages)| messages).unwrap_or_default();
        Ok(ListPage { messages, cursor: wire.cursor.and_then(|cursor| cursor.0) })
    }
}
