//! The scheduler: which lane sends next. This is the one place where a request is sent, retried, paced and given up. An
//! operation on one lane has a scheduler with one slot.
//!
//! It knows neither what a job asks for nor when an operation is done: its plan does.

use crate::bugs::bug;
use crate::engine::clock::Clock;
use crate::engine::exchange::Exchange;
use crate::engine::failure::{Cause, Delivery, TransportFailure};
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::engine::lanes::{Lane, Lanes};
use crate::engine::operation::{Event, InvalidState, RequestId, Retried, Step};
use crate::engine::outcome::{Totals, add_one};
use crate::engine::plan::{Drained, Plan};
use crate::engine::rate_limiter::RateLimiter;
use crate::engine::retry::{RetryClass, classify};
use crate::engine::settings::Settings;
use crate::wire::error::ResponseError;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;
use http::Response;

pub(crate) mod continuation;

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

    pub(crate) fn on_response(
        &mut self,
        id: RequestId,
        response: &Response<&[u8]>,
    ) -> Result<Event<P::Page>, InvalidState> {
        let asked = self.land(id)?;
        add_one(&mut self.totals.requests);
        self.limiter.on_headers(response.headers());
        let lane = self.slots.get_mut(id.lane).and_then(Option::as_mut).ok_or(InvalidState)?;
        let page = match lane.job.parse(response) {
            Ok(page) => page,
            Err(error) => return Ok(self.on_error(id, asked, response, error)),
        };
        add_one(&mut self.totals.pages);
        self.totals.affected = self.totals.affected.saturating_add(P::Job::affected(&page));
        if bug!(TotalsAddedTwice) && lane.exchange.may_have_changed() {
            self.totals.affected = self.totals.affected.saturating_add(P::Job::affected(&page));
        }
        self.limiter.on_page();
        if !lane.exchange.may_have_changed() {
            // An earlier attempt may have acted on runs that this one did not find.
            self.totals.missing = self.totals.missing.saturating_add(lane.job.missing(&page));
        }
        lane.exchange.begin_next();
        let mut next = lane.job.on_page(&page);
        let page = self.plan.on_page(&mut lane.job, page, &mut next);
        self.go_on(id.lane, next);
        self.reset_rate_limited();
        self.rebalance();
        Ok(Event::Page(page))
    }

    pub(crate) fn on_failure(
        &mut self,
        id: RequestId,
        failure: TransportFailure,
    ) -> Result<Event<P::Page>, InvalidState> {
        let asked = self.land(id)?;
        let class = match failure.delivery {
            Delivery::NotSent if bug!(NotSentTakenAsUnknown) => RetryClass::Unknown { wait: None },
            Delivery::NotSent => RetryClass::NotDone { wait: None },
            Delivery::Unknown if bug!(TooLargeTakenAsNotSent) && failure.larger_than.is_some() => {
                RetryClass::NotDone { wait: None }
            }
            Delivery::Unknown if bug!(UnknownTakenAsNotSent) => RetryClass::NotDone { wait: None },
            Delivery::Unknown => {
                add_one(&mut self.totals.requests);
                RetryClass::Unknown { wait: None }
            }
        };
        let failure = failure.redacted(&self.settings.endpoint);
        if let Some(event) = self.on_too_large(id, &failure) {
            return Ok(event);
        }
        Ok(self.retry(id, asked, class, Cause::Transport(failure)))
    }

    /// Asks for less if a response that only reads was too large. That is another request: it costs no attempt and no wait.
    /// Returns `None` if the failure is one like any other.
    fn on_too_large(&mut self, id: RequestId, failure: &TransportFailure) -> Option<Event<P::Page>> {
        let bound = failure.larger_than?;
        let lane = self.slots.get_mut(id.lane).and_then(Option::as_mut)?;
        if lane.job.repeat() != Repeat::Reads {
            return None;
        }
        if bug!(TooLargeSkipped) {
            self.close_lane(id.lane);
            return Some(Event::Retry(Retried { cause: Cause::Transport(failure.clone()), after: Duration::ZERO }));
        }
        if lane.job.on_too_large(bound) {
            lane.exchange.reset_attempts();
            self.ready.push_back(id.lane);
            self.rebalance();
            return Some(Event::Retry(Retried { cause: Cause::Transport(failure.clone()), after: Duration::ZERO }));
        }
        if lane.exchange.on_too_large() {
            return None;
        }
        let halt = Halt::TooLarge { what: lane.job.oversized(), bound };
        Some(self.stop(id.lane, halt))
    }

    pub(crate) fn cancel_unsent(&mut self, id: RequestId) -> Result<(), InvalidState> {
        let lane = self.slots.get_mut(id.lane).and_then(Option::as_mut).ok_or(InvalidState)?;
        let asked = lane.exchange.cancel(id.serial)?;
        self.leave_flight(asked);
        self.ready.push_front(id.lane);
        Ok(())
    }

    pub(crate) fn connection_lost(&mut self) {
        for lane in 0..self.slots.len() {
            let serial = self.slots.get(lane).and_then(Option::as_ref).and_then(|lane| lane.exchange.serial());
            if bug!(LostConnectionForgotten) {
                let _ = serial.map(|serial| self.cancel_unsent(RequestId { lane, serial }));
            } else if let Some(serial) = serial {
                // The request is in flight, so this is no invalid state.
                let _ = self.on_failure(RequestId { lane, serial }, Delivery::Unknown.into());
            }
        }
        self.clock.replace();
    }

    fn land(&mut self, id: RequestId) -> Result<u64, InvalidState> {
        let lane = self.slots.get_mut(id.lane).and_then(Option::as_mut).ok_or(InvalidState)?;
        let asked = lane.exchange.land(id.serial)?;
        self.leave_flight(asked);
        Ok(asked)
    }

    fn leave_flight(&mut self, asked: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.reserved = self.reserved.saturating_sub(asked);
    }

    fn on_error(
        &mut self,
        id: RequestId,
        asked: u64,
        response: &Response<&[u8]>,
        error: ResponseError,
    ) -> Event<P::Page> {
        let class = classify(response, &error);
        let (mut restarted, mut may_have_changed) = (false, false);
        if let (Some(Some(lane)), RetryClass::Final) = (self.slots.get_mut(id.lane), class) {
            restarted = lane.job.on_refused(&error);
            may_have_changed = lane.exchange.may_have_changed();
            if restarted {
                lane.exchange.reset_attempts();
                self.plan.on_restarted(&lane.job);
                self.ready.push_back(id.lane);
            }
        }
        let error = error.redacted(&self.settings.endpoint);
        match class {
            RetryClass::Final if restarted => {
                Event::Retry(Retried { cause: Cause::Response(error), after: Duration::ZERO })
            }
            RetryClass::Final => self.stop(id.lane, Halt::Refused { error, may_have_changed }),
            RetryClass::NotDone { .. } | RetryClass::RateLimited { .. } | RetryClass::Unknown { .. } => {
                self.retry(id, asked, class, Cause::Response(error))
            }
        }
    }

    fn retry(&mut self, id: RequestId, asked: u64, class: RetryClass, cause: Cause) -> Event<P::Page> {
        let Some(lane) = self.slots.get_mut(id.lane).and_then(Option::as_mut) else { return Event::Ended };
        let wait = match class {
            RetryClass::NotDone { wait } | RetryClass::RateLimited { wait } => wait,
            RetryClass::Unknown { wait } => {
                let repeat = lane.job.repeat();
                if repeat != Repeat::Reads && !bug!(UnconfirmedNotCounted) {
                    add_one(&mut self.totals.unconfirmed);
                    lane.exchange.on_unknown();
                    self.plan.on_unknown(asked, &cause);
                }
                if repeat == Repeat::InDoubt && !bug!(StartRepeated) {
                    lane.exchange.doubt(asked, cause);
                    // It replaces any other halt, because the caller has to settle it.
                    let doubt = self.first_doubt();
                    self.halted = doubt;
                    return Event::Ended;
                }
                wait
            }
            RetryClass::Final => None,
        };
        let after = match lane.exchange.fail(wait, &cause) {
            Ok(after) => after,
            Err(halt) => return self.stop(id.lane, halt),
        };
        if self.plan.budget() == Some(0) {
            // The maximum is used up by requests that may have been carried out: nothing is repeated.
            self.ready.push_back(id.lane);
            return Event::Ended;
        }
        add_one(&mut self.totals.retries);
        if let RetryClass::RateLimited { .. } = class {
            lane.exchange.clear_backoff();
            self.ready.push_back(id.lane);
            self.any_rate_limited = true;
            self.limiter.on_rate_limited(id.serial, self.sent, after);
        } else {
            lane.exchange.back_off(after);
            self.backed_off.push(id.lane);
        }
        self.rebalance();
        Event::Retry(Retried { cause, after })
    }

    /// Halts: nothing more is sent. The lane stays as it is, so that a checkpoint has it.
    fn stop(&mut self, at: usize, halt: Halt) -> Event<P::Page> {
        self.ready.push_back(at);
        self.halted.get_or_insert(halt);
        Event::Ended
    }

    fn go_on(&mut self, at: usize, next: Next) {
        match next {
            Next::More => self.ready.push_back(at),
            Next::Finished => self.close_lane(at),
            Next::Halt(halt) => {
                let _ = self.stop(at, halt);
            }
        }
    }

    /// After a page, a 429 before it does not count as a failed attempt: other lanes make progress.
    fn reset_rate_limited(&mut self) {
        if core::mem::take(&mut self.any_rate_limited) {
            let lanes = self.slots.iter_mut().flatten().filter(|lane| lane.exchange.is_rate_limited());
            lanes.for_each(|lane| lane.exchange.reset_attempts());
        }
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
