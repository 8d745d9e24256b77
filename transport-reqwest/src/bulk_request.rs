//! A bulk delete, resume or restart that a client is to run.

use crate::client::Client;
use crate::pages::Pages;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, Restart, Resume};
use upstash_dlq_core::{Driven, Event, Outcome, RetryPolicy, Selection};

/// A bulk delete, resume or restart that has not begun.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `run` or `pages`"]
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

    /// See [`BulkBuilder::lanes`]. One unless set.
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

    /// Does it, to the end.
    ///
    /// The future holds the operation: whoever drops it (a `tokio::time::timeout` or `select!` around it does) loses what had
    /// been done, and whether requests were in flight. The server may still carry those out.
    ///
    /// - *delete*: begun anew, it deletes what is left. Only the counts are lost; those of the second run begin at zero.
    /// - *resume*, *restart*: begun anew, it asks for everything again. Runs of a request that was in flight are started
    ///   twice, and wherever started runs stay listed, so are all others.
    ///
    /// Nothing is lost with the operation in your hands. It counts a request that was in flight as unconfirmed and, for resume
    /// and restart, wants it to be settled before it goes on:
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use upstash_dlq_reqwest::{Client, core::{BulkResume, Event, Selection}};
    /// # async fn example(client: Client) {
    /// let mut resume = client.resume(Selection::Everything).into_operation();
    /// let observer = &mut |_: &BulkResume, event: &Event<_>| println!("{event:?}");
    /// if tokio::time::timeout(Duration::from_secs(60), client.run(&mut resume, observer)).await.is_err() {
    ///     println!("so far: {:?}, checkpoint: {}", resume.totals(), resume.checkpoint().to_json());
    /// }
    /// # }
    /// ```
    pub async fn run(self) -> Outcome {
        self.run_with(|_, _| ()).await
    }

    /// The same, and hands over every page and retry as it comes: for resume and restart the runs that were started.
    ///
    /// A drop loses what it loses of [`Self::run`]; the pages that were handed over tell what is known to be done.
    pub async fn run_with(self, mut on_event: impl FnMut(&Bulk<O>, &Event<O::Page>)) -> Outcome {
        let mut operation = self.builder.build();
        match self.client.run(&mut operation, &mut on_event).await {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => operation.outcome_so_far(),
        }
    }

    /// Goes as far as the stream is asked for pages, one request at a time. [`Pages::operation`] tells the totals at any time,
    /// and [`Pages::into_operation`] keeps what a drop of the stream loses.
    pub fn pages(self) -> Pages<Bulk<O>> {
        Pages::new(self.client, self.builder.build())
    }

    /// The operation itself, for [`Client::run`]: to stop on the way, to keep checkpoints, to settle a lost response, and to lose nothing when the future is dropped.
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
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }
}

impl BulkRequest<Restart> {
    /// What the runs get other than they had.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }
}
