//! A bulk delete, resume or restart that a client is to run.

use crate::client::Client;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, Restart, Resume};
use upstash_dlq_core::{Driven, Event, Outcome, RetryPolicy, Selection};

/// A bulk delete, resume or restart that has not begun.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `run`"]
pub struct BulkRequest<O> {
    client: Client,
    builder: BulkBuilder<O>,
}

impl<O: BulkOperation> BulkRequest<O> {
    pub(crate) fn new(client: Client, selection: Selection) -> Self {
        let builder = Bulk::builder(client.endpoint().clone(), selection).retry(RetryPolicy::default(), client.seed());
        Self { client, builder }
    }

    fn with(self, change: impl FnOnce(BulkBuilder<O>) -> BulkBuilder<O>) -> Self {
        Self { builder: change(self.builder), client: self.client }
    }

    /// See [`BulkBuilder::page_size`].
    pub fn page_size(self, page_size: NonZeroU32) -> Self {
        self.with(|builder| builder.page_size(page_size))
    }

    /// See [`BulkBuilder::max`].
    pub fn max(self, max: NonZeroU64) -> Self {
        self.with(|builder| builder.max(Some(max)))
    }

    /// See [`BulkBuilder::lanes`]. The default is one lane.
    pub fn lanes(self, lanes: NonZeroUsize) -> Self {
        let now = self.client.now();
        self.with(|builder| builder.lanes(lanes, now))
    }

    /// See [`BulkBuilder::max_requests_per_second`].
    pub fn max_requests_per_second(self, limit: NonZeroU32) -> Self {
        self.with(|builder| builder.max_requests_per_second(Some(limit)))
    }

    /// See [`RetryPolicy`].
    pub fn retry(self, policy: RetryPolicy) -> Self {
        let seed = self.client.seed();
        self.with(|builder| builder.retry(policy, seed))
    }

    /// Runs the operation to its end. Waits block the thread.
    pub fn run(self) -> Outcome {
        self.run_with(|_, _| ())
    }

    /// The same as [`Self::run`], and calls `on_event` with every page and every retry. Pages of a resume or restart hold the
    /// runs that were started.
    pub fn run_with(self, mut on_event: impl FnMut(&Bulk<O>, &Event<O::Page>) + Send) -> Outcome {
        let mut operation = self.builder.build();
        match self.client.run(&mut operation, &mut on_event) {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => operation.outcome_so_far(),
        }
    }

    /// Returns the operation, for [`Client::run`]: to stop it, to keep checkpoints, and to settle a request in doubt.
    pub fn into_operation(self) -> Bulk<O> {
        self.builder.build()
    }
}

impl BulkRequest<Delete> {
    /// See [`BulkBuilder::verify`].
    pub fn verify(self, verify: bool) -> Self {
        self.with(|builder| builder.verify(verify))
    }
}

impl BulkRequest<Resume> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }
}

impl BulkRequest<Restart> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }
}
