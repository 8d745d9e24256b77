//! The loop around a machine, for callers that have a way to send and a way to sleep.

use crate::engine::outcome::{Halt, OutOfTurn, Outcome};
use crate::engine::retry::{Event, Step, TransportFailure};
use crate::wire::bulk::Verb;
use crate::wire::call::Call;
use crate::wire::list::ListPage;
use crate::{Bulk, Pager, PagerEnd, Single};
use core::future::Future;
use core::ops::ControlFlow;
use core::time::Duration;
use http::{Request, Response};

/// What [`Bulk`], [`Pager`] and [`Single`] have in common.
pub trait Machine {
    /// One understood answer.
    type Page;
    /// How it ends.
    type Outcome;

    /// What to do now.
    fn poll(&mut self) -> Step<Self::Outcome>;

    /// Takes the answer to the request in flight.
    ///
    /// # Errors
    /// When none is.
    fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<Self::Page>, OutOfTurn>;

    /// Takes the news that no answer will come.
    ///
    /// # Errors
    /// When no request is in flight.
    fn on_failure(&mut self, failure: TransportFailure) -> Result<Event<Self::Page>, OutOfTurn>;

    /// Takes back a request that was handed out and not sent.
    ///
    /// # Errors
    /// When no request is in flight.
    fn withdraw(&mut self) -> Result<(), OutOfTurn>;
}

macro_rules! machine {
    ([$($generics:tt)*] $machine:ty, $page:ty, $outcome:ty) => {
        impl<$($generics)*> Machine for $machine {
            type Page = $page;
            type Outcome = $outcome;

            fn poll(&mut self) -> Step<$outcome> {
                <$machine>::poll(self)
            }

            fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<$page>, OutOfTurn> {
                <$machine>::on_response(self, response)
            }

            fn on_failure(&mut self, failure: TransportFailure) -> Result<Event<$page>, OutOfTurn> {
                <$machine>::on_failure(self, failure)
            }

            fn withdraw(&mut self) -> Result<(), OutOfTurn> {
                <$machine>::withdraw(self)
            }
        }
    };
}

machine!([V: Verb] Bulk<V>, V::Page, Outcome);
machine!([] Pager, ListPage, PagerEnd);
machine!([C: Call<Output: Clone>] Single<C>, (), Result<C::Output, Halt>);

/// Looks on, and may stop the loop. Every method has a default that lets it go on. A closure over the event is one, too.
pub trait Observer<M: Machine> {
    /// A request is about to be sent: the moment to write a checkpoint. On `Break` it is not sent and not counted.
    fn before_send(&mut self, _machine: &M) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// An answer came, or did not. On `Break` the loop ends here.
    fn after(&mut self, _machine: &M, _event: &Event<M::Page>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<M: Machine, F: FnMut(&M, &Event<M::Page>)> Observer<M> for F {
    fn after(&mut self, machine: &M, event: &Event<M::Page>) -> ControlFlow<()> {
        self(machine, event);
        ControlFlow::Continue(())
    }
}

/// How the loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether all of it was done"]
pub enum Driven<O> {
    /// The machine has come to its end.
    Done(O),
    /// The observer stopped it; the machine can be driven on.
    Stopped,
}

/// Drives a machine to its end with a blocking way to send and to sleep.
///
/// ```
/// # use upstash_dlq_core::*;
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut bulk = BulkDelete::new(endpoint, Selection::Everything).build();
/// let mut answers = ["{\"deleted\":2}", "{\"deleted\":0}"].into_iter();
/// let send = |_request| answers.next().map(http::Response::new).ok_or(TransportFailure::from(Delivery::NotSent));
/// let driven = drive(&mut bulk, send, |_wait| (), &mut |_: &Bulk, _: &_| ());
/// assert!(matches!(driven, Driven::Done(outcome) if outcome.totals.runs == 2));
/// # Ok::<(), EndpointError>(())
/// ```
pub fn drive<M, B, E>(
    machine: &mut M,
    mut send: impl FnMut(Request<()>) -> Result<Response<B>, E>,
    mut sleep: impl FnMut(Duration),
    observer: &mut impl Observer<M>,
) -> Driven<M::Outcome>
where
    M: Machine,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
{
    loop {
        let request = match machine.poll() {
            Step::Done(outcome) => return Driven::Done(outcome),
            Step::Wait(wait) => {
                sleep(wait);
                continue;
            }
            Step::Send(request) => request,
        };
        if observer.before_send(machine).is_break() {
            // Cannot be out of turn: poll has just handed the request out.
            let _ = machine.withdraw();
            return Driven::Stopped;
        }
        if report(machine, send(request), observer).is_break() {
            return Driven::Stopped;
        }
    }
}

/// The same with futures. It may be dropped at any point: a request that was out then counts as unknown.
pub async fn drive_async<M, B, E, SendFuture, SleepFuture>(
    machine: &mut M,
    mut send: impl FnMut(Request<()>) -> SendFuture,
    mut sleep: impl FnMut(Duration) -> SleepFuture,
    observer: &mut impl Observer<M>,
) -> Driven<M::Outcome>
where
    M: Machine,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
    SendFuture: Future<Output = Result<Response<B>, E>>,
    SleepFuture: Future<Output = ()>,
{
    loop {
        let request = match machine.poll() {
            Step::Done(outcome) => return Driven::Done(outcome),
            Step::Wait(wait) => {
                sleep(wait).await;
                continue;
            }
            Step::Send(request) => request,
        };
        if observer.before_send(machine).is_break() {
            // Cannot be out of turn: poll has just handed the request out.
            let _ = machine.withdraw();
            return Driven::Stopped;
        }
        let answer = send(request).await;
        if report(machine, answer, observer).is_break() {
            return Driven::Stopped;
        }
    }
}

fn report<M, B, E>(machine: &mut M, answer: Result<Response<B>, E>, observer: &mut impl Observer<M>) -> ControlFlow<()>
where
    M: Machine,
    B: AsRef<[u8]>,
    E: Into<TransportFailure>,
{
    let event = match answer {
        Ok(response) => machine.on_response(&response),
        Err(failure) => machine.on_failure(failure.into()),
    };
    match event {
        Ok(event) => observer.after(machine, &event),
        // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
        Err(OutOfTurn) => ControlFlow::Break(()),
    }
}
