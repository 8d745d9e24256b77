//! What becomes of a request that has landed: its response is read, it is sent again, or the operation halts.

use crate::bugs::bug;
use crate::engine::failure::{Cause, Delivery, TransportFailure};
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::engine::operation::{Event, InvalidState, RequestId, Retried};
use crate::engine::plan::Plan;
use crate::engine::retry::{RetryClass, classify};
use crate::engine::scheduler::Scheduler;
use crate::engine::totals::add_one;
use crate::wire::error::ResponseError;
use core::time::Duration;
use http::Response;

impl<P: Plan> Scheduler<P> {
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
            Delivery::NotSent => RetryClass::NotDone,
            Delivery::Unknown if bug!(TooLargeTakenAsNotSent) && failure.larger_than.is_some() => RetryClass::NotDone,
            Delivery::Unknown if bug!(UnknownTakenAsNotSent) => RetryClass::NotDone,
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
            RetryClass::NotDone | RetryClass::RateLimited { .. } | RetryClass::Unknown { .. } => {
                self.retry(id, asked, class, Cause::Response(error))
            }
        }
    }

    fn retry(&mut self, id: RequestId, asked: u64, class: RetryClass, cause: Cause) -> Event<P::Page> {
        let Some(lane) = self.slots.get_mut(id.lane).and_then(Option::as_mut) else { return Event::Ended };
        let wait = match class {
            RetryClass::RateLimited { wait } => wait,
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
            RetryClass::NotDone | RetryClass::Final => None,
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

    pub(super) fn go_on(&mut self, at: usize, next: Next) {
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
}
