//! Lists runs, or fetches them one by one.

use crate::client::context::Context;
use crate::client::end::End;
use crate::schedule::{RunIndex, Target};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use upstash_dlq_core::operation::OperationBuilder;
use upstash_dlq_core::{DlqMessage, Event, GetMany, List, Listing, Selection};

/// The runs that the library has handed over.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<RunIndex>>>);

impl Seen {
    fn add(&self, message: &DlqMessage) {
        let id = message.dlq_id();
        let index = id.as_ref().and_then(|id| id.as_str().strip_prefix("dlq-")).and_then(|index| index.parse().ok());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend::<Option<RunIndex>>(index);
    }

    fn take(&self) -> Vec<RunIndex> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) async fn list(context: &Arc<Context>) -> End {
    let list = match context.selection() {
        Some(Selection::Filter(filter)) => List::matching(filter),
        _ => List::everything(),
    };
    let list = list.page_size(context.world.schedule.page_size());
    let builder = Listing::builder(context.endpoint.clone(), list).lanes(context.lanes(), context.wall());
    let seen = Seen::default();
    let on_event = {
        let seen = seen.clone();
        move |_: &Listing, event: &Event<upstash_dlq_core::wire::ListPage>| {
            if let Event::Page(page) = event {
                page.messages.iter().for_each(|message| seen.add(message));
            }
        }
    };
    let Some(outcome) = context.drive(context.client.prepare(builder).on_event(on_event)).await else {
        return End::Left;
    };
    let mut claim = context.claim_alone(outcome.totals);
    claim.seen = seen.take();
    match outcome.halted {
        None => End::Complete(claim),
        Some(halt) => End::halted(halt, claim),
    }
}

pub(super) async fn get(context: &Arc<Context>) -> End {
    let (Some(Selection::Ids(ids)), Target::Ids(_)) = (context.selection(), context.world.schedule.target()) else {
        return End::Complete(context.claim_alone(<_>::default()));
    };
    let lanes: NonZeroUsize = context.lanes();
    let builder = GetMany::builder(context.endpoint.clone(), ids);
    let builder = OperationBuilder::lanes(builder, lanes, context.wall());
    let seen = Seen::default();
    let on_event = {
        let seen = seen.clone();
        move |_: &GetMany, event: &Event<upstash_dlq_core::operation::Fetched>| {
            if let Event::Page(page) = event {
                page.message.iter().for_each(|message| seen.add(message));
            }
        }
    };
    let Some(outcome) = context.drive(context.client.prepare(builder).on_event(on_event)).await else {
        return End::Left;
    };
    let mut claim = context.claim_alone(outcome.totals);
    claim.seen = seen.take();
    match outcome.halted {
        None => End::Complete(claim),
        Some(halt) => End::halted(halt, claim),
    }
}
