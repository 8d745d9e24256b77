//! Listing page by page, for whoever wants to look.

use crate::input::time::Age;
use crate::interrupt;
use crate::output::progress::Progress;
use crate::output::terminal::{Lost, Terminal};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use upstash_dlq_core::{Driven, Event, FleetObserver, Halt, Lanes, List, ListFleet, ListPage, RetryPolicy};
use upstash_dlq_ureq::Client;

pub(crate) enum Failed {
    Halted(Halt),
    Interrupted,
    /// What was found could not be printed.
    Output(Lost),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Output(lost)
    }
}

/// How fast it may go.
#[derive(Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) lanes: NonZeroUsize,
    /// Requests a second.
    pub(crate) rate: Option<NonZeroU32>,
}

impl Speed {
    /// One page after the other, in the service's order.
    pub(crate) const IN_ORDER: Self = Self { lanes: NonZeroUsize::MIN, rate: None };
}

/// Looks on at lists.
pub(crate) struct Watch<'a, F> {
    on_page: F,
    progress: &'a mut Progress,
    /// How many runs were listed.
    seen: u64,
}

pub(crate) fn unless_interrupted() -> ControlFlow<()> {
    if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl<L: Lanes<Page = ListPage>, F: FnMut(&ListPage) -> ControlFlow<()>> FleetObserver<L> for Watch<'_, F> {
    fn before_send(&mut self, _: &L) -> ControlFlow<()> {
        unless_interrupted()
    }

    fn after(&mut self, _: &L, event: &Event<ListPage>) -> ControlFlow<()> {
        match event {
            Event::Page(page) => {
                let flow = (self.on_page)(page);
                self.seen += page.messages.len() as u64;
                self.progress.on_page(self.seen);
                return flow;
            }
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        unless_interrupted()
    }
}

/// Until the end, or until `on_page` has seen enough; on more than one lane in no order. The number of requests comes back
/// in any case.
pub(crate) fn each_page(
    client: &Client,
    list: List,
    policy: RetryPolicy,
    speed: Speed,
    terminal: Terminal,
    progress: &mut Progress,
    on_page: impl FnMut(&ListPage) -> ControlFlow<()> + Send,
) -> (u64, Result<(), Failed>) {
    let now = Age::from_clock().now();
    let mut fleet = ListFleet::new(client.endpoint().clone(), list, policy, client.seed(), speed.lanes, now);
    if let Some(rate) = speed.rate {
        fleet = fleet.rate(rate);
    }
    let driven = client.run_fleet(&mut fleet, &mut Watch { on_page, progress, seen: 0 });
    let so_far = fleet.outcome_so_far();
    note_if_dates_ignored(terminal, so_far.dates_ignored);
    let result = match driven {
        Driven::Done(outcome) => outcome.halted.map_or(Ok(()), |halt| Err(Failed::Halted(halt))),
        Driven::Stopped if interrupt::requested() => Err(Failed::Interrupted),
        Driven::Stopped => Ok(()),
    };
    (so_far.requests, result)
}

pub(crate) fn note_if_dates_ignored(terminal: Terminal, dates_ignored: bool) {
    if dates_ignored {
        terminal.note("the server ignores the dates it is asked for: going on with one lane");
    }
}
