//! The scheduler: which lane sends next. This is the one place where a request is sent, retried, paced and given up. An
//! operation on one lane has a scheduler with one slot.
//!
//! It knows neither what a job asks for nor when an operation is done: its plan does.

use crate::bugs::bug;
use crate::engine::clock::Clock;
use crate::engine::exchange::Exchange;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Repeat};
use crate::engine::lanes::{Lane, Lanes};
use crate::engine::operation::{RequestId, Step};
use crate::engine::plan::{Drained, Plan};
use crate::engine::rate_limiter::RateLimiter;
use crate::engine::settings::Settings;
use crate::engine::totals::{Totals, add_one};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) mod continuation;
mod landing;

#[derive(Clone, Debug)]
pub(crate) struct Scheduler<P: Plan> {
    settings: Settings,
    pub(crate) plan: P,
    slots: Vec<Option<Lane<P::Job>>>,
    free: Vec<usize>,
    /// Lanes in the order in which they send. An entry whose lane is no longer ready is skipped.
    ready: VecDeque<usize>,
    /// Lanes that wait, by the end of their wait.
    waiting: BTreeSet<(Duration, usize)>,
    /// Lanes whose wait has not begun. It begins with the next `poll`, which has the time.
    backed_off: Vec<usize>,
    in_flight: usize,
    /// How many runs the requests in flight ask for.
    reserved: u64,
    /// Whether a lane was refused with a 429 since the last page.
    any_rate_limited: bool,
    /// How many requests `poll` has returned.
    sent: u64,
    /// How many lanes were opened. Each gets a seed of its own.
    opened: u64,
    /// Before this time no job is begun.
    paused_until: Option<Duration>,
    limiter: RateLimiter,
    clock: Clock,
    totals: Totals,
    /// Why no further request is sent.
    halted: Option<Halt>,
    done: Option<P::Outcome>,
}

/// What `poll` does when nothing has ended.
#[derive(Clone, Copy, Debug)]
enum Decision {
    /// The lane at the head of the queue sends its request.
    Send(usize),
    WaitUntil(Duration),
    AwaitResponse,
}

impl<P: Plan> Scheduler<P> {
    pub(crate) fn new(settings: Settings, plan: P) -> Self {
        Self {
            limiter: RateLimiter::new(settings.lanes.get(), settings.max_requests_per_second),
            settings,
            plan,
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            backed_off: Vec::new(),
            in_flight: 0,
            reserved: 0,
            any_rate_limited: false,
            sent: 0,
            opened: 0,
            paused_until: None,
            clock: Clock::default(),
            totals: Totals::default(),
            halted: None,
            done: None,
        }
    }

    pub(crate) fn poll(&mut self, now: Duration) -> Step<P::Outcome> {
        self.set_time(now);
        loop {
            if let Some(outcome) = &self.done {
                return Step::Done(outcome.clone());
            }
            if self.halted.is_some() {
                if self.in_flight > 0 {
                    return Step::AwaitResponse;
                }
                self.done = Some(self.plan.outcome(self.totals, self.halted.clone()));
                continue;
            }
            if let Err(halt) = self.open_lanes(now) {
                self.halted = Some(halt);
                continue;
            }
            let reserved = if bug!(BudgetNotReserved) { 0 } else { self.reserved };
            let left = self.plan.budget().map(|budget| budget.saturating_sub(reserved));
            if left == Some(0) && self.in_flight > 0 {
                // The requests in flight may act on fewer runs than they asked for.
                return Step::AwaitResponse;
            }
            let decision = if left == Some(0) { None } else { self.decide(now) };
            match decision {
                Some(Decision::Send(at)) => {
                    let Some(Some(lane)) = self.slots.get(at) else { return Step::AwaitResponse };
                    let asked = lane.job.asks(left);
                    match lane.job.request(&self.settings.endpoint, asked) {
                        Ok(request) => return Step::Send(self.hand_out(at, asked, now), request),
                        Err(error) => self.halted = Some(Halt::Unbuildable(error.to_string())),
                    }
                    continue;
                }
                Some(Decision::WaitUntil(until)) => return Step::WaitUntil(until),
                Some(Decision::AwaitResponse) => return Step::AwaitResponse,
                None => {}
            }
            match self.plan.drained(self.totals) {
                Drained::Again => {
                    if self.plan.queued() == 0 {
                        self.halted = Some(Halt::Unbuildable("a pass has no request".to_string()));
                    }
                }
                Drained::AgainAfter(wait) => self.paused_until = Some(now.saturating_add(wait)),
                Drained::Blocked => return Step::AwaitResponse,
                Drained::Done => self.done = Some(self.plan.outcome(self.totals, None)),
                Drained::Halt(halt) => self.halted = Some(halt),
            }
        }
    }

    /// Returns what to do, or `None` if there is nothing to send and nothing to wait for.
    fn decide(&mut self, now: Duration) -> Option<Decision> {
        self.wake(now);
        let mut until = self.next_wake();
        if let Some(paused) = self.paused_until {
            until = Some(until.map_or(paused, |until| until.min(paused)));
        }
        if let Some(at) = self.next_ready() {
            let earliest = self.limiter.earliest();
            if earliest <= now && self.limiter.has_room(self.in_flight) {
                return Some(Decision::Send(at));
            }
            if earliest > now {
                until = Some(until.map_or(earliest, |until| until.min(earliest)));
            }
        }
        match until {
            Some(until) => Some(Decision::WaitUntil(until)),
            None => (self.in_flight > 0).then_some(Decision::AwaitResponse),
        }
    }

