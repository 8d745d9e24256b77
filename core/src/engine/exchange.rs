//! One lane's request: ready, in flight, backing off, or in doubt.

use crate::bugs::bug;
use crate::engine::clock::Change;
use crate::engine::failure::Cause;
use crate::engine::halt::Halt;
use crate::engine::operation::InvalidState;
use crate::engine::retry::{Attempts, GiveUp, RetryPolicy};
use core::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    state: State,
    attempts: Attempts,
    /// Whether the last response was a 429.
    rate_limited: bool,
    /// Whether an attempt at this request may have been carried out.
    may_have_changed: bool,
    /// Whether the response to an attempt at this request was too large, and could not be asked for in smaller parts.
    too_large: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    InFlight {
        serial: u64,
        asked: u64,
    },
    /// The wait has not begun. It begins with the next `poll`, which has the time.
    BackoffFor(Duration),
    BackoffUntil(Duration),
    /// The request may have been carried out. It must not be repeated before it is settled.
    InDoubt {
        asked: u64,
        cause: Cause,
    },
}

impl Exchange {
    pub(crate) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            state: State::Ready,
            attempts: Attempts::new(policy, seed),
            rate_limited: false,
            may_have_changed: false,
            too_large: false,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether it is ready and the last response was a page, or there was none yet.
    pub(crate) fn is_at_page_boundary(&self) -> bool {
        self.is_ready() && self.attempts.is_fresh() && !self.rate_limited
    }

    /// How many runs the request in flight asks for.
    pub(crate) fn asked(&self) -> Option<u64> {
        match self.state {
            State::InFlight { asked, .. } => Some(asked),
            _ => None,
        }
    }

    /// The serial number of the request in flight.
    pub(crate) fn serial(&self) -> Option<u64> {
        match self.state {
            State::InFlight { serial, .. } => Some(serial),
            _ => None,
        }
    }

    pub(crate) fn in_doubt(&self) -> Option<(u64, &Cause)> {
        match &self.state {
            State::InDoubt { asked, cause } => Some((*asked, cause)),
            _ => None,
        }
    }

    pub(crate) fn send(&mut self, serial: u64, asked: u64) {
        self.state = State::InFlight { serial, asked };
    }

    /// Takes the request out of flight. Returns how many runs it asked for.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if no request with this serial number is in flight.
    pub(crate) fn land(&mut self, serial: u64) -> Result<u64, InvalidState> {
        match self.state {
            State::InFlight { serial: current, asked } if current == serial => {
                self.state = State::Ready;
                self.rate_limited = false;
                Ok(asked)
            }
            _ => Err(InvalidState),
        }
    }

    /// The request was not sent. Everything is as before. Returns how many runs it asked for.
    pub(crate) fn cancel(&mut self, serial: u64) -> Result<u64, InvalidState> {
        let rate_limited = self.rate_limited;
        let asked = self.land(serial)?;
        self.rate_limited = rate_limited;
        Ok(asked)
    }

    /// Forgets the failed attempts.
    pub(crate) fn reset_attempts(&mut self) {
        self.attempts.reset();
    }

    /// The next request is another one.
    pub(crate) fn begin_next(&mut self) {
        self.attempts.reset();
        self.may_have_changed = false;
        self.too_large = false;
    }

    /// The attempt that just ended may have been carried out.
    pub(crate) fn on_unknown(&mut self) {
        self.may_have_changed = true;
    }

    /// The response was too large, and cannot be asked for in smaller parts. Returns whether to try once more: a broken proxy may
    /// have sent it.
    pub(crate) fn on_too_large(&mut self) -> bool {
        !core::mem::replace(&mut self.too_large, true) && !self.attempts.is_last()
    }

    pub(crate) fn may_have_changed(&self) -> bool {
        self.may_have_changed
    }

    pub(crate) fn is_rate_limited(&self) -> bool {
        self.rate_limited
    }

    /// Counts a failed attempt. Returns how long to wait before the next one.
    ///
    /// # Errors
    /// Returns a [`Halt`] if there is no next attempt.
    pub(crate) fn fail(&mut self, wait: Option<Duration>, cause: &Cause) -> Result<Duration, Halt> {
        let may_have_changed = self.may_have_changed;
        self.attempts.fail(wait).map_err(|give_up| match give_up {
            GiveUp::Exhausted { attempts } => Halt::GaveUp { attempts, last: cause.clone(), may_have_changed },
            GiveUp::TooLong { wait } => Halt::WaitTooLong { wait, cause: cause.clone(), may_have_changed },
        })
    }

    /// Waits before the next attempt, alone.
    pub(crate) fn back_off(&mut self, wait: Duration) {
        self.state = State::BackoffFor(wait);
    }

    /// Is ready again after a 429. The rate limiter makes all lanes wait.
    pub(crate) fn clear_backoff(&mut self) {
        self.rate_limited = true;
        self.state = State::Ready;
    }

    /// Begins the wait. Returns when it ends.
    pub(crate) fn begin_backoff(&mut self, now: Duration) -> Option<Duration> {
        let State::BackoffFor(wait) = self.state else { return None };
        let until = now.saturating_add(if bug!(BackoffTooLong) { wait * 100 } else { wait });
        self.state = State::BackoffUntil(until);
        Some(until)
    }

    /// Translates the end of the wait to the new clock, and returns it.
    pub(crate) fn on_clock_change(&mut self, change: Change) -> Option<Duration> {
        let State::BackoffUntil(until) = &mut self.state else { return None };
        *until = change.translate(*until);
        Some(*until)
    }

    pub(crate) fn backoff_until(&self) -> Option<Duration> {
        match self.state {
            State::BackoffUntil(until) => Some(until),
            _ => None,
        }
    }

    /// Ends the wait.
    pub(crate) fn wake(&mut self) {
        if let State::BackoffUntil(_) = self.state {
            self.state = State::Ready;
        }
    }

    pub(crate) fn doubt(&mut self, asked: u64, cause: Cause) {
        self.state = State::InDoubt { asked, cause };
    }

    /// The request is no longer in doubt: it is ready.
    pub(crate) fn settle(&mut self) {
        self.state = State::Ready;
        self.begin_next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window whose request is to be repeated is not cut: nobody would hear of the first attempt any more.
    #[test]
    fn a_request_that_is_to_be_repeated_is_at_no_page_boundary() {
        let mut exchange = Exchange::new(RetryPolicy::default(), 1);
        assert!(exchange.is_at_page_boundary());
        exchange.send(1, 10);
        assert!(!exchange.is_at_page_boundary());
        assert_eq!(exchange.land(1), Ok(10));
        assert!(exchange.fail(None, &Cause::ProcessEnded).is_ok());
        assert!(exchange.is_ready() && !exchange.is_at_page_boundary(), "an attempt has failed");
        exchange.begin_next();
        assert!(exchange.is_at_page_boundary());
        exchange.clear_backoff();
        assert!(exchange.is_ready() && !exchange.is_at_page_boundary(), "all lanes wait");
    }
}
