//! The builder of bulk operations.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::fingerprint::Fingerprint;
use crate::checkpoint::format::Checkpoint;
use crate::engine::retry::RetryPolicy;
use crate::engine::settings::{MAX_LANES, Settings};
use crate::engine::totals::Totals;
use crate::model::endpoint::Endpoint;
use crate::model::time::UnixMillis;
use crate::operation::archived_delete::{ArchivedDelete, ArchivedDeleteBuilder};
use crate::operation::bulk::{Bulk, is_resumable};
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
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::{BulkDelete, Ids, Operation, Selection, UnixMillis};
    /// let present = UnixMillis::new(1_764_000_000_000);
    /// let ids = Selection::Ids(Ids::parse((0..10_000).map(|n| format!("1752829295505-{n}")))?);
    /// let delete = BulkDelete::builder(endpoint, ids).lanes(16.try_into()?, present).build();
    /// assert_eq!(delete.concurrency(), 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Sets how many runs one request may act on (`count`), at most [`BulkOperation::MAX_PAGE_SIZE`]. Has no effect on ids. With a
    /// refinement, it is how many runs a page of the listing shows; what matches is acted on in batches of ids.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::{BulkResume, Operation, Selection, Step};
    /// let mut resume = BulkResume::builder(endpoint, Selection::Everything).page_size(1_000.try_into()?).build();
    /// let Step::Send(_, request) = resume.poll(std::time::Duration::ZERO) else { panic!() };
    /// assert_eq!(request.uri().query(), Some("count=50"), "the service starts no more at once");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn page_size(mut self, page_size: NonZeroU32) -> Self {
        let max = O::MAX_PAGE_SIZE.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        self.config.page_size = page_size.min(max);
        self
    }

    /// Sets how many runs may be asked for in all. `None` means no maximum.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use std::num::NonZeroU64;
    /// use upstash_dlq_core::{BulkDelete, Operation, Selection, Step};
    /// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).max(NonZeroU64::new(7)).build();
    /// let Step::Send(_, request) = delete.poll(std::time::Duration::ZERO) else { panic!() };
    /// assert_eq!(request.uri().query(), Some("count=7"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::checkpoint::Fingerprint;
    /// use upstash_dlq_core::selection::RelativeTimes;
    /// use upstash_dlq_core::{BulkDelete, Filter, Selection, UnixMillis};
    /// // "Up to now", by a process that calls it every hour.
    /// let up_to = |present| {
    ///     let to = Filter::builder().to(UnixMillis::new(present)).build()?;
    ///     let words = Fingerprint::from_pairs(&endpoint, [("to", "now")]);
    ///     let relative_times = RelativeTimes { to: true, ..RelativeTimes::default() };
    ///     let builder = BulkDelete::builder(endpoint.clone(), Selection::Filter(to));
    ///     Ok::<_, upstash_dlq_core::model::FieldError>(builder.fingerprint(words).relative_times(relative_times))
    /// };
    /// let saved = up_to(1_764_000_000_000)?.build().checkpoint();
    /// let continued = up_to(1_764_003_600_000)?.resume_from(saved)?;
    /// let filter = continued.selection().filter().unwrap();
    /// assert_eq!(filter.to(), Some(UnixMillis::new(1_764_000_000_000)), "the checkpoint's time counts");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn relative_times(mut self, relative_times: RelativeTimes) -> Self {
        self.config.relative_times = relative_times;
        self
    }

    /// Says that the ids are a part of a longer list, whose first `before` ids have been handled. Totals continue from `totals`,
    /// and the maximum counts over all parts. So a list of any length takes no more memory than one part.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::{BulkDelete, Ids, Selection, Totals};
    /// let second_part = Selection::Ids(Ids::parse(["c", "d"])?);
    /// let delete = BulkDelete::builder(endpoint, second_part).part(2, Totals::from_counts(2, 0)).build();
    /// assert_eq!((delete.ids_done(), delete.totals().affected), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::checkpoint::CheckpointError;
    /// use upstash_dlq_core::{BulkDelete, BulkResume, Filter, Selection};
    /// let delete = BulkDelete::builder(endpoint.clone(), Selection::Everything);
    /// let saved = delete.clone().build().checkpoint();
    /// assert!(delete.resume_from(saved.clone()).is_ok());
    ///
    /// let nightly = Selection::Filter(Filter::builder().label("nightly").build()?);
    /// let other = BulkDelete::builder(endpoint.clone(), nightly).resume_from(saved.clone());
    /// assert_eq!(other.unwrap_err(), CheckpointError::OtherSelection);
    /// let other = BulkResume::builder(endpoint, Selection::Everything).resume_from(saved);
    /// assert_eq!(other.unwrap_err(), CheckpointError::OtherOperation("delete".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`CheckpointError`] if the checkpoint belongs to another operation, endpoint, selection or overrides, or if it
    /// was taken with another page size, maximum or verification, or if it is of a resume or restart by a refinement
    /// ([`CheckpointError::NotResumable`]). Nothing is sent then.
    pub fn resume_from(self, checkpoint: Checkpoint) -> Result<Bulk<O>, CheckpointError> {
        Bulk::resume(self.config, checkpoint)
    }

    /// Whether a checkpoint of the operation leads on.
    pub(crate) fn is_resumable(&self) -> bool {
        is_resumable::<O>(&self.config.selection)
    }
}

impl BulkBuilder<Delete> {
    /// Sets whether a verification pass is made: passes are repeated until a whole one finds nothing left. The default is yes.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::{BulkDelete, Operation, Selection, Step};
    /// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).verify(false).build();
    /// let Step::Send(id, _) = delete.poll(std::time::Duration::ZERO) else { panic!() };
    /// delete.on_response(id, http::Response::new(&br#"{"deleted":3}"#[..]))?;
    /// let Step::Done(outcome) = delete.poll(std::time::Duration::ZERO) else { panic!() };
    /// assert!(outcome.halted.is_none() && !outcome.verified);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(mut self, verify: bool) -> Self {
        self.config.verify = verify;
        self
    }

    /// Sets whether a delete that lists first (with an archive, or by a refinement) trusts that all runs the server lists match the
    /// filter. Otherwise a listed run that does not match halts the operation ([`Halt::Mismatch`](crate::Halt::Mismatch)). The
    /// default is no. It is meant for a service that normalises the values that are compared.
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