    /// The request at the head of the queue is in flight from now on.
    fn hand_out(&mut self, at: usize, asked: u64, now: Duration) -> RequestId {
        let serial = self.sent;
        if let Some(Some(lane)) = self.slots.get_mut(at) {
            lane.exchange.send(serial, asked);
        }
        self.ready.pop_front();
        self.sent = self.sent.wrapping_add(1);
        self.in_flight += 1;
        self.reserved = self.reserved.saturating_add(asked);
        self.limiter.on_sent(now);
        RequestId { lane: at, serial }
    }

    /// Opens lanes for the jobs of the plan.
    fn open_lanes(&mut self, now: Duration) -> Result<(), Halt> {
        if self.paused_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        self.paused_until = None;
        while self.open() < self.settings.lanes.get() + usize::from(bug!(TooManyLanes)) {
            let Some(job) = self.plan.next()? else { break };
            let at = self.open_lane(job);
            self.ready.push_back(at);
        }
        Ok(())
    }

    fn open_lane(&mut self, job: P::Job) -> usize {
        let seed = self.settings.seed.wrapping_add(self.opened);
        self.opened = self.opened.wrapping_add(1);
        let lane = Some(Lane { job, exchange: Exchange::new(self.settings.policy, seed) });
        match self.free.pop() {
            Some(at) => {
                if let Some(slot) = self.slots.get_mut(at) {
                    *slot = lane;
                }
                at
            }
            None => {
                self.slots.push(lane);
                self.slots.len() - 1
            }
        }
    }

    fn close_lane(&mut self, at: usize) {
        if let Some(slot) = self.slots.get_mut(at) {
            if slot.take().is_some() {
                self.free.push(at);
            }
        }
    }

    /// The lane that sends next. It stays at the head of the queue.
    fn next_ready(&mut self) -> Option<usize> {
        while let Some(at) = self.ready.front().copied() {
            if self.slots.get(at).and_then(Option::as_ref).is_some_and(|lane| lane.exchange.is_ready()) {
                return Some(at);
            }
            self.ready.pop_front();
        }
        None
    }

    /// Takes the time of `poll`. Waits that were ordered since the last one begin now.
    fn set_time(&mut self, now: Duration) {
        if let Some(change) = self.clock.set(now) {
            self.limiter.on_clock_change(change);
            self.paused_until = self.paused_until.map(|until| change.translate(until));
            self.waiting.clear();
            for (at, slot) in self.slots.iter_mut().enumerate() {
                if let Some(until) = slot.as_mut().and_then(|lane| lane.exchange.on_clock_change(change)) {
                    self.waiting.insert((until, at));
                }
            }
        }
        // Also if no lane wants to send: the server counts from its response.
        self.limiter.begin_wait(now);
        if self.backed_off.is_empty() {
            return;
        }
        for at in core::mem::take(&mut self.backed_off) {
            if let Some(until) =
                self.slots.get_mut(at).and_then(Option::as_mut).and_then(|lane| lane.exchange.begin_backoff(now))
            {
                self.waiting.insert((until, at));
            }
        }
    }

    fn wake(&mut self, now: Duration) {
        while self.next_wake().is_some_and(|until| until <= now) {
            let Some((_, at)) = self.waiting.pop_first() else { return };
            if let Some(lane) = self.slots.get_mut(at).and_then(Option::as_mut) {
                lane.exchange.wake();
                self.ready.push_back(at);
            }
        }
    }

    /// When the first wait ends. Lanes that were closed while they waited are forgotten: nobody waits for them.
    fn next_wake(&mut self) -> Option<Duration> {
        while let Some((until, at)) = self.waiting.first().copied() {
            let lane = self.slots.get(at).and_then(Option::as_ref);
            if lane.is_some_and(|lane| lane.exchange.backoff_until() == Some(until)) {
                return Some(until);
            }
            self.waiting.pop_first();
        }
        None
    }

    fn rebalance(&mut self) {
        if self.halted.is_none() {
            let open = self.open();
            let (limit, closed) = (self.settings.lanes.get(), &mut self.free);
            self.plan.rebalance(&mut Lanes { slots: &mut self.slots, limit, open, closed });
        }
    }

    /// How many lanes are open.
    fn open(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.open().saturating_add(self.plan.queued()).min(self.settings.lanes.get()).max(1)
    }

    /// What has been done. A request in flight counts as unconfirmed until its response arrives.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.totals;
        for lane in self.slots.iter().flatten().filter(|lane| lane.exchange.asked().is_some()) {
            add_one(&mut totals.requests);
            if lane.job.repeat() != Repeat::Reads {
                add_one(&mut totals.unconfirmed);
            }
        }
        totals
    }

    pub(crate) fn halted(&self) -> Option<&Halt> {
        self.halted.as_ref()
    }

    /// The outcome, or the present state.
    pub(crate) fn outcome_so_far(&self) -> P::Outcome {
        self.done.clone().unwrap_or_else(|| self.plan.outcome(self.totals(), self.halted.clone()))
    }

    /// The outcome if the operation goes no further, for this reason or for one of its own.
    pub(crate) fn outcome_halted(&self, halt: Halt) -> P::Outcome {
        let halt = || self.halted.clone().unwrap_or(halt);
        self.done.clone().unwrap_or_else(|| self.plan.outcome(self.totals(), Some(halt())))
    }
}

#[cfg(test)]
mod tests;
