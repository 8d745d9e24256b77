//! The one interface of everything that sends requests, and its words.
//!
//! It knows nothing of who drives an operation. The states of a request are drawn at [`Operation`].

use crate::engine::failure::{Cause, TransportFailure};
use core::fmt;
use core::time::Duration;
use http::{Request, Response};

/// Names a request that is in flight, for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    pub(crate) lane: usize,
    /// Counts all requests of an operation: a late response is never taken for that of another request.
    pub(crate) serial: u64,
}

impl RequestId {
    /// The number of the request's lane. A lane has one request in flight at most.
    pub fn lane(self) -> usize {
        self.lane
    }
}

/// What to do now.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a step is taken apart at once; boxing the request would cost an allocation for each"
)]
pub enum Step<O> {
    /// Send this, then report its response or its failure under this name. Poll again before the response comes where
    /// several requests may be in flight at once.
    Send(RequestId, Request<()>),
    /// Nothing can be sent before this time, unless a response comes first. The time is of the clock that `poll` was
    /// given.
    WaitUntil(Duration),
    /// Nothing can be sent before a response comes. For an [`ArchivedDelete`](crate::ArchivedDelete) with no request in
    /// flight: before the caller says that a batch is stored.
    AwaitResponse,
    /// Nothing is left to do, and no request is in flight. Every later `poll` returns the same.
    Done(O),
}

/// What a response or a failure meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<P> {
    /// A page was understood.
    Page(P),
    /// The request will be sent again.
    Retry(Retried),
    /// The request is not sent again, and there is no page. The operation halts, or its maximum is used up.
    Ended,
}

/// Why a request will be sent again, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    /// What happened.
    pub cause: Cause,
    /// How long to wait first. The operation waits by itself.
    pub after: Duration,
}

/// Everything that sends requests: bulk operations, listings, archived deletes and single calls.
///
/// An operation is a plain value. It does no I/O, reads no clock and can be stored, moved across threads and dropped at any
/// point. The caller drives it:
///
/// 1. Call [`poll`](Self::poll) with the time.
/// 2. On [`Step::Send`], send the request, and report [`on_response`](Self::on_response) or
///    [`on_failure`](Self::on_failure). On [`Step::WaitUntil`], sleep. On [`Step::AwaitResponse`], await a response.
/// 3. Stop on [`Step::Done`].
///
/// [`drive`](crate::drive()) and [`drive_async`](crate::drive_async) do this for callers with one connection.
///
/// # States
///
/// ```text
///            poll                       a page, more to come
///  Ready ------------> InFlight ---------------------------------> Ready
///    ^                   |   a page, the last one
///    |                   +-----------------------------------------> Finished (the lane is free)
///    |                   |   429, not sent; for what is harmless to repeat also: lost, 5xx, unreadable
///    +---- Backoff <-----+
///    |                   |   a cursor that was given out and is refused (delete only, once per progress)
///    +-------------------+
///                        |   resume, restart: lost, 5xx, unreadable
///                        +-----------------------------------------> InDoubt -- settle --> Ready or Finished
///                        |   3xx, other 4xx, attempts used up, no progress
///                        +-----------------------------------------> Halted
/// ```
///
/// This is one request's way. An operation has one such request a lane. When one lane halts, the others send nothing more.
/// When no lane has anything left to do, the operation is done, or begins another pass.
///
/// A delete makes passes until one is *clean*: it deleted nothing, and every one of its requests was confirmed. Nobody promises
/// that a cursor survives a deletion, so only such a pass proves that nothing is left. Resume and restart make exactly one
/// pass, because a second one could start the same runs again.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{BulkDelete, Endpoint, Operation, Selection, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
/// let mut responses = [r#"{"deleted":7}"#, r#"{"deleted":0}"#].into_iter();
/// let outcome = loop {
///     match delete.poll(Duration::ZERO) {
///         Step::Send(id, _request) => {
///             let response = http::Response::new(responses.next().unwrap().as_bytes());
///             delete.on_response(id, response)?;
///         }
///         Step::WaitUntil(_) | Step::AwaitResponse => unreachable!(),
///         Step::Done(outcome) => break outcome,
///     }
/// };
/// assert!(outcome.verified && outcome.totals.affected == 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Operation {
    /// What one understood response brings.
    type Page;
    /// How the operation ends.
    type Outcome;

    /// Returns what to do now. `now` is the time since any fixed moment. It never changes what is in flight, but for the
    /// request that it hands out: that one is in flight from then on.
    fn poll(&mut self, now: Duration) -> Step<Self::Outcome>;

    /// Takes the response to a request.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn on_response(&mut self, id: RequestId, response: Response<&[u8]>) -> Result<Event<Self::Page>, InvalidState>;

    /// Takes the news that no response will come to a request.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn on_failure(&mut self, id: RequestId, failure: TransportFailure) -> Result<Event<Self::Page>, InvalidState>;

    /// Takes back a request that `poll` handed out and that was not sent. Nothing is counted, and a later `poll` hands it out
    /// again.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn cancel_unsent(&mut self, id: RequestId) -> Result<(), InvalidState>;

    /// Whoever drove the operation has gone. Every request in flight counts as lost
    /// ([`Delivery::Unknown`](crate::Delivery::Unknown)), and the next `poll` may use another clock. Every driver calls this
    /// when it begins.
    fn connection_lost(&mut self);

    /// How many requests are in flight.
    fn in_flight(&self) -> usize;

    /// How many requests could be in flight at once now, at least one. A driver needs no more connections or threads.
    fn concurrency(&self) -> usize;
}

/// A response or a failure was reported for a request that is not in flight. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not expected now: the request is not in flight, or nothing waits for it")
    }
}

impl core::error::Error for InvalidState {}
