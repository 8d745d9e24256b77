//! Which lanes an operation has, and when it is done. Passes, the maximum and what proves that nothing is left live here, so
//! that one lane and many share them.

use crate::engine::failure::Cause;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next};
use crate::engine::lanes::Lanes;
use crate::engine::totals::Totals;
use core::fmt::Debug;
use core::time::Duration;

pub(crate) trait Plan {
    type Job: Job;
    /// What the caller gets for each page.
    type Page;
    type Outcome: Clone + Debug;

    /// Returns the next job for a free lane.
    ///
    /// # Errors
    /// Returns a [`Halt`] if the job cannot be made. The operation then stops.
    fn next(&mut self) -> Result<Option<Self::Job>, Halt>;

    /// How many jobs wait for a lane.
    fn queued(&self) -> usize;

    /// What is left of the maximum, without regard to requests in flight.
    fn budget(&self) -> Option<u64> {
        None
    }

    /// Takes a page. The job has moved on as `next` says, which the plan may change.
    fn on_page(&mut self, job: &mut Self::Job, page: <Self::Job as Job>::Page, next: &mut Next) -> Self::Page;

    /// Cuts, restarts or closes lanes that stand at a page boundary. Called after each response.
    fn rebalance(&mut self, _lanes: &mut Lanes<'_, Self::Job>) {}

    /// It is unknown whether a request that asked for so many runs was carried out.
    fn on_unknown(&mut self, _asked: u64, _cause: &Cause) {}

    /// Such a request was settled as carried out. The job has moved on as `next` says.
    fn on_applied(&mut self, _job: &mut Self::Job, _next: &mut Next) {}

    /// Such a request was settled as not carried out.
    fn on_not_applied(&mut self, _asked: u64) {}

    /// The job has started over.
    fn on_restarted(&mut self, _job: &Self::Job) {}

    /// No lane has anything left to do, and nothing is in flight.
    fn drained(&mut self, totals: Totals) -> Drained;

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> Self::Outcome;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// There is more: [`Plan::next`] has another job.
    Again,
    /// There is more after a wait.
    AgainAfter(Duration),
    /// The operation waits for its caller.
    Blocked,
    Done,
    Halt(Halt),
}
