//! One request at a time, for tests that look at each: waits are passed over by the clock that is kept here.

use http::{Request, Response};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use upstash_dlq_core::engine::{InvalidState, RequestId};
use upstash_dlq_core::operation::{ArchiveOutcome, Batch, Bulk, BulkBuilder};
use upstash_dlq_core::wire::{BulkOperation, Delete};
use upstash_dlq_core::{
    ArchivedDelete, BulkDelete, Checkpoint, Delivery, DlqMessage, Event, Operation, Outcome, Step, TransportFailure,
};

/// An operation, its clock, and the request that is in flight or was last.
#[derive(Clone, Debug)]
pub(crate) struct OneLane<O> {
    operation: O,
    now: Duration,
    last: Option<RequestId>,
}

/// What to do now.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a step is taken apart at once")]
pub(crate) enum OneStep<O> {
    Send(Request<()>),
    /// So much time has passed by the next `poll`.
    Wait(Duration),
    Done(O),
}

impl<O: Operation> OneLane<O> {
    pub(crate) fn new(operation: O) -> Self {
        Self { operation, now: Duration::ZERO, last: None }
    }

    /// With a request in flight: whoever drove it has gone, and somebody else goes on.
    pub(crate) fn poll(&mut self) -> OneStep<O::Outcome> {
        self.step().expect("it waits for its caller")
    }

    /// `None` while an archived delete waits for its caller.
    fn step(&mut self) -> Option<OneStep<O::Outcome>> {
        if self.operation.in_flight() > 0 {
            self.operation.connection_lost();
        }
        Some(match self.operation.poll(self.now) {
            Step::Send(id, request) => {
                self.last = Some(id);
                OneStep::Send(request)
            }
            Step::WaitUntil(at) => {
                assert!(at > self.now, "a wait for what has passed");
                let wait = at - self.now;
                self.now = at;
                OneStep::Wait(wait)
            }
            Step::AwaitResponse => {
                assert_eq!(self.operation.in_flight(), 0);
                return None;
            }
            Step::Done(outcome) => OneStep::Done(outcome),
        })
    }

    pub(crate) fn on_response<B: AsRef<[u8]>>(
        &mut self,
        response: &Response<B>,
    ) -> Result<Event<O::Page>, InvalidState> {
        self.operation.respond(self.last.ok_or(InvalidState)?, response)
    }

    pub(crate) fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<O::Page>, InvalidState> {
        self.operation.on_failure(self.last.ok_or(InvalidState)?, failure.into())
    }

    pub(crate) fn cancel_unsent(&mut self) -> Result<(), InvalidState> {
        self.operation.cancel_unsent(self.last.ok_or(InvalidState)?)
    }
}

impl<O> Deref for OneLane<O> {
    type Target = O;
    fn deref(&self) -> &O {
        &self.operation
    }
}

impl<O> DerefMut for OneLane<O> {
    fn deref_mut(&mut self) -> &mut O {
        &mut self.operation
    }
}

/// A response with any body.
pub(crate) trait Respond: Operation {
    fn respond<B: AsRef<[u8]>>(
        &mut self,
        id: RequestId,
        response: &Response<B>,
    ) -> Result<Event<Self::Page>, InvalidState> {
        let mut borrowed = Response::new(response.body().as_ref());
        *borrowed.status_mut() = response.status();
        *borrowed.headers_mut() = response.headers().clone();
        self.on_response(id, borrowed)
    }

    fn fail(&mut self, id: RequestId, delivery: Delivery) -> Result<Event<Self::Page>, InvalidState> {
        self.on_failure(id, delivery.into())
    }
}

impl<O: Operation> Respond for O {}

pub(crate) trait One {
    type One;
    /// The operation, to be driven one request at a time.
    fn one(self) -> Self::One;
}

impl<O: BulkOperation> One for BulkBuilder<O> {
    type One = OneLane<Bulk<O>>;
    fn one(self) -> OneLane<Bulk<O>> {
        OneLane::new(self.build())
    }
}

impl<O: BulkOperation> One for Bulk<O> {
    type One = OneLane<Self>;
    fn one(self) -> OneLane<Self> {
        OneLane::new(self)
    }
}

impl One for ArchivedDelete {
    type One = OneArchive;
    fn one(self) -> OneArchive {
        OneArchive { lane: OneLane::new(self), batch: None }
    }
}

/// The windows that are left, as the checkpoint has them: their ends, and whether they are open.
pub(crate) fn windows<O: BulkOperation>(operation: &Bulk<O>) -> Vec<(i64, i64, bool, bool)> {
    let file: serde_json::Value = serde_json::from_str(&operation.checkpoint().to_json()).unwrap();
    let Some(lanes) = file["checkpoint"]["progress"]["windows"]["lanes"].as_array() else { return Vec::new() };
    let end = |window: &serde_json::Value, name: &str| window[name].as_i64().unwrap();
    let open = |window: &serde_json::Value, name: &str| window[name].as_bool().unwrap();
    lanes
        .iter()
        .map(|lane| &lane["window"])
        .map(|w| (end(w, "lo"), end(w, "hi"), open(w, "open_below"), open(w, "open_above")))
        .collect()
}

