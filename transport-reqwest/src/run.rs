//! Drives an operation: a future for each request in flight, all in the caller's task.

use crate::client::Client;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use upstash_dlq_core::drive::{NextStep, next_step, report};
use upstash_dlq_core::{Driven, Observer, Operation};

/// The longest wait before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

impl Client {
    /// Drives an operation to its end, or until the observer stops it. Each lane may have one request in flight.
    ///
    /// The future may be dropped at any await. The operation's totals and checkpoint then hold the requests that were in
    /// flight as unconfirmed. When it is driven again, it counts them as lost
    /// ([`Delivery::Unknown`](upstash_dlq_core::Delivery::Unknown)).
    pub async fn run<O: Operation>(&self, operation: &mut O, observer: &mut impl Observer<O>) -> Driven<O::Outcome> {
        operation.connection_lost();
        let start = Instant::now();
        let mut in_flight = FuturesUnordered::new();
        let mut ended = None;
        loop {
            let wait = match ended.take() {
                Some(driven) if in_flight.is_empty() => return driven,
                // Requests that are in flight come to their end.
                Some(driven) => {
                    ended = Some(driven);
                    SLICE
                }
                None => {
                    let now = start.elapsed();
                    match next_step(operation, now, observer) {
                        NextStep::End(driven) => {
                            ended = Some(driven);
                            continue;
                        }
                        NextStep::Send(id, request) => {
                            in_flight.push(async move { (id, self.send(request).await) });
                            continue;
                        }
                        NextStep::Wait(Some(until)) => until.saturating_sub(now).min(SLICE),
                        NextStep::Wait(None) => SLICE,
                    }
                }
            };
            let sleep = pin!(tokio::time::sleep(wait));
            let result = if in_flight.is_empty() {
                sleep.await;
                None
            } else {
                match select(in_flight.next(), sleep).await {
                    Either::Left((result, _)) => result,
                    Either::Right(_) => None,
                }
            };
            let go_on = match result {
                Some((id, result)) => report(operation, id, result, observer),
                None => observer.while_waiting(),
            };
            if go_on.is_break() {
                ended.get_or_insert(Driven::Stopped);
            }
        }
    }
}
