//! The windows of a bulk operation by filter.
//!
//! A delete begins with the whole window. Each page that acted on runs and is not the last of its window allows more lanes: the
//! window is cut where runs lie, and a lane that is done takes a part of the window of another one, if that probably has more than
//! two pages left. A cut forgets the window's cursor, which is safe for a delete only. When all windows are empty, another pass over
//! the whole begins, until a pass finds nothing left. A resume or restart has one window and makes one pass, so it does not depend
//! on dates.

use crate::bugs::bug;
use crate::engine::failure::Cause;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::lanes::Lanes;
use crate::engine::plan::{Drained, Plan};
use crate::engine::totals::{Ending, Totals};
use crate::job::pages::{PagesJob, Place};
use crate::model::endpoint::Endpoint;
use crate::plan::budget::Budget;
use crate::plan::density::{self, Densest};
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::{BulkOperation, BulkPage};
use crate::wire::overrides::Overrides;
use crate::wire::query::Prefix;
use alloc::collections::VecDeque;
use alloc::string::ToString;
use core::num::NonZeroU32;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug)]
pub(crate) struct Cut<O> {
    pub(crate) scope: Scope,
    pub(crate) whole: Window,
    pub(crate) budget: Budget,
    pub(crate) pass: Pass,
    queue: VecDeque<Window>,
    densest: Densest,
    /// Why the last unconfirmed request stayed so. It is the reason of a halt if passes only repeat. A checkpoint does not hold it.
    last_unknown: Cause,
    is_verified: bool,
    operation: core::marker::PhantomData<O>,
}

/// What all windows of the operation share.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) endpoint: Endpoint,
    pub(crate) selection: Selection,
    pub(crate) page_size: NonZeroU32,
    pub(crate) overrides: Overrides,
    /// Whether passes go on until one finds nothing left.
    pub(crate) verify: bool,
    /// How many passes in a row may affect nothing and prove nothing.
    pub(crate) max_passes: u32,
}

/// What is known about the current pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pass {
    affected: bool,
    unconfirmed: bool,
    /// How many passes in a row affected nothing and proved nothing.
    barren: u32,
    /// How many pages acted on runs and were not the last of their window.
    full_pages: u64,
    /// Whether the last page of a resume or restart has arrived. It must not begin again.
    pub(crate) finished: bool,
}

impl Pass {
    /// Whether the pass has affected nothing and left nothing unconfirmed.
    fn is_clean(self) -> bool {
        !self.affected && !self.unconfirmed
    }
}

impl<O: BulkOperation> Cut<O> {
    pub(crate) fn new(scope: Scope, whole: Window, budget: Budget, pass: Pass) -> Self {
        let (queue, operation) = (VecDeque::new(), core::marker::PhantomData);
        Self {
            scope,
            whole,
            budget,
            pass,
            queue,
            densest: Densest::default(),
            last_unknown: Cause::LeftInDoubt,
            is_verified: false,
            operation,
        }
    }

    /// Begins a pass over the whole.
    pub(crate) fn begin_pass(&mut self) {
        self.pass = Pass { barren: self.pass.barren, ..Pass::default() };
        self.queue.push_back(self.whole);
    }

    /// Begins another pass if the operation had halted after too many passes that proved nothing.
    pub(crate) fn begin_pass_if_barren(&mut self) {
        if O::RETRY_SAFE && self.pass.barren >= self.scope.max_passes {
            self.pass.barren = 0;
            self.begin_pass();
        }
    }

    /// The windows that wait for a lane.
    pub(crate) fn queue(&self) -> impl Iterator<Item = Window> {
        self.queue.iter().copied()
    }

    /// Makes the job of one window.
    ///
    /// # Errors
    /// Returns a [`Halt`] if the window does not lie in the selection's own. Only a defect or a forged file does that.
    pub(crate) fn job(&self, window: Window, place: Place) -> Result<PagesJob<O>, Halt> {
        let Scope { endpoint, selection, page_size, overrides, .. } = &self.scope;
        let selection = window.narrow(selection).map_err(|error| Halt::Unbuildable(error.to_string()))?;
        let page_size = u64::from(page_size.get());
        let prefix = Prefix::new(endpoint.path(O::PATH), selection.filter(), page_size);
        Ok(PagesJob::new(prefix, page_size, overrides.clone(), window, place))
    }
}

impl<O: BulkOperation> Plan for Cut<O> {
    type Job = PagesJob<O>;
    type Page = O::Page;
    type Outcome = Ending;

