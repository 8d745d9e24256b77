//! Lists runs, or fetches them one by one.

use crate::client::context::Context;
use crate::client::end::{Claim, End};
use crate::population::RunIndex;
use crate::schedule::{Driving, Target};
use crate::world::World;
use futures_util::StreamExt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use upstash_dlq_core::operation::Itemized;
use upstash_dlq_core::{DlqMessage, Event, GetMany, Halt, List, Listing, Selection, Totals};

/// The runs that the library has handed over.
#[derive(Clone)]
struct Seen {
    world: Arc<World>,
    runs: Arc<Mutex<Vec<RunIndex>>>,
}

impl Seen {
    fn of(context: &Context) -> Self {
        Self { world: Arc::clone(&context.world), runs: Arc::default() }
    }

    fn add(&self, message: &DlqMessage) {
        let Some(id) = message.dlq_id() else { return };
        let index = self.world.index_of(id.as_str());
        if index.is_none() {
            self.world.violated(format!("what is listed is there: {id} is not"));
        }
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).extend(index);
    }

    /// An observer that adds the messages of each page.
    fn observer<O: Itemized>(&self, messages: fn(&O::Page) -> &[DlqMessage]) -> impl FnMut(&O, &Event<O::Page>) + Send {
        let seen = self.clone();
        move |_: &O, event: &Event<O::Page>| {
            if let Event::Page(page) = event {
                messages(page).iter().for_each(|message| seen.add(message));
            }
        }
    }

    fn end(&self, context: &Context, totals: Totals, halted: Option<Halt>) -> End {
        let seen = std::mem::take(&mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner));
        End::of(halted, Claim { seen, ..context.claim_alone(totals) })
    }
}

pub(super) async fn list(context: &Arc<Context>) -> End {
    let list = match context.selection() {
        Some(Selection::Filter(filter)) => List::matching(filter),
        _ => List::everything(),
    };
    let list = list.page_size(context.world.schedule.page_size());
    let rate = context.world.schedule.rate().and_then(NonZeroU32::new);
    let builder = Listing::builder(context.endpoint.clone(), list)
        .lanes(context.lanes(), context.wall())
        .max_requests_per_second(rate);
    let seen = Seen::of(context);
    let mut observer = seen.observer::<Listing>(|page| &page.messages);
    if let Driving::TakenBack(pages) = context.driving() {
        let mut stream = context.client.prepare(builder).observe(&mut observer).pages();
        for _ in 0..pages {
            if !matches!(stream.next().await, Some(Ok(_))) {
                break;
            }
        }
        let mut listing = stream.into_operation();
        let driven = context.client.run(&mut listing, &mut observer).await;
        let outcome = driven.into_outcome(&listing);
        return seen.end(context, outcome.totals, outcome.halted);
    }
    match context.drive(context.client.prepare(builder).observe(observer)).await {
        Some(outcome) => seen.end(context, outcome.totals, outcome.halted),
        None => End::Left,
    }
}

pub(super) async fn get(context: &Arc<Context>) -> End {
    let (Some(Selection::Ids(ids)), Target::Ids(_)) = (context.selection(), context.world.schedule.target()) else {
        return End::Complete(context.claim_alone(<_>::default()));
    };
    let rate = context.world.schedule.rate().and_then(NonZeroU32::new);
    let builder = GetMany::builder(context.endpoint.clone(), ids).lanes(context.lanes()).max_requests_per_second(rate);
    let seen = Seen::of(context);
    let observer = seen.observer::<GetMany>(|fetched| fetched.message.as_slice());
    match context.drive(context.client.prepare(builder).observe(observer)).await {
        Some(outcome) => seen.end(context, outcome.totals, outcome.halted),
        None => End::Left,
    }
}
