//! Drives the core's operations, for every command. Handles interrupts, progress, retries and the rate in one place; a
//! [`Handler`] does what is particular to one kind of operation.

use crate::exit::CommandError;
use crate::input::time::Now;
use crate::interrupt;
use crate::output::failure;
use crate::output::progress::Progress;
use crate::output::terminal::Terminal;
use http::{Request, Response};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use upstash_dlq_core::{
    Call, Delivery, Driven, Endpoint, Event, FleetObserver, Halt, Lanes, List, ListFleet, ListPage, Machine, Observer,
    RetryPolicy, Single, TransportFailure, drive,
};
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
    fn on_page(&mut self, operation: &O, page: &P, progress: &mut Progress) -> ControlFlow<()>;
}

/// Does nothing: the outcome says it all.
impl<O, P> Handler<O, P> for () {
    fn on_page(&mut self, _: &O, _: &P, _: &mut Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<O, P, H: Handler<O, P>> Handler<O, P> for &mut H {
    fn before_send(&mut self, operation: &O, progress: &mut Progress) -> ControlFlow<()> {
        (**self).before_send(operation, progress)
    }

    fn on_page(&mut self, operation: &O, page: &P, progress: &mut Progress) -> ControlFlow<()> {
        (**self).on_page(operation, page, progress)
    }
}

/// The observer of every operation.
struct Reporter<'a, H> {
    progress: &'a mut Progress,
    handler: H,
}

impl<H> Reporter<'_, H> {
    fn on_request<O, P>(&mut self, operation: &O) -> ControlFlow<()>
    where
        H: Handler<O, P>,
    {
        interrupt::unless_requested()?;
        self.handler.before_send(operation, self.progress)
    }

    fn on_event<O, P>(&mut self, operation: &O, event: &Event<P>) -> ControlFlow<()>
    where
        H: Handler<O, P>,
    {
        match event {
            Event::Page(page) => return self.handler.on_page(operation, page, self.progress),
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl<M: Machine, H: Handler<M, M::Page>> Observer<M> for Reporter<'_, H> {
    fn before_send(&mut self, machine: &M) -> ControlFlow<()> {
        self.on_request::<M, M::Page>(machine)
    }

    fn after(&mut self, machine: &M, event: &Event<M::Page>) -> ControlFlow<()> {
        self.on_event(machine, event)
    }
}

impl<L: Lanes, H: Handler<L, L::Page>> FleetObserver<L> for Reporter<'_, H> {
    fn before_send(&mut self, lanes: &L) -> ControlFlow<()> {
        self.on_request::<L, L::Page>(lanes)
    }

    fn after(&mut self, lanes: &L, event: &Event<L::Page>) -> ControlFlow<()> {
        self.on_event(lanes, event)
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        interrupt::unless_requested()
    }
}

/// Drives an operation on any number of lanes to its end, or until an interrupt or the handler stops it.
pub(crate) fn on_lanes<L: Lanes<Outcome: Send> + Send>(
    client: &Client,
    lanes: &mut L,
    progress: &mut Progress,
    handler: impl Handler<L, L::Page> + Send,
) -> Driven<L::Outcome> {
    client.run_fleet(lanes, &mut Reporter { progress, handler })
}

/// Drives an operation that sends one request after another, within `rate`.
pub(crate) fn in_turn<M: Machine>(
    mut send: impl FnMut(Request<()>) -> Result<Response<Vec<u8>>, TransportFailure>,
    rate: Option<NonZeroU32>,
    machine: &mut M,
    progress: &mut Progress,
    handler: impl Handler<M, M::Page>,
) -> Driven<M::Outcome> {
    let paced = |request| {
        let sent = Instant::now();
        let response = send(request);
        hold_back(sent, rate);
        response
    };
    drive(machine, paced, interrupt::sleep, &mut Reporter { progress, handler })
}

/// Waits until the next request is within the rate. It waits after a request, not before the next one, so that an interrupt
/// during the wait stops that one.
pub(crate) fn hold_back(sent: Instant, rate: Option<NonZeroU32>) {
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
    interrupt::sleep(interval.saturating_sub(sent.elapsed()));
}

/// Makes one call on one run, with retries. Returns the number of requests in any case.
pub(crate) fn call<C: Call<Output: Clone>>(
    client: &Client,
    policy: RetryPolicy,
    rate: Option<NonZeroU32>,
    progress: &mut Progress,
    call: C,
) -> (u64, Result<C::Output, Stopped>) {
    let mut single = Single::new(client.endpoint().clone(), call, policy, client.seed());
    let mut requests = 0;
    let send = |request| {
        let response = client.send(request);
        requests += u64::from(!matches!(&response, Err(failure) if failure.delivery == Delivery::NotSent));
        response
    };
    let result = match in_turn(send, rate, &mut single, progress, ()) {
        Driven::Done(Ok(output)) => Ok(output),
        Driven::Done(Err(halt)) => Err(Stopped::Halted(halt)),
        Driven::Stopped => Err(Stopped::Interrupted),
    };
    (requests, result)
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
    let now = Now::from_clock().millis();
    let mut fleet = ListFleet::new(client.endpoint().clone(), list, policy, client.seed(), parallelism.lanes, now);
    if let Some(rate) = parallelism.rate {
        fleet = fleet.rate(rate);
    }
    let driven = on_lanes(client, &mut fleet, progress, EachPage { on_page, listed: 0 });
    let so_far = fleet.outcome_so_far();
    if so_far.dates_ignored {
        terminal.note("the server ignores the dates in the request: continuing on one lane");
    }
    let result = match driven {
        Driven::Done(outcome) => outcome.halted.map_or(Ok(()), |halt| Err(Stopped::Halted(halt))),
        Driven::Stopped if interrupt::requested() => Err(Stopped::Interrupted),
        Driven::Stopped => Ok(()),
    };
    (so_far.requests, result)
}

struct EachPage<F> {
    on_page: F,
    listed: u64,
}

impl<O, F: FnMut(&ListPage) -> ControlFlow<()>> Handler<O, ListPage> for EachPage<F> {
    fn on_page(&mut self, _: &O, page: &ListPage, progress: &mut Progress) -> ControlFlow<()> {
        let flow = (self.on_page)(page);
        self.listed += page.messages.len() as u64;
        progress.on_page(self.listed);
        flow
    }
}
