//! What a checkpoint saves of a scheduler and brings back, and how requests in doubt are settled.

use crate::bugs::bug;
use crate::engine::failure::Cause;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::engine::lanes::Lane;
use crate::engine::operation::InvalidState;
use crate::engine::plan::Plan;
use crate::engine::scheduler::Scheduler;
use crate::engine::settlement::Settlement;
use crate::engine::totals::{Totals, add_one};

impl<P: Plan> Scheduler<P> {
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Lane<P::Job>> {
        self.slots.iter().flatten()
    }

    /// What has been done, without the requests in flight, which are saved with their lanes.
    pub(crate) fn totals_without_in_flight(&self) -> Totals {
        self.totals
    }

    pub(crate) fn resume_totals(&mut self, totals: Totals) {
        if !bug!(TotalsNotCarried) {
            self.totals = totals;
        }
    }

    /// Opens a lane that another process has left. `may_have_changed` is whether an attempt at its request may have been carried
    /// out.
    pub(crate) fn resume_lane(&mut self, job: P::Job, left: LeftBehind, may_have_changed: bool) {
        let repeat = job.repeat();
        let at = self.open_lane(job);
        if let Some(Some(lane)) = self.slots.get_mut(at).filter(|_| may_have_changed) {
            lane.exchange.on_unknown();
        }
        let (asked, cause) = match left {
            LeftBehind::Nothing => {
                self.ready.push_back(at);
                return;
            }
            LeftBehind::InFlight(asked) => {
                let cause = Cause::ProcessEnded;
                add_one(&mut self.totals.requests);
                add_one(&mut self.totals.unconfirmed);
                self.plan.on_unknown(asked, &cause);
                (asked, cause)
            }
            LeftBehind::InDoubt(asked) => (asked, Cause::LeftInDoubt),
        };
        let Some(lane) = self.slots.get_mut(at).and_then(Option::as_mut) else { return };
        if repeat == Repeat::InDoubt {
            lane.exchange.doubt(asked, cause.clone());
            self.halted.get_or_insert(Halt::InDoubt { asked, cause });
            return;
        }
        lane.exchange.on_unknown();
        if self.plan.budget() != Some(0) {
            add_one(&mut self.totals.retries);
        }
        self.ready.push_back(at);
    }

    /// Halts: nothing more is sent.
    pub(crate) fn halt(&mut self, halt: Halt) {
        self.halted.get_or_insert(halt);
    }

    pub(super) fn first_doubt(&self) -> Option<Halt> {
        self.doubts().next().map(|(_, asked, cause)| Halt::InDoubt { asked, cause: cause.clone() })
    }

    /// The requests that the caller has to look after, in the order in which they are settled, with how many runs each asked for.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = (&P::Job, u64, &Cause)> {
        self.lanes().filter_map(|lane| lane.exchange.in_doubt().map(|(asked, cause)| (&lane.job, asked, cause)))
    }

    /// Settles one request in doubt. If there are several, nothing is sent before each is settled.
    pub(crate) fn settle(&mut self, settlement: Settlement) -> Result<(), InvalidState> {
        let in_doubt =
            |slot: &Option<Lane<P::Job>>| slot.as_ref().is_some_and(|lane| lane.exchange.in_doubt().is_some());
        let at = self.slots.iter().position(in_doubt).ok_or(InvalidState)?;
        let lane = self.slots.get_mut(at).and_then(Option::as_mut).ok_or(InvalidState)?;
        let asked = lane.exchange.in_doubt().map(|(asked, _)| asked).unwrap_or_default();
        lane.exchange.settle();
        let next = match settlement {
            Settlement::Applied if bug!(AppliedSentAgain) => Next::More,
            Settlement::Applied => {
                let mut next = lane.job.on_applied();
                self.plan.on_applied(&mut lane.job, &mut next);
                next
            }
            Settlement::NotApplied => {
                self.totals.unconfirmed = self.totals.unconfirmed.saturating_sub(1);
                add_one(&mut self.totals.retries);
                self.plan.on_not_applied(asked);
                Next::More
            }
        };
        self.done = None;
        let doubt = if bug!(OneSettledGoesOn) { None } else { self.first_doubt() };
        self.halted = doubt;
        // Whoever goes on has all attempts, as a later process would.
        self.slots.iter_mut().flatten().for_each(|lane| lane.exchange.reset_attempts());
        self.go_on(at, next);
        Ok(())
    }
}

/// The state of a lane's request when its process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftBehind {
    Nothing,
    /// The request was in flight, and asked for so many runs.
    InFlight(u64),
    /// The request was in doubt, and asked for so many runs.
    InDoubt(u64),
}
