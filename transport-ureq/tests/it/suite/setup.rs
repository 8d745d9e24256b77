//! What the suite needs of a transport's test file, and what a client is built with.

use http::{Request, Response};
use std::num::NonZeroU32;
use std::time::Duration;
use upstash_dlq_core::client::budget::BODY_BUDGET;
use upstash_dlq_core::client::{MAX_BODY, MAX_MESSAGE_BODY};
use upstash_dlq_core::operation::{Bulk, GetManyOutcome};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Call, List, Overrides};
use upstash_dlq_core::{DlqId, DlqMessage, Endpoint, Halt, Outcome, RetryPolicy, Selection, TransportFailure};

/// One transport.
pub(crate) trait Driver {
    fn send(
        endpoint: &Endpoint,
        timeout: Duration,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure>;
    fn send_with(
        endpoint: &Endpoint,
        setup: &Setup,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        Self::send_each(endpoint, setup, [request]).remove(0)
    }
    /// One after another, with one client.
    fn send_each<const N: usize>(
        endpoint: &Endpoint,
        setup: &Setup,
        requests: [Request<()>; N],
    ) -> Vec<Result<Response<Vec<u8>>, TransportFailure>>;
    /// `Client::new` alone.
    fn build(endpoint: &Endpoint) -> Result<(), String>;
    /// What `Debug` shows of builders, transports, clients and requests.
    fn debug(endpoint: &Endpoint) -> Vec<String>;
    fn delete(endpoint: &Endpoint, timeout: Duration, selection: Selection, policy: RetryPolicy) -> Outcome;
    fn list(endpoint: &Endpoint, list: List) -> Result<Vec<DlqMessage>, Halt>;
    fn call<C: Call>(endpoint: &Endpoint, call: C) -> Result<C::Output, Halt>;
    fn run<O: BulkOperation>(endpoint: &Endpoint, bulk: &mut Bulk<O>) -> (Vec<O::Page>, Outcome);
    fn delete_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome;
    fn resume_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome;
    fn count(endpoint: &Endpoint, list: List, lanes: usize) -> Result<u64, Halt>;
    fn get_many(endpoint: &Endpoint, setup: &Setup, ids: Ids, lanes: usize) -> GetManyOutcome;
    /// Every comfort method on one id, in the order of [`singles`].
    fn each(endpoint: &Endpoint, id: &DlqId, overrides: &Overrides) -> Vec<Result<String, Halt>>;
}

/// What a client is built with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    /// Whether the authority of the tests is trusted.
    pub(crate) trusting: bool,
    /// None at all, whatever the environment says, unless this names one.
    pub(crate) proxy: Option<String>,
    /// In bytes.
    pub(crate) max_body: usize,
    /// In bytes.
    pub(crate) max_message_body: usize,
    /// In bytes.
    pub(crate) body_budget: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            timeout: LONG,
            connect_timeout: LONG,
            trusting: false,
            proxy: None,
            max_body: MAX_BODY,
            max_message_body: MAX_MESSAGE_BODY,
            body_budget: BODY_BUDGET,
        }
    }
}

pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn fast(attempts: u32) -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap()).base(Duration::from_micros(10))
}
