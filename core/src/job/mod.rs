//! One lane's work, a page at a time: bulk pages, batches of ids, listings, runs that are fetched by their ids, and single calls.
//!
//! Floor 4: a job knows nothing about retries, time, other lanes or a maximum.

pub(crate) mod batch;
pub(crate) mod call;
pub(crate) mod chosen;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod page_size;
pub(crate) mod pages;