/// An archived delete, and the batch that waits to be stored.
#[derive(Clone, Debug)]
pub(crate) struct OneArchive {
    lane: OneLane<ArchivedDelete>,
    batch: Option<Batch>,
}

#[derive(Debug)]
pub(crate) enum ArchiveStep<'a> {
    Send(Request<()>),
    Wait,
    Store(&'a [DlqMessage]),
    Done(ArchiveOutcome),
}

impl OneArchive {
    pub(crate) fn poll(&mut self) -> ArchiveStep<'_> {
        match (self.lane.step(), &self.batch) {
            (None, Some(batch)) => ArchiveStep::Store(&batch.messages),
            (_, Some(_)) => panic!("a batch is not stored, and something happens"),
            (Some(OneStep::Send(request)), None) => ArchiveStep::Send(request),
            (Some(OneStep::Wait(_)), None) => ArchiveStep::Wait,
            (Some(OneStep::Done(outcome)), None) => ArchiveStep::Done(outcome),
            (None, None) => panic!("no batch was handed over"),
        }
    }

    pub(crate) fn stored(&mut self) -> Result<(), InvalidState> {
        let batch = self.batch.take().ok_or(InvalidState)?;
        for other in [batch.number.wrapping_sub(1), batch.number + 1] {
            assert_eq!(self.lane.stored(other), Err(InvalidState));
        }
        self.lane.stored(batch.number)?;
        assert_eq!(self.lane.stored(batch.number), Err(InvalidState));
        Ok(())
    }

    pub(crate) fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<(), InvalidState> {
        if let Event::Page(page) = self.lane.on_response(response)? {
            self.batch = page.batch;
        }
        Ok(())
    }

    pub(crate) fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<(), InvalidState> {
        self.lane.on_failure(failure).map(drop)
    }
}

impl Deref for OneArchive {
    type Target = ArchivedDelete;
    fn deref(&self) -> &ArchivedDelete {
        &self.lane
    }
}

/// A delete, one request at a time.
pub(crate) type OneDelete = OneLane<BulkDelete>;

/// As a later process would do it: through the file.
pub(crate) fn resume(operation: &OneDelete, delete: &BulkBuilder<Delete>) -> OneDelete {
    let file = operation.checkpoint().to_json();
    delete.clone().resume_from(Checkpoint::from_json(file.as_bytes()).unwrap()).unwrap().one()
}

/// The next request, waits passed over.
pub(crate) fn next_request(operation: &mut OneDelete) -> Result<String, Box<Outcome>> {
    loop {
        match operation.poll() {
            OneStep::Send(request) => {
                return Ok(format!("{} {} {:?}", request.method(), request.uri(), request.headers()));
            }
            OneStep::Wait(_) => {}
            OneStep::Done(outcome) => return Err(Box::new(outcome)),
        }
    }
}

/// A response in the fewest words.
pub(crate) fn response(status: u16, body: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(body.as_bytes().to_vec());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

/// Polls, expects a request, gives the response, and returns the request's query.
pub(crate) fn exchange(operation: &mut OneDelete, status: u16, body: &str) -> String {
    let OneStep::Send(request) = operation.poll() else { panic!("a request was expected") };
    operation.on_response(&response(status, body)).unwrap();
    request.uri().query().unwrap_or_default().to_owned()
}

pub(crate) fn wait(operation: &mut OneDelete) -> Duration {
    match operation.poll() {
        OneStep::Wait(wait) => wait,
        other => panic!("a wait was expected, not {other:?}"),
    }
}

pub(crate) fn end(operation: &mut OneDelete) -> Outcome {
    match operation.poll() {
        OneStep::Done(outcome) => outcome,
        other => panic!("the end was expected, not {other:?}"),
    }
}

/// Whatever is reported of a request is refused, and leaves no trace.
pub(crate) fn nothing_is_in_flight(operation: &OneDelete) {
    let mut late = operation.clone();
    let before = format!("{late:?}");
    let is_error = |result: Result<Event<_>, InvalidState>| result == Err(InvalidState);
    assert!(is_error(late.on_response(&response(200, "{\"deleted\":5,\"cursor\":\"x\"}"))));
    assert!(is_error(late.on_response(&response(401, ""))));
    assert!(is_error(late.on_failure(Delivery::Unknown)));
    assert!(is_error(late.on_failure(Delivery::NotSent)));
    assert_eq!(late.cancel_unsent(), Err(InvalidState));
    assert_eq!(format!("{late:?}"), before);
}
