//! One call, with its retries.

use crate::engine::outcome::{Halt, OutOfTurn};
use crate::engine::retry::{Attempts, Cause, GiveUp, Verdict, judge};
use crate::engine::retry::{Delivery, Event, Retried, RetryPolicy, Step, TransportFailure};
use crate::model::endpoint::Endpoint;
use crate::wire::call::Call;
use alloc::string::ToString;
use core::time::Duration;
use http::Response;

/// Drives one [`Call`] with the same verbs as [`Bulk`](crate::Bulk), so that it is retried by the same rules: always when
/// it was surely not carried out, and otherwise only when [`Call::REPEATABLE`].
///
/// ```
/// use upstash_dlq_core::{DlqId, Endpoint, GetMessage, RetryPolicy, Single, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut get = Single::new(endpoint, GetMessage(DlqId::new("a")?), RetryPolicy::default(), 0);
/// let Step::Send(_request) = get.poll() else { panic!() };
/// get.on_response(&http::Response::new(r#"{"dlqId":"a","new":1}"#))?;
/// let Step::Done(Ok(message)) = get.poll() else { panic!() };
/// assert_eq!(message.as_json(), r#"{"dlqId":"a","new":1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Single<C: Call> {
    endpoint: Endpoint,
    call: C,
    attempts: Attempts,
    state: State<C::Output>,
}

#[derive(Clone, Debug)]
enum State<T> {
    Ready,
    InFlight,
    Backoff(Duration),
    Done(Result<T, Halt>),
}

impl<C: Call<Output: Clone>> Single<C> {
    /// The seed decides the random part of the waits between attempts.
    pub fn new(endpoint: Endpoint, call: C, policy: RetryPolicy, seed: u64) -> Self {
        Self { endpoint, call, attempts: Attempts::new(policy, seed), state: State::Ready }
    }

    /// What to do now. While a request is in flight this means that its answer will never come.
    pub fn poll(&mut self) -> Step<Result<C::Output, Halt>> {
        if let State::InFlight = self.state {
            // Cannot be out of turn: a request is in flight.
            let _ = self.on_failure(Delivery::Unknown);
        }
        match &self.state {
            State::Backoff(wait) => {
                let wait = *wait;
                self.state = State::Ready;
                Step::Wait(wait)
            }
            State::Done(end) => Step::Done(end.clone()),
            State::Ready | State::InFlight => match self.call.to_request(&self.endpoint) {
                Ok(request) => {
                    self.state = State::InFlight;
                    Step::Send(request)
                }
                Err(error) => {
                    let end = Err(Halt::Unbuildable(error.to_string()));
                    self.state = State::Done(end.clone());
                    Step::Done(end)
                }
            },
        }
    }

    /// Takes the answer to the request in flight.
    ///
    /// # Errors
    /// When none is.
    pub fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<()>, OutOfTurn> {
        self.withdraw()?;
        let error = match self.call.parse(response) {
            Ok(output) => {
                self.state = State::Done(Ok(output));
                return Ok(Event::Page(()));
            }
            Err(error) => error.redacted(&self.endpoint),
        };
        Ok(match judge(response, &error) {
            Verdict::NotDone { wait } => self.back_off(wait, Cause::Response(error)),
            Verdict::Unknown { wait } if C::REPEATABLE => self.back_off(wait, Cause::Response(error)),
            Verdict::Unknown { .. } => self.end(Halt::Unsettled { asked: 1, cause: Cause::Response(error) }),
            Verdict::Final => self.end(Halt::Refused(error)),
        })
    }

    /// Takes the news that no answer will come.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<()>, OutOfTurn> {
        self.withdraw()?;
        let failure = failure.into();
        let repeat = C::REPEATABLE || failure.delivery == Delivery::NotSent;
        let cause = Cause::Transport(failure);
        Ok(if repeat { self.back_off(None, cause) } else { self.end(Halt::Unsettled { asked: 1, cause }) })
    }

    /// Takes back the request that `poll` has just handed out.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn withdraw(&mut self) -> Result<(), OutOfTurn> {
        let State::InFlight = self.state else { return Err(OutOfTurn) };
        self.state = State::Ready;
        Ok(())
    }

    fn end(&mut self, halt: Halt) -> Event<()> {
        self.state = State::Done(Err(halt));
        Event::Ended
    }

    fn back_off(&mut self, wait: Option<Duration>, cause: Cause) -> Event<()> {
        match self.attempts.failed(wait) {
            Ok(after) => {
                self.state = State::Backoff(after);
                Event::Retry(Retried { cause, after })
            }
            Err(GiveUp::Exhausted { attempts }) => self.end(Halt::GaveUp { attempts, last: cause }),
            Err(GiveUp::TooLong { wait }) => self.end(Halt::WaitTooLong { wait, cause }),
        }
    }
}
