//! Where an operation looks for runs: a listing, pass after pass, or the runs of given ids, each fetched by itself.

use crate::bugs::bug;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::lanes::Lanes;
use crate::engine::plan::Plan;
use crate::job::chosen::ChosenJob;
use crate::job::fetch::FetchJob;
use crate::job::list::ListJob;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::time::UnixMillis;
use crate::plan::density::{self, Densest};
use crate::plan::listing_windows::ListingWindows;
use crate::selection::ids::Ids;
use crate::wire::bulk::BulkOperation;
use crate::wire::list::{List, ListPage};
use alloc::boxed::Box;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) enum Source {
    Listing(Box<ListingSource>),
    Ids(IdSource),
}

/// A listing that is made again and again. A pass is one of them.
#[derive(Clone, Debug)]
pub(super) struct ListingSource {
    endpoint: Endpoint,
    list: List,
    lanes: usize,
    now: UnixMillis,
    windows: ListingWindows,
    /// Whether windows are cut while they are listed.
    cuts: bool,
    densest: Densest,
    /// How many pages of this pass were not the last of their window.
    pages_with_more: u64,
    /// How many lanes have begun to list, and have more.
    open: usize,
    /// Lanes that go on once fewer batches are outstanding.
    parked: Vec<ListJob>,
    /// No further page of this pass is of use.
    is_closed: bool,
    /// Nothing of this pass is left.
    is_over: bool,
    /// The pass did not look at everything.
    is_cut_short: bool,
}

impl ListingSource {
    /// `cuts` is whether the lanes may cut windows while they list them. Then a server that does not keep to dates is found out
    /// late, which needs another pass.
    pub(super) fn new(endpoint: Endpoint, list: List, lanes: usize, now: UnixMillis, cuts: bool) -> Self {
        let windows = windows(&endpoint, list.clone(), lanes, now, cuts);
        Self {
            endpoint,
            list,
            lanes,
            now,
            windows,
            cuts,
            densest: Densest::default(),
            pages_with_more: 0,
            open: 0,
            parked: Vec::new(),
            is_closed: false,
            is_over: false,
            is_cut_short: false,
        }
    }

    /// Begins another pass, of at most so many runs a page.
    pub(super) fn begin_pass(&mut self, most: u32) {
        let lanes = if self.windows.are_dates_ignored() { 1 } else { self.lanes };
        let page_size = self.windows.page_size();
        let list = self.list.clone();
        *self = Self::new(self.endpoint.clone(), list, lanes, self.now, self.cuts);
        self.windows = windows(&self.endpoint, self.list.clone().page_size(most), lanes, self.now, self.cuts);
        self.windows.begin_with(page_size);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Says that the pass has to be followed by another one.
    pub(super) fn cut_short(&mut self) {
        self.is_cut_short = true;
    }

    /// No further page is of use.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.parked.clear();
        self.advance();
    }

    pub(super) fn next(&mut self) -> Result<Option<ListJob>, Halt> {
        if self.is_closed {
            return Ok(None);
        }
        let job = match self.parked.pop() {
            Some(job) => Some(job),
            None => self.windows.next()?,
        };
        self.open += usize::from(job.is_some());
        Ok(job)
    }

    pub(super) fn queued(&self) -> usize {
        if self.is_closed { 0 } else { self.parked.len() + self.windows.queued() }
    }

    /// Takes a page. Returns what of it is of use. `may_pass_again` is whether another pass may follow this one.
    pub(super) fn on_page(
        &mut self,
        job: &mut ListJob,
        mut page: ListPage,
        next: &mut Next,
        may_pass_again: bool,
    ) -> ListPage {
        if self.is_closed {
            page.messages.clear();
            *next = Next::Finished;
            return page;
        }
        page = self.windows.on_page(job, page, next);
        if page.cursor.is_none() {
            self.densest.learn(&job.window, job.listed(), self.list.page_size);
        } else {
            self.pages_with_more = self.pages_with_more.saturating_add(1);
        }
        if *next == Next::Halt(Halt::DatesIgnored) && (may_pass_again || bug!(CutShortStarted)) {
            // What the lanes have found is of use all the same. The next pass has one lane, and looks at the rest.
            *next = Next::Finished;
            self.is_closed = true;
            self.is_cut_short = true;
            self.parked.clear();
        }
        page
    }

