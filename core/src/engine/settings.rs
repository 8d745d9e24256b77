//! The settings that all operations share: lanes, rate and retries.

use crate::engine::retry::RetryPolicy;
use crate::model::endpoint::Endpoint;
use core::num::{NonZeroU32, NonZeroUsize};

/// Far more lanes than anybody needs. Who wants more gets so many.
pub(crate) const MAX_LANES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) policy: RetryPolicy,
    /// The seed of the random waits between attempts.
    pub(crate) seed: u64,
    pub(crate) lanes: NonZeroUsize,
    /// For all lanes together.
    pub(crate) max_requests_per_second: Option<NonZeroU32>,
}

impl Settings {
    /// One lane, the default retry policy with seed 0, and no limit of the rate.
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            policy: RetryPolicy::default(),
            seed: 0,
            lanes: NonZeroUsize::MIN,
            max_requests_per_second: None,
        }
    }
}
