//! Collects what a bulk operation acts on, and how.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::fingerprint::Fingerprint;
use crate::checkpoint::format::Checkpoint;
use crate::engine::outcome::Totals;
use crate::engine::retry::RetryPolicy;
use crate::engine::settings::Settings;
use crate::model::endpoint::Endpoint;
use crate::model::time::UnixMillis;
use crate::operation::archived_delete::ArchivedDelete;
use crate::operation::bulk::Bulk;
use crate::operation::bulk_config::BulkConfig;
use crate::selection::filter::RelativeTimes;
use crate::selection::selected::Selection;
use crate::wire::bulk::{BulkOperation, Delete, Restart, Resume};
use crate::wire::overrides::Overrides;
use alloc::string::String;
use core::marker::PhantomData;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

/// What to act on, and how. Made by [`Bulk::builder`]; nothing is sent before the operation is driven.
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
    /// Pages of 100 (50 for resume and restart), no maximum, one lane, no limit of the rate, a verification pass for delete,
    /// and the default retry policy with seed 0.
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
    /// How many requests may be in flight at once. `now` is the present: milliseconds since 1970. An open window of time is
    /// cut up to there. Any number is accepted. By filter, a resume or restart stays in one lane.
    pub fn lanes(mut self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.config.settings.lanes = lanes;
        self.config.now = now;
        self
    }

    /// How many requests may be sent in a second, all lanes together. `None` for no limit but the server's own.
    pub fn max_requests_per_second(mut self, limit: Option<NonZeroU32>) -> Self {
        self.config.settings.max_requests_per_second = limit;
        self
    }

    /// How many runs one request may act on (`count`), brought down to [`BulkOperation::MAX_PAGE_SIZE`]. Without effect on
    /// ids.
    pub fn page_size(mut self, page_size: NonZeroU32) -> Self {
        let max = O::MAX_PAGE_SIZE.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        self.config.page_size = page_size.min(max);
        self
    }

    /// How many runs may be asked for in all. `None` for no maximum.
    pub fn max(mut self, max: Option<NonZeroU64>) -> Self {
        self.config.max = max;
        self
    }

    /// How requests are repeated. The seed decides the random part of the waits.
    pub fn retry(mut self, policy: RetryPolicy, seed: u64) -> Self {
        self.config.settings.policy = policy;
        self.config.settings.seed = seed;
        self
    }

    /// What a checkpoint is recognised by, where the selection was given in other words than the resolved ones ("7 days
    /// ago"). By default the fingerprint of the selection itself.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.config.fingerprint = fingerprint;
        self
    }

    /// Which times of the selection were given relative to the present. A checkpoint's may lie before them. All others must
    /// be the same.
    pub fn relative_times(mut self, relative_times: RelativeTimes) -> Self {
        self.config.relative_times = relative_times;
        self
    }

    /// Says that the ids are a later part of a longer list, of which `before` ids have been dealt with. Totals go on from
    /// `totals`, and the maximum counts over all parts. So a list of any length takes no more memory than one part.
    pub fn part(mut self, before: u64, totals: Totals) -> Self {
        self.config.before = before;
        self.config.carried = totals;
        self
    }

    /// Says that the ids are those that `selection` listed, and that they are kept in a list beside the checkpoint, with a digest
    /// to recognise it. A checkpoint keeps both ([`Checkpoint::id_list`], [`Checkpoint::window`]), and goes on with no other
    /// list, and with no other selection. Its resolved times win over the ones given here.
    pub fn listed(mut self, selection: Selection, digest: impl Into<String>) -> Self {
        self.config.listed = Some((selection, digest.into()));
        self
    }

    /// What is acted on.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// The operation, at its start.
    pub fn build(self) -> Bulk<O> {
        Bulk::new(self.config)
    }

    /// The operation, where the checkpoint was taken. The number of lanes may be another. The checkpoint's resolved times win
    /// over the ones given here. A request that was in flight counts as unconfirmed: a delete sends it again, a resume or
    /// restart has to be settled first ([`Bulk::settle`]).
    ///
    /// # Errors
    /// A checkpoint of another endpoint, selection, operation or overrides, or one that was taken with another page size,
    /// maximum or verification.
    pub fn resume_from(self, checkpoint: Checkpoint) -> Result<Bulk<O>, CheckpointError> {
        Bulk::resume(self.config, checkpoint)
    }
}

impl BulkBuilder<Delete> {
    /// Whether to go on until a whole pass has found nothing left.
    pub fn verify(mut self, verify: bool) -> Self {
        self.config.verify = verify;
        self
    }

    /// Whether an archived delete takes the server's word that the runs it lists match the filter. Unless it does, a listed
    /// run that does not match ends the operation ([`Halt::Mismatch`](crate::Halt::Mismatch)). For a service that changes the
    /// values that filters speak of.
    pub fn trust_server(mut self, trust_server: bool) -> Self {
        self.config.trust_server = trust_server;
        self
    }

    /// The operation that deletes nothing before the caller has stored it. It has one lane.
    pub fn build_archived(self) -> ArchivedDelete {
        ArchivedDelete::new(self.config)
    }
}

impl BulkBuilder<Resume> {
    /// What the runs get other than they had.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.config.overrides = overrides;
        self
    }
}

impl BulkBuilder<Restart> {
    /// What the runs get other than they had.
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.config.overrides = overrides;
        self
    }
}