    /// Goes on after a page. `has_room` is whether its lane may go on at once.
    pub(super) fn after_page(&mut self, job: &ListJob, next: &mut Next, has_room: bool) {
        if *next == Next::More && !has_room {
            self.parked.push(job.clone());
            *next = Next::Finished;
        }
        if *next == Next::Finished {
            self.open = self.open.saturating_sub(1);
        }
        self.advance();
    }

    /// Goes on to the next windows once no lane lists any more.
    fn advance(&mut self) {
        if self.open == 0 && self.queued() == 0 && !self.is_over {
            self.is_over = self.is_closed || !self.windows.next_windows();
        }
    }

    /// Closes the lanes whose pages are no longer of use, and cuts windows for lanes that have nothing to do. `outstanding` is how
    /// many batches are not done.
    pub(super) fn rebalance<O: BulkOperation>(&mut self, lanes: &mut Lanes<'_, ChosenJob<O>>, outstanding: usize) {
        if self.is_closed || self.windows.is_draining() {
            let closed = lanes.close_idle_if(|job| matches!(job, ChosenJob::List(_)));
            self.open = self.open.saturating_sub(closed);
            self.parked.clear();
            self.advance();
        } else if self.cuts {
            self.cut(lanes, outstanding);
        }
    }

    /// A cut window starts over, without the runs that were deleted. What is listed again is known, but costs its pages once more.
    fn cut<O: BulkOperation>(&mut self, lanes: &mut Lanes<'_, ChosenJob<O>>, outstanding: usize) {
        let looking = self.open + self.queued();
        let allowed = density::lanes_after(self.pages_with_more, lanes.limit);
        let idle = allowed.saturating_sub(looking.saturating_add(outstanding));
        if idle == 0 || self.queued() > 0 {
            return;
        }
        let (densest, page) = (self.densest, self.list.page_size);
        let left = |job: &ListJob| densest.left_in(&job.window, job.listed(), page);
        let begun = lanes.jobs().filter_map(ChosenJob::listing).filter(|job| job.has_begun());
        let most = begun.map(left).max().unwrap_or_default();
        let begun = lanes.at_page_boundary().filter_map(ChosenJob::listing_mut).filter(|job| job.has_begun());
        let Some((left, widest)) = begun.map(|job| (left(job), job)).max_by_key(|(left, _)| *left) else { return };
        if densest.pays(left, most, widest.staying, page) {
            self.windows.cut(widest, 1 + idle.div_ceil(self.open.max(1)));
        }
    }
}

fn windows(endpoint: &Endpoint, list: List, lanes: usize, now: UnixMillis, cuts: bool) -> ListingWindows {
    let windows = ListingWindows::new(endpoint, list, lanes, now);
    if cuts { windows.cut_later() } else { windows }
}

/// The runs of given ids.
#[derive(Clone, Debug)]
pub(super) struct IdSource {
    ids: Ids,
    /// How many of the ids may be acted on.
    limit: usize,
    /// How many of the ids were requested.
    begun: usize,
    in_flight: usize,
    /// Ids of batches that were given up.
    again: Vec<DlqId>,
}

impl IdSource {
    pub(super) fn new(ids: Ids, limit: usize) -> Self {
        Self { ids, limit, begun: 0, in_flight: 0, again: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<FetchJob> {
        let id = self.again.pop().or_else(|| {
            let id = self.ids.as_slice().get(..self.limit)?.get(self.begun).cloned();
            self.begun += usize::from(id.is_some());
            id
        })?;
        self.in_flight += 1;
        Some(FetchJob::new(id))
    }

    pub(super) fn queued(&self) -> usize {
        self.again.len() + self.limit.saturating_sub(self.begun)
    }

    pub(super) fn on_page(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Requests these ids again.
    pub(super) fn fetch_again(&mut self, ids: Vec<DlqId>) {
        self.again.extend(ids.into_iter().rev());
    }

    /// Whether every id that may be acted on was fetched.
    pub(super) fn is_over(&self) -> bool {
        self.queued() == 0 && self.in_flight == 0
    }

    /// Whether all ids may be acted on.
    pub(super) fn is_whole(&self) -> bool {
        self.limit == self.ids.len()
    }
}
