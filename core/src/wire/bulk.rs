//! What distinguishes delete, resume and restart; everything else they share.

use crate::model::cursor::Cursor;
use crate::wire::error::ResponseError;
use crate::wire::page::{DeletePage, StartedPage, StartedRun};
use core::fmt::Debug;
use http::{Method, Response};

/// Deletes runs: harmless to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete;

/// Goes on with runs where they failed: starting one twice is not harmless, so that nothing is repeated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume;

/// Starts runs anew: starting one twice is not harmless, so that nothing is repeated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart;

/// [`Delete`], [`Resume`] or [`Restart`].
pub trait BulkOperation: sealed::Sealed + Copy + Debug + Send + Sync + Unpin + 'static {
    /// The answer to one request.
    type Page: BulkPage;
    /// As people say it: `delete`.
    const NAME: &'static str;
    /// Whether a request may be sent again when nobody knows whether it was carried out, and passes be made until one
    /// finds nothing left.
    const RETRY_SAFE: bool;
    /// The most runs that one request may act on, where the service names a bound.
    const MAX_PAGE_SIZE: Option<u32>;
    #[doc(hidden)]
    const METHOD: Method;
    #[doc(hidden)]
    const PATH: &'static str;
    #[doc(hidden)]
    fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self::Page, ResponseError>;
}

/// The answer to one bulk request.
pub trait BulkPage: Clone + Debug + PartialEq + Send + 'static {
    /// How many runs the request acted on.
    fn affected(&self) -> u64;
    /// Where the next page begins.
    fn cursor(&self) -> Option<&Cursor>;
    /// The runs that the request started.
    fn started(&self) -> &[StartedRun] {
        &[]
    }
}

impl BulkPage for DeletePage {
    fn affected(&self) -> u64 {
        self.deleted
    }

    fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }
}

impl BulkPage for StartedPage {
    fn affected(&self) -> u64 {
        self.started.len() as u64
    }

    fn started(&self) -> &[StartedRun] {
        &self.started
    }

    fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }
}

macro_rules! verb {
    ($verb:ty, $page:ty, $name:literal, $method:ident, $path:literal, repeatable: $repeatable:literal, max: $max:expr) => {
        impl BulkOperation for $verb {
            type Page = $page;
            const NAME: &'static str = $name;
            const RETRY_SAFE: bool = $repeatable;
            const MAX_PAGE_SIZE: Option<u32> = $max;
            const METHOD: Method = Method::$method;
            const PATH: &'static str = $path;

            fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self::Page, ResponseError> {
                <$page>::parse(response)
            }
        }
        impl sealed::Sealed for $verb {}
    };
}

verb!(Delete, DeletePage, "delete", DELETE, "/v2/workflows/dlq", repeatable: true, max: None);
verb!(Resume, StartedPage, "resume", POST, "/v2/workflows/dlq/resume", repeatable: false, max: Some(50));
verb!(Restart, StartedPage, "restart", POST, "/v2/workflows/dlq/restart", repeatable: false, max: Some(50));

mod sealed {
    pub trait Sealed {}
}
