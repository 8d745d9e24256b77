//! What an application has set for an operation, and how the operation begins. For clients, which put their own methods around
//! it.

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::format::Checkpoint;
use crate::engine::halt::{Halt, StoreFailure};
use crate::engine::operation::Operation;
use crate::engine::retry::RetryPolicy;
use crate::engine::settlement::Settlement;
use crate::model::time::UnixMillis;
use crate::operation::archived_delete::ArchivedDeleteBuilder;
use crate::operation::builder::OperationBuilder;
use crate::operation::bulk::{Bulk, InDoubt};
use crate::operation::bulk_builder::BulkBuilder;
use crate::wire::bulk::{BulkOperation, Delete};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::ToString;
use core::fmt;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

/// The settings of an operation that has not begun. Numbers are plain: one that cannot be used is remembered, and
/// [`begin`](Self::begin) tells the first of them as [`Halt::InvalidSetting`]. So a chain of settings needs no `?`, and nothing is
/// sent with a wrong one.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use upstash_dlq_core::client::setup::Setup;
/// use upstash_dlq_core::{BulkDelete, Halt, Operation, Selection, UnixMillis};
/// let builder = BulkDelete::builder(endpoint, Selection::Everything);
/// let setup = Setup::new(builder).lanes(0, UnixMillis::new(1_764_000_000_000)).max(10);
/// let operation = setup.begin(Ok(None)).unwrap_err();
/// assert!(matches!(operation.halt(), Some(Halt::InvalidSetting { setting, .. }) if setting == "lanes"));
/// assert_eq!(operation.totals().requests, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Setup<'a, B: OperationBuilder> {
    builder: B,
    resume_from: Option<Checkpoint>,
    /// How the requests in doubt are settled that a checkpoint brings.
    settle: Option<Settle<'a, B::Operation>>,
    /// The first setting that cannot be used.
    invalid: Option<Halt>,
}

type Settle<'a, O> = Box<dyn FnOnce(&mut O) + Send + 'a>;

const AT_LEAST_ONE: &str = "it must be at least 1";

fn invalid(setting: &str, problem: &dyn fmt::Display) -> Halt {
    Halt::InvalidSetting { setting: setting.to_owned(), problem: problem.to_string() }
}

impl<'a, B: OperationBuilder> Setup<'a, B> {
    /// Begins with the settings of the builder.
    pub fn new(builder: B) -> Self {
        Self { builder, resume_from: None, settle: None, invalid: None }
    }

    /// Changes the builder.
    pub fn with(self, change: impl FnOnce(B) -> B) -> Self {
        Self { builder: change(self.builder), ..self }
    }

    /// Remembers that a setting cannot be used. The first one counts.
    pub fn refuse(mut self, setting: &str, problem: &str) -> Self {
        self.invalid.get_or_insert_with(|| invalid(setting, &problem));
        self
    }

    /// Sets how many requests may be in flight at once. See [`OperationBuilder::lanes`].
    pub fn lanes(self, lanes: usize, now: UnixMillis) -> Self {
        match NonZeroUsize::new(lanes) {
            Some(lanes) => self.with(|builder| builder.lanes(lanes, now)),
            None => self.refuse("lanes", AT_LEAST_ONE),
        }
    }

    /// Sets how many requests may be sent in a second. See [`OperationBuilder::max_requests_per_second`].
    pub fn max_requests_per_second(self, limit: u32) -> Self {
        match NonZeroU32::new(limit) {
            Some(limit) => self.with(|builder| builder.max_requests_per_second(Some(limit))),
            None => self.refuse("max_requests_per_second", AT_LEAST_ONE),
        }
    }

    /// Sets how requests are retried. See [`OperationBuilder::retry`].
    pub fn retry(self, policy: RetryPolicy, seed: u64) -> Self {
        self.with(|builder| builder.retry(policy, seed))
    }

    /// Whether a setting cannot be used, so that [`Self::begin`] fails in any case.
    pub fn is_invalid(&self) -> bool {
        self.invalid.is_some()
    }

