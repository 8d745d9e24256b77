//! Fetches many runs by their ids.

use crate::engine::retry::RetryPolicy;
use crate::engine::scheduler::Scheduler;
use crate::engine::settings::{MAX_LANES, Settings};
use crate::model::endpoint::Endpoint;
use crate::operation::delegate::delegate;
use crate::operation::incomplete::Incomplete;
use crate::plan::fetches::{Fetched, Fetches, GetManyOutcome};
use crate::selection::ids::Ids;
use core::num::{NonZeroU32, NonZeroUsize};

/// Fetches many runs by their ids, one request for each: `GET /v2/workflows/dlq/{dlqId}`. The runs arrive in any order if there
/// is more than one lane. A run that is not in the DLQ is no error.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{Endpoint, Event, GetMany, Operation, Step, Token, selection::Ids};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut get = GetMany::builder(endpoint, Ids::parse(["a", "b"])?).build();
/// let Step::Send(first, _request) = get.poll(Duration::ZERO) else { panic!() };
/// let Event::Page(a) = get.on_response(first, http::Response::new(br#"{"dlqId":"a"}"#))? else { panic!() };
/// assert!(a.id.as_str() == "a" && a.message.is_some());
/// let Step::Send(second, _request) = get.poll(Duration::ZERO) else { panic!() };
/// let response = http::Response::builder().status(404).body(&br#"{"error":"not found"}"#[..])?;
/// let Event::Page(b) = get.on_response(second, response)? else { panic!() };
/// assert!(b.message.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GetMany {
    scheduler: Scheduler<Fetches>,
}

/// Collects what to fetch, and how. Made by [`GetMany::builder`]. Nothing is sent before the operation is driven.
#[derive(Clone, Debug)]
#[must_use]
pub struct GetManyBuilder {
    ids: Ids,
    settings: Settings,
}

impl GetManyBuilder {
    /// Sets how many requests may be in flight at once. Any number is accepted, and at most 100,000 are used.
    pub fn lanes(mut self, lanes: NonZeroUsize) -> Self {
        self.settings.lanes = lanes.min(MAX_LANES);
        self
    }

    /// Sets how many requests may be sent in a second, all lanes together. `None` means no limit but the server's own.
    pub fn max_requests_per_second(mut self, limit: Option<NonZeroU32>) -> Self {
        self.settings.max_requests_per_second = limit;
        self
    }

    /// Sets how requests are retried. The random waits depend on `seed` alone.
    pub fn retry(mut self, policy: RetryPolicy, seed: u64) -> Self {
        self.settings.policy = policy;
        self.settings.seed = seed;
        self
    }

    /// Builds the operation, at its start.
    pub fn build(self) -> GetMany {
        GetMany { scheduler: Scheduler::new(self.settings, Fetches::new(self.ids)) }
    }
}

impl GetMany {
    /// Starts with the defaults: one lane, no rate limit, and the default retry policy with seed 0.
    pub fn builder(endpoint: Endpoint, ids: Ids) -> GetManyBuilder {
        GetManyBuilder { ids, settings: Settings::new(endpoint) }
    }

    /// The outcome, or the present state of an operation that has not ended.
    pub fn outcome_so_far(&self) -> GetManyOutcome {
        self.scheduler.outcome_so_far()
    }
}

impl GetManyOutcome {
    /// Returns an error if not every id was asked for, for the `?` operator.
    ///
    /// # Errors
    /// Returns [`Incomplete`], which holds the totals and the [`Halt`](crate::Halt). Fetching changes nothing in the DLQ.
    pub fn into_result(mut self) -> Result<Self, Incomplete> {
        match self.halted.take() {
            None => Ok(self),
            Some(halt) => Err(Incomplete::new(self.totals, halt, None)),
        }
    }
}

delegate!([] GetMany, "get", Fetched, GetManyOutcome);
