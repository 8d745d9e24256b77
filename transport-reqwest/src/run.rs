//! Runs an operation to its end.

use crate::client::Client;
use crate::driver::Driver;
use std::future::poll_fn;
use upstash_dlq_core::{Driven, Observer, Operation};

impl Client {
    /// Drives an operation to its end, or until the observer stops it. Each lane may have one request in flight.
    ///
    /// The future may be dropped at any await. The operation's totals and checkpoint then hold the requests that were in
    /// flight as unconfirmed. When it is driven again, it counts them as lost
    /// ([`Delivery::Unknown`](upstash_dlq_core::Delivery::Unknown)).
    ///
    /// # Panics
    /// Panics if the observer panics. Nothing more is sent then.
    pub async fn run<O: Operation>(&self, operation: &mut O, observer: &mut impl Observer<O>) -> Driven<O::Outcome> {
        let mut driver = Driver::new(self.clone(), operation);
        while poll_fn(|cx| driver.poll_page(operation, observer, cx)).await.is_some() {}
        driver.into_driven()
    }
}
