//! Windows for what must not be cut once it has begun.

use crate::fleet::Fleet;
use crate::list_fleet::ListFleet;
use crate::{
    BulkBuilder, Event, FleetStep, Halt, LaneId, Lanes, List, ListPage, OutOfTurn, Selection, TransportFailure,
    UnixMillis, Verb,
};
use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;
use http::Response;

/// Lists what is selected as far as it takes to find windows of time for every lane of a resume or restart, and gives the
/// [`Fleet`] that starts them: a window in which runs were started is not cut any more, since a second look at it could
/// start them twice. Only [`List`] requests are sent, which change nothing; a selection of a few pages takes as many of
/// them as it has pages, at most eight.
///
/// A server that does not keep to the dates of a window would start every run once for each lane. It is found out here, and
/// the fleet has one lane then ([`Fleet::dates_ignored`]); so has that of a selection of ids. A delete is not surveyed: its
/// fleet is there at once.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use upstash_dlq_core::{BulkResume, Endpoint, FleetStep, Lanes, Selection, Token, UnixMillis};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let (lanes, now) = (NonZeroUsize::new(4).unwrap(), UnixMillis::new(1_764_000_000_000));
/// let mut survey = BulkResume::new(endpoint, Selection::Everything).survey(lanes, now);
/// let FleetStep::Send(lane, request) = survey.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq?count=100");
/// survey.on_response(lane, &http::Response::new(r#"{"messages":[{"dlqId":"a"}]}"#))?;
/// let FleetStep::Done(Ok(mut fleet)) = survey.poll(Duration::ZERO) else { panic!() };
/// let FleetStep::Send(_lane, request) = fleet.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq/resume?count=50");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Survey<V: Verb> {
    config: BulkBuilder<V>,
    lanes: NonZeroUsize,
    now: UnixMillis,
    /// `None` where nothing is to be cut.
    listing: Option<ListFleet>,
}

impl<V: Verb> BulkBuilder<V> {
    /// The same on so many lanes, once windows are found for them; a delete finds its own, and needs no request for that.
    /// `now` is where an open window is cut from, milliseconds since 1970.
    pub fn survey(self, lanes: NonZeroUsize, now: UnixMillis) -> Survey<V> {
        let list = match &self.selection {
            _ if V::REPEATABLE || lanes.get() == 1 => None,
            Selection::Ids(_) => None,
            Selection::Filter(filter) => Some(List::matching(filter.clone())),
            Selection::Everything => Some(List::everything()),
        };
        let endpoint = self.endpoint.clone();
        let listing = list.map(|list| ListFleet::new(endpoint, list, self.policy, self.seed, lanes, now).survey());
        Survey { config: self, lanes, now, listing }
    }
}

impl<V: Verb> Survey<V> {
    /// At most so many requests a second, all lanes together.
    #[must_use]
    pub fn rate(mut self, per_second: NonZeroU32) -> Self {
        self.listing = self.listing.map(|listing| listing.rate(per_second));
        self
    }

    /// Requests that were, or may have been, sent.
    pub fn requests(&self) -> u64 {
        self.listing.as_ref().map_or(0, |listing| listing.outcome_so_far().requests)
    }

    fn fleet(&self) -> Fleet<V> {
        let mut fleet = Fleet::empty(self.config.clone(), self.lanes, self.now);
        match &self.listing {
            Some(listing) => {
                fleet.dates_ignored = listing.outcome_so_far().dates_ignored;
                listing.windows().into_iter().for_each(|window| fleet.open(None, window));
            }
            None => fleet.begin_round(),
        }
        fleet
    }
}

impl<V: Verb> Lanes for Survey<V> {
    type Page = ListPage;
    type Outcome = Result<Fleet<V>, Halt>;

    fn poll(&mut self, now: Duration) -> FleetStep<Self::Outcome> {
        let Some(listing) = &mut self.listing else { return FleetStep::Done(Ok(self.fleet())) };
        match listing.poll(now) {
            FleetStep::Send(lane, request) => FleetStep::Send(lane, request),
            FleetStep::WaitUntil(at) => FleetStep::WaitUntil(at),
            FleetStep::Idle => FleetStep::Idle,
            FleetStep::Done(outcome) => FleetStep::Done(match outcome.halted {
                Some(halt) => Err(halt),
                None => Ok(self.fleet()),
            }),
        }
    }

    fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<ListPage>, OutOfTurn> {
        self.listing.as_mut().ok_or(OutOfTurn)?.on_response(lane, response)
    }

    fn on_failure(&mut self, lane: LaneId, failure: TransportFailure) -> Result<Event<ListPage>, OutOfTurn> {
        self.listing.as_mut().ok_or(OutOfTurn)?.on_failure(lane, failure)
    }

    fn withdraw(&mut self, lane: LaneId) -> Result<(), OutOfTurn> {
        self.listing.as_mut().ok_or(OutOfTurn)?.withdraw(lane)
    }

    fn abandon(&mut self) {
        if let Some(listing) = &mut self.listing {
            listing.abandon();
        }
    }

    fn lanes(&self) -> usize {
        self.listing.as_ref().map_or(0, Lanes::lanes)
    }

    fn limit(&self) -> usize {
        self.lanes.get()
    }
}
