//! Requests and responses, as they are on the wire.
//!
//! Floor 2: it knows nothing about retries, further pages, or time.

pub(crate) mod bound;
pub(crate) mod bulk;
pub(crate) mod call;
pub(crate) mod error;
pub(crate) mod list;
pub(crate) mod overrides;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod single;

pub use self::bound::ResponseBound;
pub use self::bulk::{BulkOperation, BulkPage, Delete, Restart, Resume, StartOperation};
pub use self::call::Call;
pub use self::error::{ErrorBody, ResponseError};
pub use self::list::{List, ListPage};
pub use self::overrides::{FlowControl, Overrides, OverridesBuilder};
pub use self::page::{DeletePage, StartedPage, StartedRun};
pub use self::single::{CancelCallback, DeleteOne, GetMessage, RestartOne, ResumeOne, RetryCallback};
