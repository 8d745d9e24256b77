//! What a client offers, each in one call.

use crate::bulk_request::BulkRequest;
use crate::client::Client;
use crate::pages::Pages;
use std::num::NonZeroUsize;
use upstash_dlq_core::wire::{
    Call, CancelCallback, Delete, DeleteOne, GetMessage, List, ListPage, Overrides, Restart, RestartOne, Resume,
    ResumeOne, RetryCallback, StartedRun,
};
use upstash_dlq_core::{DlqId, DlqMessage, Driven, Event, Halt, Listing, RetryPolicy, Selection, SingleCall};

impl Client {
    /// Deletes the selected runs, page after page. Nothing is sent before [`BulkRequest::run`].
    ///
    /// `client.delete(Selection::Everything).max(n).run().await`
    pub fn delete(&self, selection: Selection) -> BulkRequest<Delete> {
        BulkRequest::new(self.clone(), selection)
    }

    /// Resumes the selected runs where they failed, in one pass.
    ///
    /// `client.resume(selection).overrides(overrides).run().await`
    pub fn resume(&self, selection: Selection) -> BulkRequest<Resume> {
        BulkRequest::new(self.clone(), selection)
    }

    /// Restarts the selected runs from their beginning, in one pass.
    ///
    /// `client.restart(selection).run().await`
    pub fn restart(&self, selection: Selection) -> BulkRequest<Restart> {
        BulkRequest::new(self.clone(), selection)
    }

    /// Lists failed runs, page by page or one by one.
    ///
    /// `while let Some(run) = client.list(List::everything()).items().next().await { … }`
    pub fn list(&self, list: List) -> Pages<Listing> {
        let listing = Listing::builder(self.endpoint().clone(), list).retry(RetryPolicy::default(), self.seed());
        Pages::new(self.clone(), listing.build())
    }

    /// Counts the failed runs that `list` would list, on `lanes` lanes:
    /// `client.count(List::everything(), lanes).await?`
    ///
    /// # Errors
    /// Returns the [`Halt`] if the service refused a request or could not be reached.
    pub async fn count(&self, list: List, lanes: NonZeroUsize) -> Result<u64, Halt> {
        let listing = Listing::builder(self.endpoint().clone(), list).retry(RetryPolicy::default(), self.seed());
        let mut listing = listing.lanes(lanes, self.now()).build();
        match self.run(&mut listing, &mut |_: &Listing, _: &Event<ListPage>| ()).await {
            Driven::Done(outcome) => outcome.halted.map_or(Ok(outcome.listed), Err),
            // A closure never stops the loop.
            Driven::Stopped => Err(Halt::NoProgress),
        }
    }

    /// Makes one call, with the default retries. The methods below are shorter.
    ///
    /// # Errors
    /// Returns the [`Halt`] if the service refused the call or could not be reached. For a call that must not be repeated,
    /// returns [`Halt::InDoubt`] if it is unknown whether it was carried out.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Output, Halt> {
        let call = SingleCall::builder(self.endpoint().clone(), call).retry(RetryPolicy::default(), self.seed());
        match self.run(&mut call.build(), &mut |_: &SingleCall<C>, _: &Event<()>| ()).await {
            Driven::Done(result) => result,
            // A closure never stops the loop.
            Driven::Stopped => Err(Halt::NoProgress),
        }
    }

    /// Fetches one failed run: `client.get(id).await?`
    ///
    /// # Errors
    /// See [`Self::call`].
    pub async fn get(&self, id: DlqId) -> Result<DlqMessage, Halt> {
        self.call(GetMessage(id)).await
    }

    /// Deletes one run, which must be there: `client.delete_one(id).await?`
    ///
    /// # Errors
    /// See [`Self::call`]. After a lost response, a 404 can also mean that the run was deleted.
    pub async fn delete_one(&self, id: DlqId) -> Result<(), Halt> {
        self.call(DeleteOne(id)).await
    }

    /// Resumes one run: `client.resume_one(id, Overrides::default()).await?`
    ///
    /// # Errors
    /// See [`Self::call`].
    pub async fn resume_one(&self, id: DlqId, overrides: Overrides) -> Result<StartedRun, Halt> {
        self.call(ResumeOne { id, overrides }).await
    }

    /// Restarts one run from its beginning: `client.restart_one(id, Overrides::default()).await?`
    ///
    /// # Errors
    /// See [`Self::call`].
    pub async fn restart_one(&self, id: DlqId, overrides: Overrides) -> Result<StartedRun, Halt> {
        self.call(RestartOne { id, overrides }).await
    }

    /// Sends a failed failure callback again: `client.retry_callback(id).await?`
    ///
    /// # Errors
    /// See [`Self::call`].
    pub async fn retry_callback(&self, id: DlqId) -> Result<StartedRun, Halt> {
        self.call(RetryCallback(id)).await
    }

    /// Cancels a failure callback in progress: `client.cancel_callback(id).await?`
    ///
    /// # Errors
    /// See [`Self::call`].
    pub async fn cancel_callback(&self, id: DlqId) -> Result<(), Halt> {
        self.call(CancelCallback(id)).await
    }
}
