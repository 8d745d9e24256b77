//! What an operation is built from.

use crate::bulk::{Bulk, add_one};
use crate::checkpoint::Position;
use crate::checkpoint::fingerprint::Fingerprint;
use crate::engine::outcome::Totals;
use crate::engine::retry::RetryPolicy;
use crate::model::endpoint::Endpoint;
use crate::selection::filter::RelativeTimes;
use crate::selection::selected::Selection;
use crate::wire::bulk::{Delete, Restart, Resume, Verb};
use crate::wire::overrides::Overrides;
use crate::{Checkpoint, CheckpointError};
use core::marker::PhantomData;
use core::num::{NonZeroU32, NonZeroU64};

/// What to act on, and how; builds the machine. See [`BulkDelete`], [`BulkResume`], [`BulkRestart`].
///
/// ```
/// use upstash_dlq_core::{BulkDelete, Endpoint, Filter, Selection, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let filter = Filter::builder().label("red & white").build()?;
/// let mut bulk = BulkDelete::new(endpoint, Selection::Filter(filter)).build();
/// let Step::Send(request) = bulk.poll() else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq?label=red+%26+white&count=100");
/// bulk.on_response(&http::Response::new(r#"{"deleted":7}"#))?;
/// let Step::Send(_confirming) = bulk.poll() else { panic!() };
/// bulk.on_response(&http::Response::new(r#"{"deleted":0}"#))?;
/// let Step::Done(outcome) = bulk.poll() else { panic!() };
/// assert!(outcome.halted.is_none() && outcome.verified && outcome.totals.runs == 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkBuilder<V> {
    pub(crate) endpoint: Endpoint,
    pub(crate) selection: Selection,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) relative_times: RelativeTimes,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) verify: bool,
    /// Whether an archive takes the server's word that what it lists matches.
    pub(crate) trust_server: bool,
    pub(crate) overrides: Overrides,
    pub(crate) policy: RetryPolicy,
    pub(crate) seed: u64,
    /// Ids of the same list that earlier parts have dealt with, and what that came to.
    pub(crate) before: u64,
    pub(crate) carried: Totals,
    pub(crate) verb: PhantomData<V>,
}

/// Deletes runs, page after page, until a whole pass has found nothing left: `DELETE /v2/workflows/dlq`.
pub type BulkDelete = BulkBuilder<Delete>;

/// Goes on with failed runs where they failed, in one pass: `POST /v2/workflows/dlq/resume`.
///
/// ```
/// use upstash_dlq_core::{BulkResume, Delivery, Endpoint, Halt, Selection, Settlement, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut bulk = BulkResume::new(endpoint, Selection::Everything).build();
/// let Step::Send(request) = bulk.poll() else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq/resume?count=50");
/// bulk.on_failure(Delivery::Unknown)?; // the answer was lost: runs may have been started
/// let Step::Done(outcome) = bulk.poll() else { panic!() };
/// assert!(matches!(outcome.halted, Some(Halt::Unsettled { asked: 50, .. })));
/// bulk.settle(Settlement::NotApplied)?; // a listing still shows them
/// let Step::Send(_again) = bulk.poll() else { panic!() };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type BulkResume = BulkBuilder<Resume>;

/// Starts failed runs anew, in one pass: `POST /v2/workflows/dlq/restart`.
pub type BulkRestart = BulkBuilder<Restart>;

impl<V: Verb> BulkBuilder<V> {
    /// Pages of 100 (50 for resume and restart), no maximum, a confirming pass for delete, and the default retry policy
    /// with seed 0.
    pub fn new(endpoint: Endpoint, selection: Selection) -> Self {
        let builder = Self {
            fingerprint: Fingerprint::of(&endpoint, &selection),
            endpoint,
            selection,
            relative_times: RelativeTimes::default(),
            page_size: NonZeroU32::MIN,
            max: None,
            verify: V::REPEATABLE,
            trust_server: false,
            overrides: Overrides::default(),
            policy: RetryPolicy::default(),
            seed: 0,
            before: 0,
            carried: Totals::default(),
            verb: PhantomData,
        };
        builder.page_size(NonZeroU32::MIN.saturating_add(99))
    }

