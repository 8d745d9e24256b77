//! Drives an operation: the loop, for callers that can send and sleep.
//!
//! Floor 8. [`next_step`] and [`report`] are its steps, for drivers with many connections. Such a driver
//!
//! 1. calls [`connection_lost`](Operation::connection_lost) once, when it begins: whoever drove the operation before is gone;
//! 2. calls [`next_step`], and does what it says, until it says [`End`](NextStep::End);
//! 3. calls [`report`] for each request that was sent, in any order, from any thread. If that breaks, it sends nothing more;
//! 4. at the end awaits what is still in flight, and reports it.
//!
//! The example `many_lanes_by_hand` of this crate is one.

use crate::bugs::bug;
use crate::engine::failure::TransportFailure;
use crate::engine::halt::Halt;
use crate::engine::operation::{Event, InvalidState, Operation, RequestId, Step};
use core::future::Future;
use core::ops::ControlFlow;
use core::time::Duration;
use http::{Request, Response};

/// Observes an operation while it is driven, and may stop it. The default of every method lets it continue. A closure that takes
/// an event is an observer, too, and `()` observes nothing.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use std::ops::ControlFlow;
/// use std::time::Duration;
/// use upstash_dlq_core::{BulkDelete, Delivery, Driven, Observer, Operation, Selection, drive};
///
/// /// Lets so many requests through.
/// struct AtMost(u32);
///
/// impl<O: Operation> Observer<O> for AtMost {
///     fn before_send(&mut self, _operation: &O) -> ControlFlow<()> {
///         match self.0.checked_sub(1) {
///             Some(left) => ControlFlow::Continue(self.0 = left),
///             None => ControlFlow::Break(()),
///         }
///     }
/// }
///
/// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
/// let send = |_| Ok::<_, Delivery>(http::Response::new(br#"{"deleted":100,"cursor":"c"}"#));
/// let driven = drive(&mut delete, send, || Duration::ZERO, |_| (), &mut AtMost(2));
/// assert!(matches!(driven, Driven::Stopped) && delete.totals().requests == 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Observer<O: Operation> {
    /// Called before a request is sent. The operation already counts it as in flight, so this is the moment to write a
    /// checkpoint. On `Break`, neither this nor any further request is sent. Requests in flight are awaited.
    fn before_send(&mut self, _operation: &O) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called after a response or a failure. On `Break`, nothing more is sent.
    fn on_event(&mut self, _operation: &mut O, _event: &Event<O::Page>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Called when nothing can be sent before a response arrives or a wait ends. So the observer may collect what several responses
    /// brought, and store it at once. On `Continue(true)` the operation was changed, and is asked again. On `Break`, nothing
    /// more is sent.
    fn before_wait(&mut self, _operation: &mut O) -> ControlFlow<(), bool> {
        ControlFlow::Continue(false)
    }

    /// Called repeatedly while the driver only waits. On `Break`, nothing more is sent. The clients of `upstash-dlq-ureq` and
    /// `upstash-dlq-reqwest` call it. [`drive`] and [`drive_async`] do not: to stop them during a wait, return from `sleep` early,
    /// and break in [`Self::before_wait`].
    fn while_waiting(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<O: Operation, F: FnMut(&O, &Event<O::Page>)> Observer<O> for F {
    fn on_event(&mut self, operation: &mut O, event: &Event<O::Page>) -> ControlFlow<()> {
        self(operation, event);
        ControlFlow::Continue(())
    }
}

impl<O: Operation> Observer<O> for () {}

/// How the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether all of it was done"]
pub enum Driven<O> {
    /// The operation has ended, with this outcome.
    Done(O),
    /// The observer stopped the operation, or the operation waits for its caller. It can be driven on.
    Stopped,
}

impl<T> Driven<T> {
    /// The outcome. That of an operation that was stopped has halted with [`Halt::Stopped`].
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use std::time::Duration;
    /// use upstash_dlq_core::{BulkDelete, Driven, Halt, Selection};
    /// let delete = BulkDelete::builder(endpoint, Selection::Everything).build();
    /// let outcome = Driven::Stopped.into_outcome(&delete);
    /// assert_eq!(outcome.halted, Some(Halt::Stopped));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_outcome<O: Operation<Outcome = T>>(self, operation: &O) -> T {
        match self {
            Self::Done(outcome) => outcome,
            Self::Stopped => operation.outcome_halted(Halt::Stopped),
        }
    }
}

/// What a driver does next.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; boxing the request would cost an allocation for each"
)]
pub enum NextStep<O> {
    /// Send this request, then [`report`].
    Send(RequestId, Request<()>),
    /// Wait until this time, or until a response arrives. `None` means without a limit.
    Wait(Option<Duration>),
    /// Send nothing more. Await the responses to the requests in flight, report them, and end.
    End(Driven<O>),
}

