//! Lists runs, on one lane in the service's order, or on many in any order.

use crate::engine::retry::RetryPolicy;
use crate::engine::scheduler::Scheduler;
use crate::engine::settings::{MAX_LANES, Settings};
use crate::model::endpoint::Endpoint;
use crate::model::time::UnixMillis;
use crate::operation::delegate::delegate;
use crate::operation::incomplete::Incomplete;
use crate::plan::listing_windows::{ListingOutcome, ListingWindows};
use crate::wire::list::{List, ListPage};
use core::num::{NonZeroU32, NonZeroUsize};

/// A listing, page after page. On one lane, pages arrive in the service's order. On many lanes, disjoint windows of time are
/// listed in parallel, and pages arrive in any order. Each run is handed over once, provided that the server keeps to dates. If
/// it does not, everything is listed in one lane ([`ListingOutcome::dates_ignored`]), or the listing halts
/// ([`Halt::DatesIgnored`](crate::Halt::DatesIgnored)).
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{Endpoint, Listing, Operation, Step, Token, wire::List};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut listing = Listing::builder(endpoint, List::everything()).build();
/// let outcome = loop {
///     match listing.poll(Duration::ZERO) {
///         Step::Send(id, _request) => {
///             listing.on_response(id, http::Response::new(&br#"{"messages":[{"dlqId":"a"}]}"#[..]))?;
///         }
///         Step::WaitUntil(_) | Step::AwaitResponse => unreachable!(),
///         Step::Done(outcome) => break outcome,
///     }
/// };
/// assert!(outcome.listed == 1 && outcome.totals.requests == 1 && outcome.halted.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Listing {
    scheduler: Scheduler<ListingWindows>,
}

/// Collects what to list, and how. Made by [`Listing::builder`]. Nothing is sent before the listing is driven.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use std::num::NonZeroU32;
/// use upstash_dlq_core::{Filter, List, Listing, Operation, Step, UnixMillis};
/// let nightly = List::matching(Filter::builder().label("nightly").build()?);
/// let mut listing = Listing::builder(endpoint, nightly)
///     .lanes(4.try_into()?, UnixMillis::new(1_764_000_000_000))
///     .max_requests_per_second(NonZeroU32::new(10))
///     .build();
/// let Step::Send(_, request) = listing.poll(std::time::Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri().query(), Some("label=nightly&count=100"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ListingBuilder {
    list: List,
    settings: Settings,
    now: UnixMillis,
}

impl ListingBuilder {
    /// Sets how many requests may be in flight at once. Any number is accepted, and at most 100,000 are used. `now`, the present,
    /// stands in for a missing `to` when windows are divided. A listing that begins at a cursor stays in one lane.
    pub fn lanes(mut self, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        self.settings.lanes = lanes.min(MAX_LANES);
        self.now = now;
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

    /// Builds the listing, at its start.
    pub fn build(self) -> Listing {
        let Self { list, settings, now } = self;
        let plan = ListingWindows::new(&settings.endpoint, list, settings.lanes.get(), now);
        Listing { scheduler: Scheduler::new(settings, plan) }
    }
}

impl ListingOutcome {
    /// Returns an error if not everything was listed, for the `?` operator.
    ///
    /// # Errors
    /// Returns [`Incomplete`], which holds the totals and the [`Halt`](crate::Halt). A listing changes nothing in the DLQ.
    pub fn into_result(mut self) -> Result<Self, Incomplete> {
        match self.halted.take() {
            None => Ok(self),
            Some(halt) => Err(Incomplete::new(self.totals, halt, None)),
        }
    }
}

impl Listing {
    /// Starts with the defaults: one lane, no rate limit, and the default retry policy with seed 0.
    pub fn builder(endpoint: Endpoint, list: List) -> ListingBuilder {
        ListingBuilder { list, settings: Settings::new(endpoint), now: UnixMillis::new(0) }
    }

    /// The outcome, or the present state of a listing that has not ended.
    pub fn outcome_so_far(&self) -> ListingOutcome {
        self.scheduler.outcome_so_far()
    }
}

delegate!([] Listing, "list", ListPage, ListingOutcome);
