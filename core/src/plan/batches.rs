//! The batches of a list of ids. Each batch is one request.

use crate::bugs::bug;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::plan::{Drained, Plan};
use crate::engine::totals::{Ending, Totals};
use crate::job::batch::BatchJob;
use crate::model::endpoint::Endpoint;
use crate::selection::ids::Ids;
use crate::wire::bulk::BulkOperation;
use crate::wire::overrides::Overrides;
use crate::wire::query::ids_that_fit;
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ops::Range;

#[derive(Clone, Debug)]
pub(crate) struct Batches<O> {
    ids: Arc<Ids>,
    overrides: Overrides,
    /// The length of a request's URL without ids, in bytes.
    url_len: usize,
    /// How many of the ids may be sent. An id that is sent again asks for no further run, so the maximum only limits which
    /// ids are sent at all.
    pub(crate) limit: usize,
    /// How many of the ids are in batches that were begun.
    pub(crate) begun: usize,
    /// How many of the ids the server has handled.
    pub(crate) done: usize,
    is_verified: bool,
    operation: PhantomData<O>,
}

impl<O: BulkOperation> Batches<O> {
    /// `before` is how many ids of the same list earlier operations have handled. They count against the maximum.
    pub(crate) fn new(
        endpoint: &Endpoint,
        ids: Ids,
        overrides: Overrides,
        max: Option<NonZeroU64>,
        before: u64,
    ) -> Self {
        let max = max.map_or(u64::MAX, |max| max.get().saturating_sub(before));
        Self {
            limit: ids.len().min(usize::try_from(max).unwrap_or(usize::MAX)),
            url_len: endpoint.path(O::PATH).len() + endpoint.url_overhead(),
            ids: Arc::new(ids),
            overrides,
            begun: 0,
            done: 0,
            is_verified: false,
            operation: PhantomData,
        }
    }

    pub(crate) fn job(&self, range: Range<usize>) -> BatchJob<O> {
        BatchJob::new(self.ids.clone(), range, self.overrides.clone())
    }
}

impl<O: BulkOperation> Plan for Batches<O> {
    type Job = BatchJob<O>;
    type Page = O::Page;
    type Outcome = Ending;

    fn next(&mut self) -> Result<Option<BatchJob<O>>, Halt> {
        let left = self.ids.as_slice().get(self.begun..self.limit).unwrap_or_default();
        let most = O::MAX_PAGE_SIZE.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let most = if bug!(BatchTooLarge) { usize::MAX } else { most };
        let left = left.get(..most.min(left.len())).unwrap_or_default();
        if left.is_empty() {
            return Ok(None);
        }
        let range = self.begun..self.begun.saturating_add(ids_that_fit(self.url_len, left));
        self.begun = range.end + usize::from(bug!(IdLeftOut) && range.end < self.limit);
        Ok(Some(self.job(range)))
    }

    fn queued(&self) -> usize {
        // A batch holds at least one id.
        self.limit.saturating_sub(self.begun)
    }

    fn on_page(&mut self, job: &mut BatchJob<O>, page: O::Page, _next: &mut Next) -> O::Page {
        self.done = self.done.saturating_add(job.range.len());
        page
    }

    fn on_applied(&mut self, job: &mut BatchJob<O>, _next: &mut Next) {
        self.done = self.done.saturating_add(job.range.len());
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        self.is_verified = self.limit == self.ids.len();
        Drained::Done
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> Ending {
        Ending { totals, verified: self.is_verified && halted.is_none(), unchecked: 0, halted }
    }
}
