//! A bulk operation that is put together and then awaited.

use crate::client::now;
use crate::{Client, Pages};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::{
    Bulk, BulkBuilder, Delete, Driven, Event, Fleet, Outcome, Overrides, Restart, Resume, RetryPolicy, Selection, Verb,
};

/// A bulk delete, resume or restart that has not begun.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `run` or `pages`"]
pub struct Operation<V: Verb> {
    client: Client,
    builder: BulkBuilder<V>,
}

impl<V: Verb> Operation<V> {
    pub(crate) fn new(client: Client, selection: Selection) -> Self {
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
        let seed = self.client.seed();
        Self { builder: self.builder.retry(policy, seed), ..self }
    }

    /// Does it, to the end.
    ///
    /// The future holds the machine: whoever drops it (a `tokio::time::timeout` or `select!` around it does) loses what had
    /// been done, and whether a request was out. The server may still carry that request out.
    ///
    /// - *delete*: begun anew, it deletes what is left. Only the counts are lost; those of the second run begin at zero.
    /// - *resume*, *restart*: begun anew, it asks for everything again. Runs of the request that was out, and wherever
    ///   started runs stay listed all others, too, are started twice.
    ///
    /// Nothing is lost with the machine in your hands, which counts a request that was out as unconfirmed and, for resume and
    /// restart, wants to be settled before it goes on:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use upstash_dlq_reqwest::{Client, core::{Bulk, Event, Resume, Selection}};
    /// # async fn example(client: Client) {
    /// let mut machine = client.resume(Selection::Everything).into_machine();
    /// let observer = &mut |_: &Bulk<Resume>, event: &Event<_>| println!("{event:?}");
    /// if tokio::time::timeout(Duration::from_secs(60), client.run(&mut machine, observer)).await.is_err() {
    ///     println!("so far: {:?}, checkpoint: {}", machine.totals(), machine.checkpoint().to_json());
    /// }
    /// # }
    /// ```
    pub async fn run(self) -> Outcome {
        self.run_with(|_, _| ()).await
    }

    /// The same, and hands over every page and retry as it comes: for resume and restart the runs that were started.
    ///
    /// A drop loses what it loses of [`Self::run`]; the pages that were handed over tell what is known to be done.
    pub async fn run_with(self, mut on_event: impl FnMut(&Bulk<V>, &Event<V::Page>)) -> Outcome {
        let mut bulk = self.builder.build();
        match self.client.run(&mut bulk, &mut on_event).await {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => bulk.outcome_so_far(),
        }
    }

    /// Goes as far as the stream is asked for pages. [`Pages::machine`] tells the totals at any time, and
    /// [`Pages::into_machine`] keeps what a drop of the stream loses.
    pub fn pages(self) -> Pages<Bulk<V>> {
        Pages::new(self.client, self.builder.build())
    }

    /// The same on so many lanes at once, see [`Fleet`]; a resume or restart stays in one lane. To settle a lost response of
    /// a resume or restart, drive the fleet yourself with [`Client::run_fleet`].
    ///
    /// A drop loses what it loses of [`Self::run`], with up to one request a lane; with [`Client::run_fleet`] and a [`Fleet`] of
    /// yours it loses nothing.
    pub async fn run_on(self, lanes: NonZeroUsize) -> Outcome {
        let mut fleet = self.builder.build_fleet(lanes, now());
        match self.client.run_fleet(&mut fleet, &mut |_: &Fleet<V>, _: &Event<V::Page>| ()).await {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => fleet.outcome_so_far(),
        }
    }

    /// The machine, for [`Client::run`]: to stop on the way, to keep checkpoints, to settle a lost response,
    /// and to lose nothing when the future is dropped.
    pub fn into_machine(self) -> Bulk<V> {
        self.builder.build()
    }
}

impl Operation<Delete> {
    /// See [`BulkBuilder::verify`].
    pub fn verify(self, verify: bool) -> Self {
        Self { builder: self.builder.verify(verify), ..self }
    }
}

impl Operation<Resume> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { builder: self.builder.overrides(overrides), ..self }
    }
}

impl Operation<Restart> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        Self { builder: self.builder.overrides(overrides), ..self }
    }
}
