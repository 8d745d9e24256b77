//! Schedules requests: retries, rates, lanes, and when to stop.
//!
//! Floor 3: it knows neither what a page holds nor what an operation is for.

pub(crate) mod clock;
pub(crate) mod cycle;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod halt;
pub(crate) mod job;
pub(crate) mod lanes;
pub(crate) mod operation;
pub(crate) mod oversized;
pub(crate) mod plan;
pub(crate) mod rate_limiter;
pub(crate) mod retry;
pub(crate) mod retry_after;
pub(crate) mod scheduler;
pub(crate) mod settings;
pub(crate) mod settlement;
pub(crate) mod totals;

pub use self::failure::{Cause, Delivery, LibraryError, TransportFailure};
pub use self::halt::{Halt, StoreFailure};
pub use self::operation::{Event, InvalidState, Operation, RequestId, Retried, Step};
pub use self::oversized::Oversized;
pub use self::retry::RetryPolicy;
pub use self::settlement::Settlement;
pub use self::totals::Totals;
