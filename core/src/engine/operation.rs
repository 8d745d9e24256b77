//! The interface of everything that sends requests: its steps and its events.
//!
//! It knows nothing of who drives an operation. The states of a request are drawn at [`Operation`].

use crate::engine::failure::{Cause, TransportFailure};
use crate::engine::halt::Halt;
use crate::engine::totals::Totals;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use http::{Request, Response};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Identifies a request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    pub(crate) lane: usize,
    /// The number of the request in its operation. So a late response is never taken for the response to another request.
    pub(crate) serial: u64,
}

impl RequestId {
    /// The number of the lane, from 0. A lane has at most one request in flight. The number may exceed how many lanes are allowed, if the
    /// operation continues from a checkpoint that had more.
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
    /// Send this request, then report its response or its failure with this id. Poll again before the response arrives if
    /// several requests may be in flight at once.
    Send(RequestId, Request<()>),
    /// Nothing can be sent before this time, unless a response arrives first. The time is on the clock of `poll`.
    WaitUntil(Duration),
    /// Nothing can be sent before a response arrives. An [`ArchivedDelete`](crate::ArchivedDelete) without a request in
    /// flight waits for its caller to store a batch.
    AwaitResponse,
    /// Nothing is left to do, and no request is in flight. Every later `poll` returns the same.
    Done(O),
}

impl<O> Step<O> {
    pub(crate) fn map<P>(self, to: impl FnOnce(O) -> P) -> Step<P> {
        match self {
            Self::Send(id, request) => Step::Send(id, request),
            Self::WaitUntil(until) => Step::WaitUntil(until),
            Self::AwaitResponse => Step::AwaitResponse,
            Self::Done(outcome) => Step::Done(to(outcome)),
        }
    }
}

/// What a response or a failure meant.
///
/// With serde, it is `{"kind": "page", "detail": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<P> {
    /// A page arrived.
    Page(P),
    /// The request will be sent again, or a smaller one in its place.
    Retry(Retried),
    /// The request failed and is not sent again. The operation halts, or its maximum is used up.
    Ended,
}

impl<P> Event<P> {
    pub(crate) fn map<Q>(self, to: impl FnOnce(P) -> Q) -> Event<Q> {
        match self {
            Self::Page(page) => Event::Page(to(page)),
            Self::Retry(retried) => Event::Retry(retried),
            Self::Ended => Event::Ended,
        }
    }
}

/// Needs `serde_json`, as the messages of a page do.
impl<'de, P: DeserializeOwned> Deserialize<'de> for Event<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            kind: String,
            // In either order, and unread until the kind is known.
            detail: Option<Box<RawValue>>,
        }
        let Wire { kind, detail } = Wire::deserialize(deserializer)?;
        let detail = detail.as_ref().map_or("null", |detail| detail.get());
        match kind.as_str() {
            "page" => serde_json::from_str(detail).map(Self::Page).map_err(D::Error::custom),
            "retry" => serde_json::from_str(detail).map(Self::Retry).map_err(D::Error::custom),
            "ended" => Ok(Self::Ended),
            _ => Err(D::Error::unknown_variant(&kind, &["page", "retry", "ended"])),
        }
    }
}

/// Why a request will be sent again, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retried {
    /// What happened.
    pub cause: Cause,
    /// How long the operation waits first.
    pub after: Duration,
}

impl Retried {
    /// A retry, as an operation tells it. For tests of observers.
    pub fn new(cause: Cause, after: Duration) -> Self {
        Self { cause, after }
    }
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
///    |                   |   not sent; for what is harmless to repeat also: lost, 5xx, unreadable
///    +---- Backoff <-----+
///    |                   |   429: all lanes pause
///    +-------------------+
///    |                   |   a cursor that was given out is refused: delete only, at most once until runs are
///    +-------------------+   affected again
///    |                   |   a listed page is too large: fewer runs are asked for, without an attempt or a wait
///    +-------------------+
///                        |   resume, restart: lost, 5xx, unreadable
///                        +-----------------------------------------> InDoubt -- settle --> Ready or Finished
///                        |   3xx, other 4xx, attempts used up, no progress, too long a wait asked for
///                        +-----------------------------------------> Halted
/// ```
///
/// This is what happens to one request. An operation has one such request per lane. When one lane halts, the others send
/// nothing more. When no lane has anything left to do, the operation is done, or begins another pass. After a 429, all lanes
/// pause, and fewer requests may be in flight at once. If the server asks for a wait longer than
/// [`RetryPolicy::max_wait`](crate::RetryPolicy::max_wait), the operation halts
/// ([`Halt::WaitTooLong`](crate::Halt::WaitTooLong)).
///
/// A delete makes passes until one is *clean*: it deleted nothing, and every one of its requests was confirmed. Nobody promises
/// that a cursor survives a deletion, so only such a pass, the *verification pass*, proves that nothing is left. Resume and
/// restart make exactly one pass, because a second one could start the same runs again.
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
    /// What one successful response brings.
    type Page;
    /// How the operation ends.
    type Outcome;

    /// Returns what to do now. `now` is the time since any fixed moment. A request that is returned is in flight from then on.
    /// Requests that were in flight before stay in flight.
    fn poll(&mut self, now: Duration) -> Step<Self::Outcome>;

    /// Takes the response to a request.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn on_response(&mut self, id: RequestId, response: Response<&[u8]>) -> Result<Event<Self::Page>, InvalidState>;

    /// Takes the failure of a request: no response will arrive.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn on_failure(&mut self, id: RequestId, failure: TransportFailure) -> Result<Event<Self::Page>, InvalidState>;

    /// Takes back a request that `poll` returned and that was not sent. It counts as not sent, and a later `poll` returns it
    /// again.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if this request is not in flight. Nothing has changed then.
    fn cancel_unsent(&mut self, id: RequestId) -> Result<(), InvalidState>;

    /// Says that the previous driver is gone. Every request in flight counts as lost
    /// ([`Delivery::Unknown`](crate::Delivery::Unknown)), and the next `poll` may use another clock. Every driver calls this
    /// when it begins.
    fn connection_lost(&mut self);

    /// What it does, in one word, for logs: `delete`, `list`.
    fn name(&self) -> &'static str;

    /// What has been done so far. A request in flight that may change something counts as unconfirmed.
    fn totals(&self) -> Totals;

    /// Why it has halted. `None` if it has not, or is complete.
    fn halt(&self) -> Option<&Halt>;

    /// How many requests are in flight.
    fn in_flight(&self) -> usize;

    /// Halts the operation for a reason that its caller has found: nothing more is sent. A halt of its own stays.
    fn halt_for(&mut self, reason: Halt);

    /// The outcome if the operation goes no further, for this reason. If it has ended already, or has halted for a reason of its
    /// own, that counts. Changes nothing, so the operation can still be driven on.
    fn outcome_halted(&self, halt: Halt) -> Self::Outcome;

    /// How many requests could be in flight at once now, at least one. A driver does not need more connections or threads.
    fn concurrency(&self) -> usize;
}

/// The operation does not expect this call now: the request is not in flight, or nothing is in doubt or waits to be stored.
/// Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not expected in this state: the request is not in flight, or nothing waits for this call")
    }
}

impl core::error::Error for InvalidState {}
