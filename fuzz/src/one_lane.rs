//! An operation on one lane, its clock, and what must hold of each of its steps whatever the operation is.

use http::{Request, Response};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::{Delivery, Event, Operation, Step};

/// An operation that has one request in flight at most.
pub struct OneLane<O> {
    /// The operation itself.
    pub operation: O,
    clock: Duration,
    in_flight: Option<RequestId>,
    /// A request whose result was reported: a late response to it changes nothing.
    settled: Option<RequestId>,
}

/// What an operation on one lane does next.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum OneStep<O> {
    /// Sends this request, which is in flight now.
    Send(Request<()>),
    /// Waits. The next `poll` comes when the wait is over.
    Wait,
    /// Nothing is in flight: it waits for its caller.
    Blocked,
    /// It has come to its end.
    Done(O),
}

impl<O: Operation> OneLane<O> {
    /// The operation, with a clock at its start.
    pub fn new(operation: O) -> Self {
        assert_eq!((operation.in_flight(), operation.concurrency()), (0, 1));
        Self { operation, clock: Duration::ZERO, in_flight: None, settled: None }
    }

    /// Whether a request is in flight.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whoever drove the operation has gone, and the clock of the next begins anew. Returns whether a request was lost.
    pub fn connection_lost(&mut self) -> bool {
        self.operation.connection_lost();
        self.clock = Duration::ZERO;
        self.land()
    }

    /// With a request in flight there is nothing to do but to await its response.
    pub fn assert_awaits_response(&mut self) {
        assert!(matches!(self.operation.poll(self.clock), Step::AwaitResponse), "it sends beside a request in flight");
        assert_eq!(self.operation.in_flight(), 1);
    }

    /// What to do now. No request may be in flight.
    pub fn poll(&mut self) -> OneStep<O::Outcome>
    where
        O::Outcome: PartialEq + std::fmt::Debug,
    {
        assert!(self.in_flight.is_none());
        let step = match self.operation.poll(self.clock) {
            Step::Send(id, request) => {
                assert_ne!(self.settled, Some(id), "two requests have one name");
                self.in_flight = Some(id);
                OneStep::Send(request)
            }
            Step::WaitUntil(at) => {
                assert!(at > self.clock, "it waits for what has passed");
                let again = self.operation.poll(self.clock);
                assert!(matches!(again, Step::WaitUntil(same) if same == at), "a wait that is asked about changes");
                self.clock = at;
                OneStep::Wait
            }
            Step::AwaitResponse => OneStep::Blocked,
            Step::Done(outcome) => {
                let again = self.operation.poll(self.clock + Duration::from_secs(3_600));
                assert!(matches!(again, Step::Done(same) if same == outcome), "done and not done");
                OneStep::Done(outcome)
            }
        };
        assert_eq!(self.operation.in_flight(), usize::from(self.in_flight.is_some()));
        step
    }

    /// Reports a response. `None` if no request is in flight, and then nothing has changed.
    pub fn on_response(&mut self, response: &Response<impl AsRef<[u8]>>) -> Option<Event<O::Page>> {
        let mut borrowed = Response::new(response.body().as_ref());
        *borrowed.status_mut() = response.status();
        borrowed.headers_mut().clone_from(response.headers());
        self.report(|operation, id| operation.on_response(id, borrowed.clone()))
    }

    /// Reports that no response came. `None` if no request is in flight, and then nothing has changed.
    pub fn on_failure(&mut self, delivery: Delivery) -> Option<Event<O::Page>> {
        self.report(|operation, id| operation.on_failure(id, delivery.into()))
    }

    /// Takes the request back. `None` if no request is in flight, and then nothing has changed.
    pub fn cancel_unsent(&mut self) -> Option<()> {
        self.report(|operation, id| operation.cancel_unsent(id))
    }

    /// Out of turn first, then in turn.
    fn report<T, E: std::fmt::Debug>(&mut self, report: impl Fn(&mut O, RequestId) -> Result<T, E>) -> Option<T> {
        if let Some(settled) = self.settled {
            assert!(report(&mut self.operation, settled).is_err(), "a late response is taken");
        }
        let id = self.in_flight?;
        let reported = report(&mut self.operation, id);
        self.land();
        Some(reported.expect("the request is in flight"))
    }

    fn land(&mut self) -> bool {
        let landed = self.in_flight.take();
        self.settled = landed.or(self.settled);
        assert_eq!(self.operation.in_flight(), 0);
        landed.is_some()
    }
}
