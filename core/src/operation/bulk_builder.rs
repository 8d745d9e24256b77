//! The builder of bulk operations.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::fingerprint::Fingerprint;
use crate::checkpoint::format::Checkpoint;
use crate::engine::outcome::Totals;
use crate::engine::retry::RetryPolicy;
use crate::engine::settings::{MAX_LANES, Settings};
use crate::model::endpoint::Endpoint;
use crate::model::time::UnixMillis;
use crate::operation::archived_delete::{ArchivedDelete, ArchivedDeleteBuilder};
use crate::operation::bulk::Bulk;
use crate::operation::bulk_config::BulkConfig;
use crate::selection::filter::RelativeTimes;
use crate::selection::selected::Selection;
use crate::wire::bulk::{BulkOperation, Delete, StartOperation};
use crate::wire::overrides::Overrides;
use alloc::string::String;
use core::marker::PhantomData;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

/// Collects what a bulk operation acts on, and how. Made by [`Bulk::builder`]. Nothing is sent before the operation is driven.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{BulkDelete, Endpoint, Filter, Operation, Selection, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let filter = Filter::builder().label("red & white").build()?;
/// let mut delete = BulkDelete::builder(endpoint, Selection::Filter(filter)).build();
/// let Step::Send(_, request) = delete.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq?label=red+%26+white&count=100");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkBuilder<O> {
    config: BulkConfig,
    operation: PhantomData<O>,
}

impl<O: BulkOperation> Bulk<O> {
    /// Starts with the defaults: pages of 100 runs (50 for resume and restart), no maximum, one lane, no rate limit, a
    /// verification pass for delete, and the default retry policy with seed 0.
    pub fn builder(endpoint: Endpoint, selection: Selection) -> BulkBuilder<O> {
        let config = BulkConfig {
            fingerprint: Fingerprint::from_selection(&endpoint, &selection),
            settings: Settings::new(endpoint),
            selection,
            relative_times: RelativeTimes::default(),
            now: UnixMillis::new(0),
            page_size: NonZeroU32::MIN,
            max: None,
            verify: O::RETRY_SAFE,
            trust_server: false,
            overrides: Overrides::default(),
            before: 0,
            listed: None,
            carried: Totals::default(),
        };
        BulkBuilder { config, operation: PhantomData }.page_size(NonZeroU32::MIN.saturating_add(99))
    }
}

impl<O: BulkOperation> BulkBuilder<O> {
    /// Sets how many requests may be in flight at once. Any number is accepted, and at most 100,000 are used. `now`, the present,
    /// stands in for a missing `to` when windows are divided. By filter, a resume or restart stays in
    /// one lane. With a refinement it uses all lanes: first to list, then to start batches of ids.
    pub fn lanes(mut self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.config.settings.lanes = lanes.min(MAX_LANES);
        self.config.now = now;
        self
    }

    /// Sets how many requests may be sent in a second, all lanes together. `None` means no limit but the server's own.
    pub fn max_requests_per_second(mut self, limit: Option<NonZeroU32>) -> Self {
        self.config.settings.max_requests_per_second = limit;
        self
    }

    /// Sets how many runs one request may act on (`count`), at most [`BulkOperation::MAX_PAGE_SIZE`]. Has no effect on ids.
    pub fn page_size(mut self, page_size: NonZeroU32) -> Self {
        let max = O::MAX_PAGE_SIZE.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        self.config.page_size = page_size.min(max);
        self
    }

    /// Sets how many runs may be asked for in all. `None` means no maximum.
    pub fn max(mut self, max: Option<NonZeroU64>) -> Self {
        self.config.max = max;
        self
    }

    /// Sets how requests are retried. The random waits depend on `seed` alone.
    pub fn retry(mut self, policy: RetryPolicy, seed: u64) -> Self {
        self.config.settings.policy = policy;
        self.config.settings.seed = seed;
        self
    }

    /// Sets the fingerprint that a checkpoint is recognised by. It is needed if the selection was given in other words than the
    /// resolved ones ("7 days ago"). The default is the fingerprint of the selection.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.config.fingerprint = fingerprint;
        self
    }

    /// Says which times of the selection were given relative to the present. Those in a checkpoint may be earlier. All other
    /// times must be the same.
    pub fn relative_times(mut self, relative_times: RelativeTimes) -> Self {
        self.config.relative_times = relative_times;
        self
    }

    /// Says that the ids are a part of a longer list, whose first `before` ids have been handled. Totals continue from `totals`,
    /// and the maximum counts over all parts. So a list of any length takes no more memory than one part.
    pub fn part(mut self, before: u64, totals: Totals) -> Self {
        self.config.before = before;
        self.config.carried = totals;
        self
    }

    /// Says that a listing of `selection` found the ids, and that their list is stored next to the checkpoint. `digest` identifies
    /// the list. A checkpoint keeps both ([`Checkpoint::id_list`], [`Checkpoint::window`]), and continues with no other list or
    /// selection. Its resolved times replace the ones given here.
    pub fn listed(mut self, selection: Selection, digest: impl Into<String>) -> Self {
        self.config.listed = Some((selection, digest.into()));
        self
    }

    /// The selection.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// Builds the operation, at its start.
    pub fn build(self) -> Bulk<O> {
        Bulk::new(self.config)
    }

    /// Builds the operation, where the checkpoint was taken. The number of lanes may differ. The checkpoint's resolved times
    /// replace the ones given here. A request that was in flight counts as unconfirmed: a delete sends it again, a resume or
    /// restart has to be settled first ([`Bulk::settle`]).
    ///
    /// # Errors
    /// Returns a [`CheckpointError`] if the checkpoint belongs to another operation, endpoint, selection or overrides, or if it
    /// was taken with another page size, maximum or verification.
    pub fn resume_from(self, checkpoint: Checkpoint) -> Result<Bulk<O>, CheckpointError> {
        Bulk::resume(self.config, checkpoint)
    }
}

impl BulkBuilder<Delete> {
    /// Sets whether a verification pass is made: passes are repeated until a whole one finds nothing left. The default is yes.
    pub fn verify(mut self, verify: bool) -> Self {
        self.config.verify = verify;
        self
    }

    /// Sets whether an archived delete trusts that all runs the server lists match the filter. Otherwise a listed run that
    /// does not match halts the operation ([`Halt::Mismatch`](crate::Halt::Mismatch)). The default is no. It is meant for a
    /// service that normalises the values that are compared.
    pub fn trust_server(mut self, trust_server: bool) -> Self {
        self.config.trust_server = trust_server;
        self
    }

    /// Turns this into the builder of an operation that deletes no run before the caller has stored it. Its lanes share windows of
    /// time, or the ids.
    pub fn archived(self) -> ArchivedDeleteBuilder {
        ArchivedDeleteBuilder::new(self.config)
    }

    /// Builds an operation that deletes no run before the caller has stored it. Its lanes share windows of
    /// time, or the ids.
    pub fn build_archived(self) -> ArchivedDelete {
        self.archived().build()
    }
}

impl<O: StartOperation> BulkBuilder<O> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.config.overrides = overrides;
        self
    }
}