/// Asks the operation what to do, and the observer whether to do it.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use std::time::Duration;
/// use upstash_dlq_core::drive::{Driven, NextStep, next_step, report};
/// use upstash_dlq_core::{BulkDelete, Delivery, Operation, Selection};
/// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
/// delete.connection_lost();
/// let mut sent = 0;
/// let driven = loop {
///     match next_step(&mut delete, Duration::ZERO, &mut ()) {
///         NextStep::Send(id, _request) => {
///             sent += 1;
///             let result = Ok::<_, Delivery>(http::Response::new(br#"{"deleted":0}"#));
///             assert!(report(&mut delete, id, result, &mut ()).is_continue());
///         }
///         NextStep::Wait(_) => unreachable!("one lane, and nothing has failed"),
///         NextStep::End(driven) => break driven,
///     }
/// };
/// assert!(matches!(driven, Driven::Done(outcome) if outcome.verified && sent == 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn next_step<O: Operation>(
    operation: &mut O,
    now: Duration,
    observer: &mut (impl Observer<O> + ?Sized),
) -> NextStep<O::Outcome> {
    let step = match operation.poll(now) {
        step @ (Step::WaitUntil(_) | Step::AwaitResponse) if !bug!(BeforeWaitSkipped) => {
            match observer.before_wait(operation) {
                ControlFlow::Continue(false) => step,
                ControlFlow::Continue(true) => operation.poll(now),
                ControlFlow::Break(()) => return NextStep::End(Driven::Stopped),
            }
        }
        step => step,
    };
    match step {
        Step::Done(outcome) => NextStep::End(Driven::Done(outcome)),
        Step::WaitUntil(until) => NextStep::Wait(Some(until)),
        // An archived delete waits for its caller, who gets control back only when this ends.
        Step::AwaitResponse if operation.in_flight() == 0 => NextStep::End(Driven::Stopped),
        Step::AwaitResponse => NextStep::Wait(None),
        Step::Send(id, request) => {
            let unsent = Unsent { operation, id };
            if observer.before_send(unsent.operation).is_break() {
                return NextStep::End(Driven::Stopped);
            }
            core::mem::forget(unsent);
            NextStep::Send(id, request)
        }
    }
}

/// Takes the request back, also when the observer panics.
struct Unsent<'a, O: Operation> {
    operation: &'a mut O,
    id: RequestId,
}

impl<O: Operation> Drop for Unsent<'_, O> {
    fn drop(&mut self) {
        // The request is in flight, so this is no invalid state.
        let _ = self.operation.cancel_unsent(self.id);
    }
}

/// Gives the operation the response or the failure of a request.
///
/// # Errors
/// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
pub fn take_result<O, B, E>(
    operation: &mut O,
    id: RequestId,
    result: Result<Response<B>, E>,
) -> Result<Event<O::Page>, InvalidState>
where
    O: Operation,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
{
    match result {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            operation.on_response(id, Response::from_parts(parts, body.as_ref()))
        }
        Err(failure) => operation.on_failure(id, failure.into()),
    }
}

