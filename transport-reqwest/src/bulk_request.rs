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

    /// Runs the operation to its end.
    ///
    /// The future holds the operation. A drop of the future (by `tokio::time::timeout` or `select!`) loses what had been done,
    /// and which requests were in flight. The server may still carry those out.
    ///
    /// - *delete*: a new delete deletes the rest. Only the counts are lost.
    /// - *resume*, *restart*: a new operation asks for everything again. Runs of a request that was in flight are started
    ///   twice, and so are all other runs that are still listed.
    ///
    /// To lose nothing, keep the operation yourself. It counts a request that was in flight as unconfirmed. A resume or restart
    /// has to be settled before it continues:
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

    /// The same as [`Self::run`], and calls `on_event` with every page and every retry. Pages of a resume or restart hold the
    /// runs that were started.
    ///
    /// A drop loses the same as with [`Self::run`]. The pages that were handed over tell what is known to be done.
    pub async fn run_with(self, mut on_event: impl FnMut(&Bulk<O>, &Event<O::Page>)) -> Outcome {
        let mut operation = self.builder.build();
        match self.client.run(&mut operation, &mut on_event).await {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => operation.outcome_so_far(),
        }
    }

    /// A stream that sends one request for each page it is asked for. [`Pages::operation`] has the totals at any time, and
    /// [`Pages::into_operation`] keeps what a drop of the stream would lose.
    pub fn pages(self) -> Pages<Bulk<O>> {
        Pages::new(self.client, self.builder.build())
    }

    /// Returns the operation, for [`Client::run`]: to stop it, to keep checkpoints, to settle a request in doubt, and to lose
    /// nothing when the future is dropped.
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
