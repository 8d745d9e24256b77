//! What everything on many lanes has in common, and who looks on.

use crate::engine::outcome::OutOfTurn;
use crate::engine::retry::{Event, TransportFailure};
use core::ops::ControlFlow;
use core::time::Duration;
use http::{Request, Response};

/// A lane, for the answer to its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(pub(crate) usize);

/// What to do next.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a step is taken apart at once; boxing the request would cost an allocation for each"
)]
pub enum FleetStep<O> {
    /// Send this, and poll on; then report the answer or the failure for the lane.
    Send(LaneId, Request<()>),
    /// Nothing before this time, unless an answer comes.
    WaitUntil(Duration),
    /// Nothing before an answer comes.
    Idle,
    /// Nothing is left to do, and nothing is in flight.
    Done(O),
}

/// What [`Fleet`](crate::Fleet) and [`ListFleet`](crate::ListFleet) have in common: several
/// requests may be out at once, one a lane. Pure, as [`Machine`](crate::Machine) is: the time comes in as what has passed
/// since any fixed moment.
pub trait Lanes {
    /// One understood answer.
    type Page;
    /// How it ends.
    type Outcome;

    /// What to do now.
    fn poll(&mut self, now: Duration) -> FleetStep<Self::Outcome>;

    /// Takes the answer to a lane's request.
    ///
    /// # Errors
    /// When the lane has none in flight.
    fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<Self::Page>, OutOfTurn>;

    /// Takes the news that no answer will come to a lane's request.
    ///
    /// # Errors
    /// When the lane has none in flight.
    fn on_failure(&mut self, lane: LaneId, failure: TransportFailure) -> Result<Event<Self::Page>, OutOfTurn>;

    /// Takes back a request that was handed out and not sent.
    ///
    /// # Errors
    /// When the lane has none in flight.
    fn withdraw(&mut self, lane: LaneId) -> Result<(), OutOfTurn>;

    /// Counts every request that is out as lost ([`Delivery::Unknown`](crate::engine::retry::Delivery::Unknown)): whoever drove the lanes
    /// before has gone, and no answer will come.
    fn abandon(&mut self);

    /// How many lanes have something to do.
    fn lanes(&self) -> usize;

    /// How many lanes may be open.
    fn limit(&self) -> usize;
}

/// Looks on while lanes are driven, and may stop them. Every method has a default that lets them go on. A closure over the
/// event is one, too.
pub trait FleetObserver<L: Lanes> {
    /// A request is about to be sent. On `Break` it is not, and neither is any other; those that are out come to their end.
    fn before_send(&mut self, _lanes: &L) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// An answer came, or did not. On `Break` nothing more is sent.
    fn after(&mut self, _lanes: &L, _event: &Event<L::Page>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Asked again and again while there is nothing to do but to wait. On `Break` nothing more is sent.
    fn waiting(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<L: Lanes, F: FnMut(&L, &Event<L::Page>)> FleetObserver<L> for F {
    fn after(&mut self, lanes: &L, event: &Event<L::Page>) -> ControlFlow<()> {
        self(lanes, event);
        ControlFlow::Continue(())
    }
}
