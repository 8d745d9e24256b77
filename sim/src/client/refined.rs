//! Resumes and restarts by a refinement, as the library does it: everything is listed, and what matches is started once. No
//! checkpoint of it can be continued, so a person settles what is in doubt while the process lives.

use crate::client::context::Context;
use crate::client::end::End;
use crate::client::person::{settle, wait_for_arrivals};
use crate::schedule::Driving;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::StartOperation;
use upstash_dlq_core::{Driven, Halt, Observer, Outcome};

/// How often a person settles what is in doubt and goes on.
const SETTLED: u32 = 40;

/// After so many slices the operation is driven in one go.
const SLICES: u32 = 5;

pub(super) async fn start<O: StartOperation>(context: &Arc<Context>) -> End {
    let Some(selection) = context.selection() else { return End::Complete(context.claim_alone(<_>::default())) };
    let builder = context.bulk::<O>(selection).overrides(context.overrides());
    let mut operation = builder.retry(context.client_policy(), context.seed).build();
    let mut slices = 0;
    for _ in 0..SETTLED {
        let outcome = drive(context, &mut operation, &mut slices).await;
        if !matches!(outcome.halted, Some(Halt::InDoubt { .. })) || context.is_asked_to_stop() {
            return End::of_bulk(outcome, |totals| context.claim_alone(totals));
        }
        wait_for_arrivals(context).await;
        if settle(context, &mut operation).is_none() {
            return End::GivenUp;
        }
        context.world.on_driven_on(&context.process);
    }
    End::GivenUp
}

/// Drives the operation to its end or to its halt, in slices at first if the schedule says so.
async fn drive<O: StartOperation>(context: &Arc<Context>, operation: &mut Bulk<O>, slices: &mut u32) -> Outcome {
    if let Driving::Slices { ms } = context.driving() {
        while *slices < SLICES {
            *slices += 1;
            let slice = Duration::from_millis(ms * u64::from(*slices));
            let mut stopper = Stopper(context);
            match tokio::time::timeout(slice, context.client.run(operation, &mut stopper)).await {
                Ok(driven) => return driven.into_outcome(operation),
                Err(_) => continue,
            }
        }
    }
    let driven: Driven<Outcome> = context.client.run(operation, &mut Stopper(context)).await;
    driven.into_outcome(operation)
}

/// Sends nothing once somebody has asked the process to stop.
struct Stopper<'a>(&'a Context);

impl<O: StartOperation> Observer<Bulk<O>> for Stopper<'_> {
    fn before_send(&mut self, _operation: &Bulk<O>) -> ControlFlow<()> {
        if self.0.is_asked_to_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
