//! Deletes runs that the caller has stored first.

use crate::engine::operation::InvalidState;
use crate::engine::retry::{Attempts, RetryPolicy};
use crate::engine::scheduler::Scheduler;
use crate::engine::settings::MAX_LANES;
use crate::engine::totals::Totals;
use crate::model::time::UnixMillis;
use crate::operation::bulk_config::BulkConfig;
use crate::operation::delegate::delegate;
use crate::operation::incomplete::Incomplete;
use crate::plan::archive::{ArchiveOutcome, ArchivePage};
use crate::plan::chosen::{Chosen, ChosenPage};
use crate::selection::selected::Selection;
use crate::wire::bulk::Delete;
use crate::wire::page::DeletePage;
use core::num::{NonZeroU32, NonZeroUsize};

/// Deletes runs that the caller has stored first. It lists a page, hands it over as a batch, waits for
/// [`stored`](Self::stored), and then deletes exactly those ids. Nothing is deleted without `stored`.
///
/// [`BulkBuilder::build_archived`](crate::operation::BulkBuilder::build_archived) builds it.
/// [`BulkBuilder::archived`](crate::operation::BulkBuilder::archived) makes a builder of its own first, for a caller that sets
/// something more and builds later. Both are the same operation.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{BulkDelete, Endpoint, Event, Operation, Selection, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut archived = BulkDelete::builder(endpoint, Selection::Everything).build_archived();
/// let Step::Send(id, list) = archived.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(list.method(), "GET");
/// let response = http::Response::new(&br#"{"messages":[{"dlqId":"a"},{"dlqId":"b"}]}"#[..]);
/// let Event::Page(page) = archived.on_response(id, response)? else { panic!() };
/// let batch = page.batch.unwrap();
/// assert_eq!(batch.messages[0].as_json(), r#"{"dlqId":"a"}"#); // write it, sync it …
/// archived.stored(batch.number)?;
/// let Step::Send(_, delete) = archived.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(delete.uri().query(), Some("dlqIds=a&dlqIds=b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArchivedDelete {
    scheduler: Scheduler<Chosen<Delete>>,
}

/// Collects what an archived delete acts on, and how. Made by
/// [`BulkBuilder::archived`](crate::operation::BulkBuilder::archived). Nothing is sent before the operation is driven.
#[derive(Clone, Debug)]
#[must_use]
pub struct ArchivedDeleteBuilder {
    config: BulkConfig,
}

impl ArchivedDeleteBuilder {
    pub(crate) fn new(config: BulkConfig) -> Self {
        Self { config }
    }

    /// Sets how many requests may be in flight at once. See [`BulkBuilder::lanes`](crate::operation::BulkBuilder::lanes).
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

    /// Sets how requests are retried. The random waits depend on `seed` alone.
    pub fn retry(mut self, policy: RetryPolicy, seed: u64) -> Self {
        self.config.settings.policy = policy;
        self.config.settings.seed = seed;
        self
    }

    /// Builds the operation, at its start.
    pub fn build(self) -> ArchivedDelete {
        ArchivedDelete::new(self.config)
    }
}

impl ArchiveOutcome {
    /// Returns an error if the operation is not complete, for the `?` operator.
    ///
    /// # Errors
    /// Returns [`Incomplete`], which holds the totals and the [`Halt`](crate::Halt). Requests may have been sent:
    /// [`Incomplete::may_have_changed`] says whether any run was or may have been deleted. Each of those was stored first.
    pub fn into_result(mut self) -> Result<Self, Incomplete> {
        match self.halted.take() {
            None => Ok(self),
            Some(halt) => Err(Incomplete::new(self.totals, halt, None)),
        }
    }
}

impl ArchivedDelete {
    pub(crate) fn new(config: BulkConfig) -> Self {
        let settings = config.settings.clone();
        let looks = Attempts::new(settings.policy, settings.seed);
        let mut scheduler = Scheduler::new(settings, Chosen::new(config.chosen_scope(true), looks));
        scheduler.resume_totals(config.carried);
        Self { scheduler }
    }

    /// Says that a batch is stored, so that a crash can no longer lose it. Its runs are then deleted.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if no batch with this number waits to be stored. Nothing has changed then.
    pub fn stored(&mut self, number: u64) -> Result<(), InvalidState> {
        self.scheduler.plan.stored(number)
    }

    /// Says that a batch is not stored and is given up: its runs are listed or fetched again.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use std::time::Duration;
    /// use upstash_dlq_core::{BulkDelete, Event, Operation, Selection, Step};
    /// let mut archived = BulkDelete::builder(endpoint, Selection::Everything).build_archived();
    /// let Step::Send(id, _) = archived.poll(Duration::ZERO) else { panic!() };
    /// let Event::Page(page) = archived.on_response(id, http::Response::new(&br#"{"messages":[{"dlqId":"a"}]}"#[..]))? else { panic!() };
    /// archived.not_stored(page.batch.unwrap().number)?; // the disk is full for a moment
    /// let Step::Send(_, list) = archived.poll(Duration::ZERO) else { panic!() };
    /// assert_eq!(list.method(), "GET", "nothing is deleted");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`InvalidState`] if no batch with this number waits to be stored. Nothing has changed then.
    pub fn not_stored(&mut self, number: u64) -> Result<(), InvalidState> {
        self.scheduler.plan.not_stored(number)
    }

    /// What has been done so far. A deletion in flight counts as unconfirmed until its response arrives.
    pub fn totals(&self) -> Totals {
        self.scheduler.totals()
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.scheduler.plan.scope.selection
    }

    /// The outcome, or the present state of an operation that has not ended. That is never verified.
    pub fn outcome_so_far(&self) -> ArchiveOutcome {
        self.scheduler.outcome_so_far()
    }
}

/// The caller gets the batches. Deletions show in the totals.
fn archive_page(page: ChosenPage<DeletePage>) -> ArchivePage {
    ArchivePage { batch: page.batch }
}

delegate!([] ArchivedDelete, "archive", ArchivePage, ArchiveOutcome, archive_page);
