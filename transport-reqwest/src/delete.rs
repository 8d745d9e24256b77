use crate::{Client, Pages};
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::{Bulk, BulkDelete, DeletePage, Driven, Event, Outcome, RetryPolicy, Selection};

/// A bulk delete that has not begun.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `run` or `pages`"]
pub struct Delete {
    client: Client,
    delete: BulkDelete,
}

impl Delete {
    pub(crate) fn new(client: Client, selection: Selection) -> Self {
        let delete = BulkDelete::new(client.endpoint().clone(), selection).retry(RetryPolicy::default(), client.seed());
        Self { client, delete }
    }

    /// See [`BulkDelete::page_size`].
    pub fn page_size(self, page_size: NonZeroU32) -> Self {
        Self { delete: self.delete.page_size(page_size), ..self }
    }

    /// See [`BulkDelete::max`].
    pub fn max(self, max: NonZeroU64) -> Self {
        Self { delete: self.delete.max(Some(max)), ..self }
    }

    /// See [`BulkDelete::verify`].
    pub fn verify(self, verify: bool) -> Self {
        Self { delete: self.delete.verify(verify), ..self }
    }

    /// See [`RetryPolicy`].
    pub fn retry(self, policy: RetryPolicy) -> Self {
        let seed = self.client.seed();
        Self { delete: self.delete.retry(policy, seed), ..self }
    }

    /// Deletes, to the end.
    pub async fn run(self) -> Outcome {
        self.run_with(|_, _| ()).await
    }

    /// The same, and hands over every page and retry as it comes.
    pub async fn run_with(self, mut on_event: impl FnMut(&Bulk, &Event<DeletePage>)) -> Outcome {
        let mut bulk = self.delete.build();
        match self.client.run(&mut bulk, &mut on_event).await {
            Driven::Done(outcome) => outcome,
            // A closure never stops the loop.
            Driven::Stopped => bulk.outcome_so_far(),
        }
    }

    /// Deletes as far as the stream is asked for pages. [`Pages::machine`] tells the totals at any time.
    pub fn pages(self) -> Pages<Bulk> {
        Pages::new(self.client, self.delete.build())
    }
}
