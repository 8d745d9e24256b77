//! How delete, resume and restart differ. They share everything else.

use crate::model::cursor::Cursor;
use crate::wire::error::ResponseError;
use crate::wire::page::{DeletePage, StartedPage, StartedRun};
use alloc::vec::Vec;
use core::fmt::Debug;
use http::{Method, Response};

/// Deletes runs. A request is safe to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete;

/// Resumes runs where they failed. A repeated request could start a run twice, so none is repeated automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume;

/// Restarts runs from their beginning. A repeated request could start a run twice, so none is repeated automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart;

/// [`Delete`], [`Resume`] or [`Restart`].
pub trait BulkOperation: sealed::Sealed + Copy + Debug + Send + Sync + Unpin + 'static {
    /// What the response to one request says.
    type Page: BulkPage;
    /// The operation in one word, such as `delete`.
    const NAME: &'static str;
    /// Whether a request may be sent again if it is unknown whether it was carried out. Then passes can be made until one finds
    /// nothing left, too.
    const RETRY_SAFE: bool;
    /// The most runs that one request may act on. `None` if the service documents no limit.
    const MAX_PAGE_SIZE: Option<u32>;
    #[doc(hidden)]
    const METHOD: Method;
    #[doc(hidden)]
    const PATH: &'static str;
    #[doc(hidden)]
    fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self::Page, ResponseError>;
}

/// [`Resume`] or [`Restart`]: it starts runs.
pub trait StartOperation: BulkOperation<Page = StartedPage> {}

impl StartOperation for Resume {}
impl StartOperation for Restart {}

/// What the response to one bulk request says: a [`DeletePage`] or a [`StartedPage`].
pub trait BulkPage: sealed::Sealed + Clone + Debug + PartialEq + Send + 'static {
    /// How many runs the request acted on.
    fn affected(&self) -> u64;
    /// Where the next page begins. `None` at the end.
    fn cursor(&self) -> Option<&Cursor>;
    /// A page that says that nothing was acted on, and that nothing follows.
    fn nothing() -> Self;
    /// The runs that the request started. Empty for a delete.
    fn started(&self) -> &[StartedRun] {
        &[]
    }
}

impl sealed::Sealed for DeletePage {}
impl sealed::Sealed for StartedPage {}

impl BulkPage for DeletePage {
    fn nothing() -> Self {
        Self { deleted: 0, cursor: None }
    }

    fn affected(&self) -> u64 {
        self.deleted
    }

    fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }
}

impl BulkPage for StartedPage {
    fn nothing() -> Self {
        Self { started: Vec::new(), cursor: None }
    }

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

macro_rules! bulk_operation {
    ($operation:ty, $page:ty, $name:literal, $method:ident, $path:literal, retry_safe: $retry_safe:literal, max: $max:expr) => {
        impl BulkOperation for $operation {
            type Page = $page;
            const NAME: &'static str = $name;
            const RETRY_SAFE: bool = $retry_safe;
            const MAX_PAGE_SIZE: Option<u32> = $max;
            const METHOD: Method = Method::$method;
            const PATH: &'static str = $path;

            fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self::Page, ResponseError> {
                <$page>::parse(response)
            }
        }
        impl sealed::Sealed for $operation {}
    };
}

bulk_operation!(Delete, DeletePage, "delete", DELETE, "/v2/workflows/dlq", retry_safe: true, max: None);
bulk_operation!(Resume, StartedPage, "resume", POST, "/v2/workflows/dlq/resume", retry_safe: false, max: Some(50));
bulk_operation!(Restart, StartedPage, "restart", POST, "/v2/workflows/dlq/restart", retry_safe: false, max: Some(50));

mod sealed {
    pub trait Sealed {}
}