    fn next(&mut self) -> Result<Option<PagesJob<O>>, Halt> {
        let Some(window) = self.queue.pop_front() else { return Ok(None) };
        self.job(window, Place::default()).map(Some)
    }

    fn queued(&self) -> usize {
        self.queue.len()
    }

    fn budget(&self) -> Option<u64> {
        self.budget.left()
    }

    fn on_page(&mut self, job: &mut PagesJob<O>, page: O::Page, next: &mut Next) -> O::Page {
        self.budget.charge(page.affected());
        if page.affected() > 0 {
            self.pass.affected = true;
            self.pass.barren = 0;
        }
        self.pass.full_pages = self.pass.full_pages.saturating_add(u64::from(job.full));
        if *next == Next::Finished {
            self.densest.learn(&job.window, job.acted, self.scope.page_size.get());
        }
        self.pass.finished |= !O::RETRY_SAFE && *next == Next::Finished && !bug!(FinishedBegunAgain);
        page
    }

    fn rebalance(&mut self, lanes: &mut Lanes<'_, PagesJob<O>>) {
        let allowed = density::lanes_after(self.pass.full_pages, lanes.limit);
        let idle = allowed.saturating_sub(lanes.open.saturating_add(self.queue.len()));
        if idle == 0 || !O::RETRY_SAFE {
            return;
        }
        // Idle lanes are shared with windows whose first page is still to come: about half of them will be full, too. One part more
        // than there are lanes waits for the next lane, so that a window is cut less often.
        let full = lanes.jobs().filter(|job| job.full).count();
        let busy = full + lanes.open.saturating_sub(full) / 2;
        let (densest, page) = (self.densest, self.scope.page_size.get());
        let left = |job: &PagesJob<O>| densest.left_in(&job.window, job.acted, page);
        let most = lanes.jobs().filter(|job| job.full).map(left).max().unwrap_or_default();
        let full = lanes.at_page_boundary().filter(|job| job.full);
        let Some((left, widest)) = full.map(|job| (left(job), job)).max_by_key(|(left, _)| *left) else { return };
        if !densest.pays(left, most, 0, page) {
            return;
        }
        let parts = widest.window.split(2 + idle.div_ceil(busy.max(1)));
        let [first, rest @ ..] = parts.as_slice() else { return };
        if rest.is_empty() {
            return;
        }
        // A part of a valid window is valid, too. If it is not, the window stays whole.
        let place = if bug!(CursorKeptAcrossCut) { widest.place.clone() } else { Place::default() };
        if let Ok(job) = self.job(*first, place) {
            *widest = job;
            self.queue.extend(rest);
        }
    }

    fn on_unknown(&mut self, asked: u64, cause: &Cause) {
        self.pass.unconfirmed = true;
        if !bug!(BudgetNotCharged) {
            self.budget.charge(asked);
        }
        self.last_unknown = cause.clone();
    }

    fn on_not_applied(&mut self, asked: u64) {
        self.budget.refund(asked);
    }

    fn on_restarted(&mut self, job: &PagesJob<O>) {
        if job.window == self.whole {
            // The window is the whole, so the pass starts over.
            self.pass.affected = false;
            self.pass.unconfirmed = false;
        }
    }

    fn drained(&mut self, totals: Totals) -> Drained {
        let is_clean = self.pass.is_clean();
        if !O::RETRY_SAFE {
            // It makes exactly one pass, because a second one could start the same runs again. So it proves nothing.
            return Drained::Done;
        }
        if self.budget.is_spent_short_of_max(totals.affected) && !bug!(UnconfirmedTakenAsReached) {
            return Drained::Halt(Halt::MaximumUnconfirmed);
        }
        if is_clean || self.budget.is_spent() || !self.scope.verify || bug!(NoConfirmingPass) {
            self.is_verified = is_clean && !self.budget.is_spent();
            self.is_verified |= bug!(NoConfirmingPass);
            self.is_verified |= bug!(VerifiedAtMaximum) && self.budget.is_spent();
            return Drained::Done;
        }
        if !self.pass.affected {
            self.pass.barren = self.pass.barren.saturating_add(1);
        }
        if self.pass.barren >= self.scope.max_passes {
            let (attempts, last) = (self.pass.barren, self.last_unknown.clone());
            return Drained::Halt(Halt::GaveUp { attempts, last, may_have_changed: true });
        }
        self.begin_pass();
        Drained::Again
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> Ending {
        Ending { totals, verified: self.is_verified && halted.is_none(), unchecked: 0, halted }
    }
}
