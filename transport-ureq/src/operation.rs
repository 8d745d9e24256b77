//! A bulk operation that is put together and then run.

use crate::Client;
use crate::client::now;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::{
    Bulk, BulkBuilder, Delete, Driven, Event, Fleet, Outcome, Overrides, Restart, Resume, RetryPolicy, Selection, Verb,
};

/// A bulk delete, resume or restart that has not begun.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `run`"]
pub struct Operation<'a, V: Verb> {
    client: &'a Client,
    builder: BulkBuilder<V>,
}

impl<'a, V: Verb> Operation<'a, V> {
    pub(crate) fn new(client: &'a Client, selection: Selection) -> Self {
        let builder =
            BulkBuilder::new(client.endpoint().clone(), selection).retry(RetryPolicy::default(), client.seed());
        Self { client, builder }
    }

    /// See [`BulkBuilder::page_size`].
    pub fn page_size(self, page_size: NonZeroU32) -> Self {
        Self { builder: self.builder.page_size(page_size), ..self }
    }

    /// See [`BulkBuilder::max`].
    pub fn max(self, max: NonZeroU64) -> Self {
        Self { builder: self.builder.max(Some(max)), ..self }
    }

    /// See [`RetryPolicy`].
    pub fn retry(self, policy: RetryPolicy) -> Self {
        Self { builder: self.builder.retry(policy, self.client.seed()), ..self }
    }

    /// Does it, to the end.
    pub fn run(self) -> Outcome {
        self.run_with(|_, _| ())
    }

    /// The same, and hands over every page and retry as it comes: for resume and restart the runs that were started.
    pub fn run_with(self, mut on_event: impl FnMut(&Bulk<V>, &Event<V::Page>)) -> Outcome {
        let mut bulk = self.builder.build();
        match self.client.run(&mut bulk, &mut on_event) {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => bulk.outcome_so_far(),
        }
    }

    /// The same on so many lanes at once, see [`Fleet`]; a resume or restart stays in one lane. To settle a lost response of
    /// a resume or restart, drive the fleet yourself with [`Client::run_fleet`].
    pub fn run_on(self, lanes: NonZeroUsize) -> Outcome {
        let mut fleet = self.builder.build_fleet(lanes, now());
        match self.client.run_fleet(&mut fleet, &mut |_: &Fleet<V>, _: &Event<V::Page>| ()) {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => fleet.outcome_so_far(),
        }
    }

    /// The machine, for [`Client::run`]: to stop on the way, to keep checkpoints, to settle a lost answer.
    pub fn into_machine(self) -> Bulk<V> {
        self.builder.build()
    }
}

impl Operation<'_, Delete> {
    /// See [`BulkBuilder::verify`].
    pub fn verify(self, verify: bool) -> Self {
        Self { builder: self.builder.verify(verify), ..self }
    }
}

impl Operation<'_, Resume> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { builder: self.builder.overrides(overrides), ..self }
    }
}

impl Operation<'_, Restart> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { builder: self.builder.overrides(overrides), ..self }
    }
}
