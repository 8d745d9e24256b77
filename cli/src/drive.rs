//! Drives the core's operations, for every command. Handles interrupts, progress and retries in one place; a [`Handler`] does
//! what is particular to one kind of operation.

use crate::exit::CommandError;
use crate::input::time::Now;
use crate::interrupt;
use crate::output::failure;
use crate::output::progress::Progress;
use crate::output::terminal::Terminal;
use http::StatusCode;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::time::Instant;
use upstash_dlq_core::engine::Retried;
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

    /// Comes when a request will be sent again.
    fn on_retry(&mut self, _retried: &Retried) {}

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

    fn on_retry(&mut self, retried: &Retried) {
        (**self).on_retry(retried);
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
            Event::Retry(retried) => {
                self.handler.on_retry(retried);
                self.progress.on_retry(retried);
            }
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

/// What came of a listing.
pub(crate) struct Pages {
    pub(crate) requests: u64,
    /// Until when the server has asked to wait, which outlasts a listing that has seen enough.
    pub(crate) waits_until: Option<Instant>,
    pub(crate) result: Result<(), Stopped>,
}

/// Lists page by page until the end, or until `on_page` has seen enough. On more than one lane the pages come in no particular
/// order.
pub(crate) fn each_page(
    client: &Client,
    list: List,
    policy: RetryPolicy,
    parallelism: Parallelism,
    terminal: Terminal,
    progress: &mut Progress,
    on_page: impl FnMut(&ListPage) -> ControlFlow<()> + Send,
) -> Pages {
    let mut listing = Listing::builder(client.endpoint().clone(), list)
        .retry(policy, client.seed())
        .lanes(parallelism.lanes, Now::from_clock().millis())
        .max_requests_per_second(parallelism.rate)
        .build();
    let mut handler = EachPage { on_page, listed: 0, waits_until: None };
    let driven = run(client, &mut listing, progress, &mut handler);
    let so_far = listing.outcome_so_far();
    if so_far.dates_ignored && so_far.halted.is_none() {
        terminal.note("the server ignores the dates in the request: continuing with one request at a time");
    }
    let result = match driven {
        Driven::Done(outcome) => outcome.halted.map_or(Ok(()), |halt| Err(Stopped::Halted(halt))),
        Driven::Stopped if interrupt::requested() => Err(Stopped::Interrupted),
        Driven::Stopped => Ok(()),
    };
    Pages { requests: so_far.totals.requests, waits_until: handler.waits_until, result }
}

struct EachPage<F> {
    on_page: F,
    listed: u64,
    waits_until: Option<Instant>,
}

impl<O, F: FnMut(&ListPage) -> ControlFlow<()>> Handler<O, ListPage> for EachPage<F> {
    fn on_page(&mut self, _: &mut O, page: &ListPage, progress: &mut Progress) -> ControlFlow<()> {
        let flow = (self.on_page)(page);
        self.listed += page.messages.len() as u64;
        progress.on_page(self.listed);
        flow
    }

    fn on_retry(&mut self, retried: &Retried) {
        if retried.cause.status().is_some_and(|status| status == StatusCode::TOO_MANY_REQUESTS) {
            self.waits_until = self.waits_until.max(Instant::now().checked_add(retried.after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use upstash_dlq_core::engine::Cause;
    use upstash_dlq_core::wire::ResponseError;
    use upstash_dlq_core::{Delivery, TransportFailure};

    fn handler() -> EachPage<impl FnMut(&ListPage) -> ControlFlow<()>> {
        EachPage { on_page: |_: &ListPage| ControlFlow::Continue(()), listed: 0, waits_until: None }
    }

    #[test]
    fn what_a_server_asks_for_outlasts_a_listing() {
        let begin = Instant::now();
        let seconds = Duration::from_secs;
        let mut pages = handler();
        let mut retry = |status: u16, after| {
            let response = http::Response::builder().status(status).body("").unwrap();
            let cause = Cause::Response(ResponseError::from_response(&response).unwrap());
            Handler::<Listing, _>::on_retry(&mut pages, &Retried::new(cause, after));
            pages.waits_until.map(|until| until.duration_since(begin))
        };
        // A wait of one request alone is over with it.
        assert_eq!(retry(503, seconds(900)), None);
        let first = retry(429, seconds(600));
        assert!(first.is_some_and(|wait| wait >= seconds(600)), "{first:?}");
        // The longest counts.
        assert_eq!(retry(429, seconds(3)), first);
    }

    #[test]
    fn a_failure_of_the_connection_asks_for_nothing() {
        let mut pages = handler();
        let failure = TransportFailure::from(Delivery::Unknown);
        Handler::<Listing, _>::on_retry(&mut pages, &Retried::new(Cause::Transport(failure), Duration::from_secs(900)));
        assert_eq!(pages.waits_until, None);
    }
}
