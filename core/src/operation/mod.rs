//! What a caller holds: bulk operations, listings, archived deletes and single calls, their builders and outcomes.
//!
//! Floor 7: an operation is a scheduler with a plan. It does not know who drives it.

pub(crate) mod archived_delete;
pub(crate) mod builder;
pub(crate) mod bulk;
pub(crate) mod bulk_builder;
pub(crate) mod bulk_config;
pub(crate) mod delegate;
pub(crate) mod get_many;
pub(crate) mod incomplete;
pub(crate) mod listing;
pub(crate) mod outcome;
pub(crate) mod paged;
pub(crate) mod single_call;

pub use self::archived_delete::{ArchivedDelete, ArchivedDeleteBuilder};
pub use self::builder::OperationBuilder;
pub use self::bulk::{Bulk, BulkDelete, BulkRestart, BulkResume, InDoubt};
pub use self::bulk_builder::BulkBuilder;
pub use self::get_many::{GetMany, GetManyBuilder};
pub use self::incomplete::Incomplete;
pub use self::listing::{Listing, ListingBuilder};
pub use self::outcome::{Completed, Outcome};
pub use self::paged::{Itemized, Paged};
pub use self::single_call::{SingleCall, SingleCallBuilder};
pub use crate::plan::archive::{ArchiveOutcome, ArchivePage, Batch};
pub use crate::plan::fetches::{Fetched, GetManyOutcome};
pub use crate::plan::listing_windows::ListingOutcome;
