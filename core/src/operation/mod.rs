//! What a caller holds: bulk operations, listings, archived deletes and single calls, their builders and outcomes.
//!
//! Floor 7: an operation is a scheduler with a plan. It does not know who drives it.

pub(crate) mod archived_delete;
pub(crate) mod bulk;
pub(crate) mod bulk_builder;
pub(crate) mod bulk_config;
pub(crate) mod delegate;
pub(crate) mod listing;
pub(crate) mod single_call;

pub use self::archived_delete::ArchivedDelete;
pub use self::bulk::{Bulk, BulkDelete, BulkRestart, BulkResume, InDoubt};
pub use self::bulk_builder::BulkBuilder;
pub use self::listing::{Listing, ListingBuilder};
pub use self::single_call::{SingleCall, SingleCallBuilder};
pub use crate::plan::archive::{ArchiveOutcome, ArchivePage, Batch};
pub use crate::plan::listing_windows::ListingOutcome;
