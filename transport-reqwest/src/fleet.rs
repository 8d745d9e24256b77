//! A future for each lane, all in the caller's task.

use crate::Client;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use upstash_dlq_core::{Driven, FleetObserver, FleetStep, Lanes, OutOfTurn};

/// How long it waits at most before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

pub(crate) async fn run<L: Lanes>(
    client: &Client,
    fleet: &mut L,
    observer: &mut impl FleetObserver<L>,
) -> Driven<L::Outcome> {
    fleet.abandon();
    let start = Instant::now();
    let mut out = FuturesUnordered::new();
    let mut stopped = false;
    loop {
        let wait = if stopped {
            if out.is_empty() {
                return Driven::Stopped;
            }
            SLICE
        } else {
            let now = start.elapsed();
            match fleet.poll(now) {
                FleetStep::Done(outcome) => return Driven::Done(outcome),
                FleetStep::Send(lane, request) => {
                    if observer.before_send(fleet).is_break() {
                        // Cannot be out of turn: poll has just handed the request out.
                        let _ = fleet.withdraw(lane);
                        stopped = true;
                    } else {
                        out.push(async move { (lane, client.send(request).await) });
                    }
                    continue;
                }
                FleetStep::WaitUntil(until) => until.saturating_sub(now).min(SLICE),
                FleetStep::Idle => SLICE,
            }
        };
        let sleep = pin!(tokio::time::sleep(wait));
        let answered = if out.is_empty() {
            sleep.await;
            None
        } else {
            match select(out.next(), sleep).await {
                Either::Left((answered, _)) => answered,
                Either::Right(_) => None,
            }
        };
        let Some((lane, answer)) = answered else {
            stopped |= observer.waiting().is_break();
            continue;
        };
        let event = match answer {
            Ok(response) => fleet.on_response(lane, &response),
            Err(failure) => fleet.on_failure(lane, failure),
        };
        stopped |= match event {
            Ok(event) => observer.after(fleet, &event).is_break(),
            // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
            Err(OutOfTurn) => true,
        };
    }
}