/// Reports the response or the failure of a request, and asks the observer whether to go on. A driver that needs the event calls
/// [`take_result`], and then the observer.
pub fn report<O, B, E>(
    operation: &mut O,
    id: RequestId,
    result: Result<Response<B>, E>,
    observer: &mut (impl Observer<O> + ?Sized),
) -> ControlFlow<()>
where
    O: Operation,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
{
    match take_result(operation, id, result) {
        Ok(event) => observer.on_event(operation, &event),
        // This cannot happen, since the request was in flight. Stopping is safe in any case.
        Err(InvalidState) => ControlFlow::Break(()),
    }
}

/// Drives an operation to its end, one request at a time. `send` and `sleep` block. `now` returns the time since any fixed
/// moment.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use upstash_dlq_core::{drive::{Driven, drive}, *};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
/// let mut responses = ["{\"deleted\":2}", "{\"deleted\":0}"].into_iter();
/// let send = |_request| responses.next().map(http::Response::new).ok_or(TransportFailure::from(Delivery::NotSent));
/// let start = Instant::now();
/// let driven = drive(&mut delete, send, || start.elapsed(), std::thread::sleep, &mut ());
/// assert!(matches!(driven, Driven::Done(outcome) if outcome.totals.affected == 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn drive<O, B, E>(
    operation: &mut O,
    mut send: impl FnMut(Request<()>) -> Result<Response<B>, E>,
    mut now: impl FnMut() -> Duration,
    mut sleep: impl FnMut(Duration),
    observer: &mut impl Observer<O>,
) -> Driven<O::Outcome>
where
    O: Operation,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
{
    operation.connection_lost();
    loop {
        let time = now();
        match next_step(operation, time, observer) {
            NextStep::End(driven) => return driven,
            // Nothing is in flight here, so there is a time, or nothing to do.
            NextStep::Wait(until) => match until {
                Some(until) => sleep(until.saturating_sub(time)),
                None => return Driven::Stopped,
            },
            NextStep::Send(id, request) => {
                if report(operation, id, send(request), observer).is_break() {
                    return Driven::Stopped;
                }
            }
        }
    }
}

/// The same as [`drive`] with futures. The future may be dropped at any await. A request that was in flight then counts as
/// [`Delivery::Unknown`](crate::Delivery::Unknown), and a wait still holds for the next driver. What the future of `sleep`
/// returns is ignored, so the timers of most runtimes fit as they are.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use std::time::Instant;
/// use upstash_dlq_core::{BulkDelete, Delivery, Driven, Selection, drive_async};
/// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
/// let send = async |_request| Ok::<_, Delivery>(http::Response::new(br#"{"deleted":0}"#));
/// let start = Instant::now();
/// let driven = drive_async(&mut delete, send, || start.elapsed(), tokio::time::sleep, &mut ()).await;
/// assert!(matches!(driven, Driven::Done(outcome) if outcome.verified));
/// # Ok(())
/// # }
/// ```
pub async fn drive_async<O, B, E, SendFuture, SleepFuture>(
    operation: &mut O,
    mut send: impl FnMut(Request<()>) -> SendFuture,
    mut now: impl FnMut() -> Duration,
    mut sleep: impl FnMut(Duration) -> SleepFuture,
    observer: &mut impl Observer<O>,
) -> Driven<O::Outcome>
where
    O: Operation,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
    SendFuture: Future<Output = Result<Response<B>, E>>,
    SleepFuture: Future,
{
    operation.connection_lost();
    loop {
        let time = now();
        match next_step(operation, time, observer) {
            NextStep::End(driven) => return driven,
            NextStep::Wait(until) => match until {
                Some(until) => {
                    sleep(until.saturating_sub(time)).await;
                }
                None => return Driven::Stopped,
            },
            NextStep::Send(id, request) => {
                let result = send(request).await;
                if report(operation, id, result, observer).is_break() {
                    return Driven::Stopped;
                }
            }
        }
    }
}
