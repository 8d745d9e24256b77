//! Deletes, resumes and restarts with a checkpoint in a file.

use crate::client::context::Context;
use crate::client::end::End;
use crate::client::held::{Held, unusable};
use crate::client::person::{settle, wait_for_arrivals};
use crate::schedule::Driving;
use std::sync::Arc;
use std::time::Duration;
use upstash_dlq_core::operation::{Bulk, BulkBuilder, InDoubt};
use upstash_dlq_core::wire::{Delete, StartOperation};
use upstash_dlq_core::{Driven, Outcome, Settlement};

pub(super) async fn delete(context: &Arc<Context>) -> End {
    let Some(selection) = context.selection() else { return End::Complete(context.claim(<_>::default())) };
    let builder = context.bulk::<Delete>(selection).verify(context.verifies());
    if let Driving::Slices { ms } = context.driving() {
        return in_slices(context, builder, ms).await;
    }
    let held = match Held::open(context) {
        Ok((held, _)) => held,
        Err(end) => return end,
    };
    match context.drive(context.client.prepare(builder).checkpoint(held)).await {
        Some(outcome) => End::of_bulk(outcome, |totals| context.claim(totals)),
        None => End::Left,
    }
}

/// The operation is a value. Futures that drive it are dropped, and others go on.
async fn in_slices(context: &Arc<Context>, builder: BulkBuilder<Delete>, ms: u64) -> End {
    let ended = |outcome: Outcome| End::of_bulk(outcome, |totals| context.claim_alone(totals));
    let mut operation = builder.retry(context.client_policy(), context.seed).build();
    for slice in 1..=5 {
        let slice = Duration::from_millis(ms * slice);
        if let Ok(Driven::Done(outcome)) =
            tokio::time::timeout(slice, context.client.run(&mut operation, &mut ())).await
        {
            return ended(outcome);
        }
    }
    let driven = context.client.run(&mut operation, &mut ()).await;
    ended(driven.into_outcome(&operation))
}

pub(super) async fn start<O: StartOperation>(context: &Arc<Context>) -> End {
    let Some(selection) = context.selection() else { return End::Complete(context.claim(<_>::default())) };
    let builder = context.bulk::<O>(selection).overrides(context.overrides());
    let (held, saved) = match Held::open(context) {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    // A person looks at what is in doubt, before anything goes on, and not before everything sent has arrived.
    let copy = saved.and_then(|saved| builder.clone().resume_from(saved).ok());
    if copy.as_ref().is_some_and(|copy| copy.in_doubt().is_some()) {
        wait_for_arrivals(context).await;
    }
    let settlements = match copy {
        None => Vec::new(),
        Some(mut copy) => {
            let Some(settlements) = settle(context, &mut copy) else { return End::GivenUp };
            if copy.in_doubt().is_some() {
                return halted_in_doubt(context, &held, copy).await;
            }
            settlements
        }
    };
    let mut settlements = settlements.into_iter();
    let world = Arc::clone(&context.world);
    let found = move |in_doubt: InDoubt<'_>| {
        settlements.next().unwrap_or_else(|| {
            world.violated(format!("a person settles each doubt: nobody was told of {in_doubt:?}"));
            Settlement::Applied
        })
    };
    match context.drive(context.client.prepare(builder).checkpoint(held).settle_each(found)).await {
        Some(outcome) => End::of_bulk(outcome, |totals| context.claim(totals)),
        None => End::Left,
    }
}

/// A person has settled one request in doubt, and not yet the others. The operation sends nothing, and keeps what it was told.
async fn halted_in_doubt<O: StartOperation>(context: &Arc<Context>, held: &Held, mut operation: Bulk<O>) -> End {
    context.world.on_silent(&context.process, "nothing is sent before each doubt is settled");
    if let Err(error) = held.file.write(&operation.checkpoint().to_json()) {
        return unusable(&error);
    }
    let driven = context.client.run(&mut operation, &mut ()).await;
    End::of_bulk(driven.into_outcome(&operation), |totals| context.claim(totals))
}