    /// The operation as it stands before the store is read. It has halted, so that nobody drives it without what the store has.
    pub fn build_before_load(&self) -> B::Operation {
        let mut operation = self.builder.clone().build();
        operation.halt_for(Halt::StoreFailed(StoreFailure::new("the store was not read yet")));
        operation
    }

    /// Builds the operation where its checkpoint was taken, or at its start. `stored` is what the application's store has.
    ///
    /// # Errors
    /// Returns an operation that has done nothing and has halted, with [`Halt::InvalidSetting`] or the halt of the store. Its store
    /// must not be called any more: it may hold a checkpoint of value.
    pub fn begin(self, stored: Result<Option<Checkpoint>, Halt>) -> Result<B::Operation, B::Operation> {
        let Self { builder, resume_from, settle, invalid: first_invalid } = self;
        let failed = |builder: B, halt| {
            let mut operation = builder.build();
            operation.halt_for(halt);
            Err(operation)
        };
        if let Some(halt) = first_invalid {
            return failed(builder, halt);
        }
        let (setting, checkpoint) = match (stored, resume_from) {
            (Err(halt), _) => return failed(builder, halt),
            (Ok(Some(_)), Some(_)) => {
                return failed(builder, invalid("resume_from", &"the store holds another checkpoint to continue from"));
            }
            (Ok(Some(stored)), None) => ("checkpoint", Some(stored)),
            (Ok(None), given) => ("resume_from", given),
        };
        match builder.clone().build_at(checkpoint) {
            Ok(mut operation) => {
                if let Some(settle) = settle {
                    settle(&mut operation);
                }
                Ok(operation)
            }
            Err(error) => failed(builder, invalid(setting, &error)),
        }
    }
}

impl<'a, O: BulkOperation> Setup<'a, BulkBuilder<O>> {
    /// Sets how many runs one request may act on. See [`BulkBuilder::page_size`].
    pub fn page_size(self, page_size: u32) -> Self {
        match NonZeroU32::new(page_size) {
            Some(page_size) => self.with(|builder| builder.page_size(page_size)),
            None => self.refuse("page_size", AT_LEAST_ONE),
        }
    }

    /// Sets how many runs may be asked for in all. See [`BulkBuilder::max`].
    pub fn max(self, max: u64) -> Self {
        match NonZeroU64::new(max) {
            Some(max) => self.with(|builder| builder.max(Some(max))),
            None => self.refuse("max", AT_LEAST_ONE),
        }
    }

    /// Remembers that a store of checkpoints is set, which cannot be used with an operation that cannot be continued
    /// ([`CheckpointError::NotResumable`]).
    pub fn refuse_checkpoint_unless_resumable(self) -> Self {
        if self.builder.is_resumable() {
            return self;
        }
        self.refuse("checkpoint", &CheckpointError::NotResumable.to_string())
    }

    /// See [`BulkBuilder::resume_from`].
    pub fn resume_from(mut self, checkpoint: Checkpoint) -> Self {
        self.resume_from = Some(checkpoint);
        self
    }

    /// Settles each request in doubt that the checkpoint brings, one by one. See [`Bulk::settle`].
    pub fn settle_each(mut self, mut found: impl FnMut(InDoubt<'_>) -> Settlement + Send + 'a) -> Self {
        self.settle = Some(Box::new(move |operation: &mut Bulk<O>| {
            while let Some(settlement) = operation.in_doubt().map(&mut found) {
                if operation.settle(settlement).is_err() {
                    return;
                }
            }
        }));
        self
    }
}

impl<'a> Setup<'a, BulkBuilder<Delete>> {
    /// Turns this into an archived delete, which has another observer, and no checkpoint.
    pub fn archived(mut self, is_observed: bool, has_store: bool) -> Setup<'a, ArchivedDeleteBuilder> {
        if is_observed {
            self = self.refuse("observe", "call it after `archive`");
        }
        if has_store || self.resume_from.is_some() {
            self = self.refuse("archive", "an archived delete has no checkpoint");
        }
        Setup { builder: self.builder.archived(), resume_from: None, settle: None, invalid: self.invalid }
    }
}

impl<B: OperationBuilder + fmt::Debug> fmt::Debug for Setup<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("builder", &self.builder).finish_non_exhaustive()
    }
}
