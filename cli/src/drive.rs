//! Drives the core's operations, for every command. Handles interrupts, progress and retries in one place; a [`Handler`] does
//! what is particular to one kind of operation.

use crate::exit::CommandError;
use crate::input::time::Now;
use crate::interrupt;
use crate::output::failure;
use crate::output::progress::Progress;
use crate::output::terminal::Terminal;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use upstash_dlq_core::wire::{Call, List, ListPage};
use upstash_dlq_core::{Driven, Endpoint, Event, Halt, Listing, Observer, Operation, RetryPolicy, SingleCall};
use upstash_dlq_ureq::Client;

/// Why a listing or a call did not finish.
pub(crate) enum Stopped {
    Halted(Halt),
    Interrupted,
}

impl Stopped {
    pub(crate) fn into_error(self, endpoint: &Endpoint) -> CommandError {
        match self {
            Self::Halted(halt) => failure::halted(&halt, endpoint),
            Self::Interrupted => CommandError::interrupted(),
        }
    }
}

/// How many lanes and requests are allowed.
#[derive(Clone, Copy)]
pub(crate) struct Parallelism {
    pub(crate) lanes: NonZeroUsize,
    /// Requests per second.
    pub(crate) rate: Option<NonZeroU32>,
}

impl Parallelism {
    /// One page after another, in the service's order.
    pub(crate) const IN_ORDER: Self = Self { lanes: NonZeroUsize::MIN, rate: None };
}

/// What happens around the requests of one kind of operation.
pub(crate) trait Handler<O, P> {
    /// Comes before each request. `Break` stops the operation, and the request is not sent.
    fn before_send(&mut self, _operation: &O, _progress: &mut Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Comes after each page. `Break` stops the operation.
    fn on_page(&mut self, operation: &mut O, page: &P, progress: &mut Progress) -> ControlFlow<()>;

    /// Comes when nothing can be sent before a response arrives. See [`Observer::before_wait`].
    fn before_wait(&mut self, _operation: &mut O) -> ControlFlow<(), bool> {
        ControlFlow::Continue(false)
    }
}

/// Does nothing: the outcome says it all.
impl<O, P> Handler<O, P> for () {
    fn on_page(&mut self, _: &mut O, _: &P, _: &mut Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<O, P, H: Handler<O, P>> Handler<O, P> for &mut H {
    fn before_send(&mut self, operation: &O, progress: &mut Progress) -> ControlFlow<()> {
        (**self).before_send(operation, progress)
    }

    fn on_page(&mut self, operation: &mut O, page: &P, progress: &mut Progress) -> ControlFlow<()> {
        (**self).on_page(operation, page, progress)
    }

    fn before_wait(&mut self, operation: &mut O) -> ControlFlow<(), bool> {
        (**self).before_wait(operation)
    }
}

/// The observer of every operation.
struct Reporter<'a, H> {
    progress: &'a mut Progress,
    handler: H,
}

impl<O: Operation, H: Handler<O, O::Page>> Observer<O> for Reporter<'_, H> {
    fn before_send(&mut self, operation: &O) -> ControlFlow<()> {
        interrupt::unless_requested()?;
        self.handler.before_send(operation, self.progress)?;
        interrupt::set_in_flight(operation.in_flight());
        ControlFlow::Continue(())
    }

    fn on_event(&mut self, operation: &mut O, event: &Event<O::Page>) -> ControlFlow<()> {
        interrupt::set_in_flight(operation.in_flight());
        match event {
            Event::Page(page) => return self.handler.on_page(operation, page, self.progress),
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn before_wait(&mut self, operation: &mut O) -> ControlFlow<(), bool> {
        self.handler.before_wait(operation)
    }

    fn while_waiting(&mut self) -> ControlFlow<()> {
        interrupt::unless_requested()
    }
}

/// Drives an operation to its end, or until an interrupt or the handler stops it.
pub(crate) fn run<O: Operation<Outcome: Send> + Send>(
    client: &Client,
    operation: &mut O,
    progress: &mut Progress,
    handler: impl Handler<O, O::Page> + Send,
) -> Driven<O::Outcome> {
    client.run(operation, &mut Reporter { progress, handler })
}

/// Makes one call on one run, with retries. Returns the number of requests in any case.
pub(crate) fn call<C: Call>(
    client: &Client,
    policy: RetryPolicy,
    progress: &mut Progress,
    call: C,
) -> (u64, Result<C::Output, Stopped>) {
    let mut single = SingleCall::builder(client.endpoint().clone(), call).retry(policy, client.seed()).build();
    let result = match run(client, &mut single, progress, ()) {
        Driven::Done(Ok(output)) => Ok(output),
        Driven::Done(Err(halt)) => Err(Stopped::Halted(halt)),
        Driven::Stopped => Err(Stopped::Interrupted),
    };
    (single.totals().requests, result)
}

/// Lists page by page until the end, or until `on_page` has seen enough. On more than one lane the pages come in no particular
/// order. Returns the number of requests in any case.
pub(crate) fn each_page(
    client: &Client,
    list: List,
    policy: RetryPolicy,
    parallelism: Parallelism,
    terminal: Terminal,
    progress: &mut Progress,
    on_page: impl FnMut(&ListPage) -> ControlFlow<()> + Send,
) -> (u64, Result<(), Stopped>) {
    let mut listing = Listing::builder(client.endpoint().clone(), list)
        .retry(policy, client.seed())
        .lanes(parallelism.lanes, Now::from_clock().millis())
        .max_requests_per_second(parallelism.rate)
        .build();
    let driven = run(client, &mut listing, progress, EachPage { on_page, listed: 0 });
    let so_far = listing.outcome_so_far();
    if so_far.dates_ignored && so_far.halted.is_none() {
        terminal.note("the server ignores the dates in the request: continuing with one request at a time");
    }
    let result = match driven {
        Driven::Done(outcome) => outcome.halted.map_or(Ok(()), |halt| Err(Stopped::Halted(halt))),
        Driven::Stopped if interrupt::requested() => Err(Stopped::Interrupted),
        Driven::Stopped => Ok(()),
    };
    (so_far.totals.requests, result)
}

struct EachPage<F> {
    on_page: F,
    listed: u64,
}

impl<O, F: FnMut(&ListPage) -> ControlFlow<()>> Handler<O, ListPage> for EachPage<F> {
    fn on_page(&mut self, _: &mut O, page: &ListPage, progress: &mut Progress) -> ControlFlow<()> {
        let flow = (self.on_page)(page);
        self.listed += page.messages.len() as u64;
        progress.on_page(self.listed);
        flow
    }
}
