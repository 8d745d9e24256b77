//! What the builders of all operations have in common, for clients that offer the same settings for each of them.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::format::Checkpoint;
use crate::engine::operation::Operation;
use crate::engine::retry::RetryPolicy;
use crate::model::time::UnixMillis;
use crate::operation::archived_delete::{ArchivedDelete, ArchivedDeleteBuilder};
use crate::operation::bulk::Bulk;
use crate::operation::bulk_builder::BulkBuilder;
use crate::operation::get_many::{GetMany, GetManyBuilder};
use crate::operation::listing::{Listing, ListingBuilder};
use crate::operation::single_call::{SingleCall, SingleCallBuilder};
use crate::wire::bulk::BulkOperation;
use crate::wire::call::Call;
use core::num::{NonZeroU32, NonZeroUsize};

/// The builder of an operation. Its methods are those of each builder. No other crate can implement it.
pub trait OperationBuilder: sealed::Sealed + Clone {
    /// What it builds.
    type Operation: Operation;

    /// Sets how many requests may be in flight at once. `now`, the present, stands in for a missing `to` when windows are
    /// divided. An operation that has one lane keeps it.
    #[must_use]
    fn lanes(self, lanes: NonZeroUsize, now: UnixMillis) -> Self;

    /// Sets how many requests may be sent in a second, all lanes together. `None` means no limit but the server's own.
    #[must_use]
    fn max_requests_per_second(self, limit: Option<NonZeroU32>) -> Self;

    /// Sets how requests are retried. The random waits depend on `seed` alone.
    #[must_use]
    fn retry(self, policy: RetryPolicy, seed: u64) -> Self;

    /// Builds the operation, at its start.
    fn build(self) -> Self::Operation;

    /// Builds the operation, where the checkpoint was taken.
    ///
    /// # Errors
    /// Returns a [`CheckpointError`] if the checkpoint is of another operation, endpoint or selection, or was taken with other
    /// options. Only bulk operations have checkpoints. Nothing is sent then.
    fn resume_from(self, checkpoint: Checkpoint) -> Result<Self::Operation, CheckpointError> {
        Err(CheckpointError::OtherOperation(checkpoint.0.operation))
    }

    /// Builds the operation, where the checkpoint was taken, or at its start.
    ///
    /// # Errors
    /// See [`Self::resume_from`].
    fn build_at(self, checkpoint: Option<Checkpoint>) -> Result<Self::Operation, CheckpointError> {
        match checkpoint {
            Some(checkpoint) => self.resume_from(checkpoint),
            None => Ok(self.build()),
        }
    }
}

/// Implements the methods that every builder has under the same name.
macro_rules! common {
    () => {
        fn build(self) -> Self::Operation {
            self.build()
        }

        fn max_requests_per_second(self, limit: Option<NonZeroU32>) -> Self {
            self.max_requests_per_second(limit)
        }

        fn retry(self, policy: RetryPolicy, seed: u64) -> Self {
            self.retry(policy, seed)
        }
    };
}

impl<O: BulkOperation> sealed::Sealed for BulkBuilder<O> {}

impl<O: BulkOperation> OperationBuilder for BulkBuilder<O> {
    type Operation = Bulk<O>;

    fn lanes(self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.lanes(lanes, now)
    }

    common!();

    fn resume_from(self, checkpoint: Checkpoint) -> Result<Bulk<O>, CheckpointError> {
        self.resume_from(checkpoint)
    }
}

impl sealed::Sealed for ArchivedDeleteBuilder {}

impl OperationBuilder for ArchivedDeleteBuilder {
    type Operation = ArchivedDelete;

    fn lanes(self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.lanes(lanes, now)
    }

    common!();
}

impl sealed::Sealed for ListingBuilder {}

impl OperationBuilder for ListingBuilder {
    type Operation = Listing;

    fn lanes(self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.lanes(lanes, now)
    }

    common!();
}

impl sealed::Sealed for GetManyBuilder {}

impl OperationBuilder for GetManyBuilder {
    type Operation = GetMany;

    fn lanes(self, lanes: NonZeroUsize, _now: UnixMillis) -> Self {
        self.lanes(lanes)
    }

    common!();
}

impl<C: Call> sealed::Sealed for SingleCallBuilder<C> {}

impl<C: Call> OperationBuilder for SingleCallBuilder<C> {
    type Operation = SingleCall<C>;

    fn lanes(self, _lanes: NonZeroUsize, _now: UnixMillis) -> Self {
        self
    }

    common!();
}

mod sealed {
    pub trait Sealed {}
}
