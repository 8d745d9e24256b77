//! One call on one run, with its retries.

use crate::engine::halt::Halt;
use crate::engine::retry::RetryPolicy;
use crate::engine::scheduler::Scheduler;
use crate::engine::settings::Settings;
use crate::engine::totals::Totals;
use crate::model::endpoint::Endpoint;
use crate::operation::delegate::delegate;
use crate::plan::once::Once;
use crate::wire::call::Call;
use core::num::NonZeroU32;

/// One [`Call`], with its retries. It is retried if it was certainly not carried out. If that is unknown, it is retried only if
/// it is [`RETRY_SAFE`](Call::RETRY_SAFE).
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{DlqId, Endpoint, Operation, SingleCall, Step, Token, wire::GetMessage};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut get = SingleCall::builder(endpoint, GetMessage(DlqId::new("a")?)).build();
/// let Step::Send(id, _request) = get.poll(Duration::ZERO) else { panic!() };
/// get.on_response(id, http::Response::new(&br#"{"dlqId":"a","new":1}"#[..]))?;
/// let Step::Done(Ok(message)) = get.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(message.as_json(), r#"{"dlqId":"a","new":1}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SingleCall<C: Call> {
    scheduler: Scheduler<Once<C>>,
}

/// Collects what to call, and how. Made by [`SingleCall::builder`]. Nothing is sent before the call is driven.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use std::num::NonZeroU32;
/// use upstash_dlq_core::{Delivery, DlqId, Halt, Operation, RetryPolicy, SingleCall, Step, wire::DeleteOne};
/// let once = RetryPolicy::default().max_attempts(NonZeroU32::MIN);
/// let mut delete = SingleCall::builder(endpoint, DeleteOne(DlqId::new("a")?)).retry(once, 0).build();
/// let Step::Send(id, _) = delete.poll(std::time::Duration::ZERO) else { panic!() };
/// delete.on_failure(id, Delivery::Unknown.into())?;
/// let Step::Done(Err(halt)) = delete.poll(std::time::Duration::ZERO) else { panic!() };
/// assert!(matches!(halt, Halt::GaveUp { attempts: 1, may_have_changed: true, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SingleCallBuilder<C> {
    call: C,
    settings: Settings,
}

impl<C: Call> SingleCallBuilder<C> {
    /// Sets how many requests may be sent in a second, retries included. `None` means no limit but the server's own.
    pub fn max_requests_per_second(mut self, limit: Option<NonZeroU32>) -> Self {
        self.settings.max_requests_per_second = limit;
        self
    }

    /// Sets how the request is retried. The random waits depend on `seed` alone.
    pub fn retry(mut self, policy: RetryPolicy, seed: u64) -> Self {
        self.settings.policy = policy;
        self.settings.seed = seed;
        self
    }

    /// Builds the operation, at its start.
    pub fn build(self) -> SingleCall<C> {
        SingleCall { scheduler: Scheduler::new(self.settings, Once::new(self.call)) }
    }
}

impl<C: Call> SingleCall<C> {
    /// Starts with the defaults: no rate limit, and the default retry policy with seed 0.
    pub fn builder(endpoint: Endpoint, call: C) -> SingleCallBuilder<C> {
        SingleCallBuilder { call, settings: Settings::new(endpoint) }
    }
}

impl<C: Call> SingleCall<C> {
    /// Counts of what was sent so far.
    pub fn totals(&self) -> Totals {
        self.scheduler.totals()
    }
}

delegate!([C: Call] SingleCall<C>, "call", (), Result<C::Output, Halt>);