    /// What a checkpoint is recognised by, where the selection was given in other words than the resolved ones ("7 days
    /// ago"). By default the fingerprint of the selection itself.
    pub fn fingerprint(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    /// Which times of the selection were given relative to the present. A checkpoint's may lie before them; all others must
    /// be the same.
    pub fn relative_times(self, relative_times: RelativeTimes) -> Self {
        Self { relative_times, ..self }
    }

    /// How many runs one request may act on (`count`), brought down to [`Verb::MAX_PAGE_SIZE`]. Without effect on ids.
    pub fn page_size(self, page_size: NonZeroU32) -> Self {
        let max = V::MAX_PAGE_SIZE.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        Self { page_size: page_size.min(max), ..self }
    }

    /// How many runs may be asked for in all.
    pub fn max(self, max: Option<NonZeroU64>) -> Self {
        Self { max, ..self }
    }

    /// How requests are repeated. The seed decides the random part of the waits.
    pub fn retry(self, policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, seed, ..self }
    }

    /// Says that the ids are a later part of a longer list, of which `before` ids have been dealt with: totals go on from
    /// there, and the maximum counts over all parts. So a list of any length takes no more memory than one part.
    pub fn part(self, before: u64, totals: Totals) -> Self {
        Self { before, carried: totals, ..self }
    }

    /// What is acted on.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The machine, at its start.
    pub fn build(self) -> Bulk<V> {
        let mut position = Position::start(self.max.map(NonZeroU64::get));
        position.ids_before = self.before;
        position.totals = self.carried;
        Bulk::new(self, position)
    }

    /// The machine, where the checkpoint was taken. Its resolved times win over the ones given here. A request that was in
    /// flight is counted as unconfirmed; a delete is sent again, a resume or restart has to be settled first
    /// ([`Bulk::settle`]).
    ///
    /// # Errors
    /// A checkpoint of another endpoint, selection, operation or overrides, or taken with another page size, maximum or
    /// verification.
    pub fn restore(mut self, checkpoint: Checkpoint) -> Result<Bulk<V>, CheckpointError> {
        if checkpoint.operation != V::NAME {
            return Err(CheckpointError::OtherOperation(checkpoint.operation));
        }
        if checkpoint.fingerprint != self.full_fingerprint() {
            return Err(CheckpointError::OtherSelection);
        }
        if (checkpoint.page_size, checkpoint.max, checkpoint.verify) != (self.page_size, self.max, self.verify) {
            return Err(CheckpointError::OtherOptions);
        }
        if V::REPEATABLE && checkpoint.position.unsettled.is_some() {
            return Err(CheckpointError::Damaged("a delete needs no settling".into()));
        }
        if checkpoint.position.ids_before != self.before {
            return Err(CheckpointError::OtherSelection);
        }
        self.selection = checkpoint.selection.apply_to(self.selection, self.relative_times)?;
        let in_flight = checkpoint.in_flight;
        let mut bulk = Bulk::new(self, checkpoint.position);
        if bulk.position.sent_ids > bulk.limit_of_ids() {
            return Err(CheckpointError::OtherSelection);
        }
        if let Some(asked) = in_flight {
            add_one(&mut bulk.position.totals.requests);
            bulk.count_unconfirmed(asked);
            if !V::REPEATABLE {
                bulk.position.unsettled = Some(asked);
            } else if !bulk.nothing_left_to_ask() {
                add_one(&mut bulk.position.totals.retries);
            }
        }
        bulk.halt_if_unsettled();
        Ok(bulk)
    }

    pub(crate) fn full_fingerprint(&self) -> Fingerprint {
        if self.overrides.is_empty() { self.fingerprint.clone() } else { self.fingerprint.and(self.overrides.pairs()) }
    }
}

impl BulkBuilder<Delete> {
    /// Whether to go on until a whole pass has found nothing left.
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// Whether [`Self::build_with_archive`] takes the server's word that the runs it lists match the filter. Unless it
    /// does, a listed run that does not match ends the operation ([`Halt::Mismatch`](crate::engine::outcome::Halt::Mismatch)). For a
    /// service that changes the values that filters speak of.
    pub fn trust_server(self, trust_server: bool) -> Self {
        Self { trust_server, ..self }
    }
}

impl BulkBuilder<Resume> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }
}

impl BulkBuilder<Restart> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }
}
