//! Drives requests: retries, rates, and when to stop.
//!
//! Floor 3: it knows nothing of what a page holds.

pub(crate) mod cycle;
pub(crate) mod outcome;
pub(crate) mod rate_limiter;
pub(crate) mod retry;
pub(crate) mod retry_after;

pub use self::outcome::{Halt, OutOfTurn, Outcome, Totals};
pub use self::retry::{Cause, Delivery, Event, Retried, RetryPolicy, Step, TransportFailure};
