//! One lane's work, a page at a time. A job knows no retries, no clock and no maximum.

use crate::engine::halt::Halt;
use crate::engine::oversized::Oversized;
use crate::model::endpoint::Endpoint;
use crate::wire::error::ResponseError;
use core::fmt::Debug;
use http::{Request, Response};

pub(crate) trait Job: Clone + Debug {
    type Page;

    /// Returns how many runs the next request asks for: at most `allowance`. Only plans with a maximum, and requests that can be
    /// in doubt, need the number. No other job returns one.
    fn asks(&self, _allowance: Option<u64>) -> u64 {
        0
    }

    /// Returns the request for the next page, which asks for so many runs.
    ///
    /// # Errors
    /// Returns an error only because of a defect in this library: every part of a request is checked where it is made.
    fn request(&self, endpoint: &Endpoint, asked: u64) -> Result<Request<()>, http::Error>;

    fn parse(&self, response: &Response<&[u8]>) -> Result<Self::Page, ResponseError>;

    /// Moves past the page.
    fn on_page(&mut self, page: &Self::Page) -> Next;

    /// Whether the request may be repeated if it is unknown whether it was carried out.
    fn repeat(&self) -> Repeat;

    /// Takes a final error response. Returns true if the job starts over.
    fn on_refused(&mut self, _error: &ResponseError) -> bool {
        false
    }

    /// The response was longer than `bound` bytes. Returns true if the next request asks for less. Called only if the request
    /// [`Reads`](Repeat::Reads).
    fn on_too_large(&mut self, _bound: u64) -> bool {
        false
    }

    /// Names the response to the next request, in case it is too large and cannot be asked for in smaller parts.
    fn oversized(&self) -> Oversized {
        Oversized::Response
    }

    /// Moves on after a request in doubt was settled as carried out.
    fn on_applied(&mut self) -> Next {
        Next::More
    }

    /// How many of the ids that the request named were not in the DLQ, if it was sent once.
    fn missing(&self, _page: &Self::Page) -> u64 {
        0
    }

    /// How many runs the page says were deleted, resumed or restarted.
    fn affected(_page: &Self::Page) -> u64 {
        0
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The job has another page.
    More,
    /// The job is done. Its lane is free.
    Finished,
    /// The whole operation stops.
    Halt(Halt),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request changes nothing. It is sent again.
    Reads,
    /// The request is safe to repeat. It is sent again, and counts as unconfirmed.
    Harmless,
    /// The request must not be sent again before it is settled.
    InDoubt,
}
