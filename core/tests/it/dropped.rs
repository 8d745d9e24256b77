//! Whoever drops `drive_async` at any await loses nothing: the crash properties, with a drop for a crash.

use crate::cases::cases;
use crate::world::{World, endpoint, faults, matches, selection, service};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use upstash_dlq_core::operation::{ArchivePage, Bulk, Fetched};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, List, ListPage, Restart, Resume};
use upstash_dlq_core::{
    BulkDelete, Delivery, DlqMessage, Driven, Event, GetMany, Halt, Listing, Observer, Operation, RetryPolicy,
    Settlement, drive_async,
};
use upstash_dlq_emulator::{Config, FaultPlan};

fn patient() -> RetryPolicy {
    RetryPolicy::default().max_attempts(40.try_into().unwrap())
}

/// One await: a place where a future can be dropped.
async fn awaited() {
    let mut is_first = true;
    poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// The service, and what became of the request that was last handed out.
struct Place {
    world: RefCell<World>,
    started_any: Cell<bool>,
}

impl Place {
    fn new(faults: FaultPlan, seed: u64) -> Self {
        let world = RefCell::new(World::new(service(130, Config::default().faults(faults)), seed));
        Self { world, started_any: Cell::new(false) }
    }

    /// Drives for so many awaits, and then drops the future.
    fn drive<O: Operation>(
        &self,
        operation: &mut O,
        awaits: usize,
        observer: &mut impl Observer<O>,
    ) -> Option<Driven<O::Outcome>> {
        let send = |request| async move {
            self.started_any.set(false);
            awaited().await;
            let response = {
                let mut world = self.world.borrow_mut();
                let before = world.service.started().count();
                let response = world.serve(&request);
                self.started_any.set(world.service.started().count() > before);
                response
            };
            awaited().await;
            response.ok_or(Delivery::Unknown)
        };
        let sleep = |wait: Duration| async move {
            awaited().await;
            self.world.borrow_mut().clock += wait;
        };
        let mut future = pin!(drive_async(operation, send, || self.world.borrow().clock, sleep, observer));
        let mut context = Context::from_waker(Waker::noop());
        (0..awaits).find_map(|_| match future.as_mut().poll(&mut context) {
            Poll::Ready(driven) => Some(driven),
            Poll::Pending => None,
        })
    }

    /// Drives an operation to its end, and drops its driver after so many awaits each time, in turn.
    fn to_the_end<O: Operation>(
        &self,
        operation: &mut O,
        awaits: &[usize],
        observer: &mut impl Observer<O>,
    ) -> Driven<O::Outcome> {
        let turns = awaits.iter().copied().chain(std::iter::repeat_n(1_000_000, 3));
        let mut driven = None;
        for awaits in turns {
            driven = self.drive(operation, awaits, observer);
            if driven.is_some() {
                break;
            }
        }
        driven.expect("it hangs")
    }
}

/// Somebody looks before they settle: each run is started once, and all of them are.
fn start<O: BulkOperation>(place: &Place, kind: u8, awaits: &[usize]) -> Result<(), TestCaseError> {
    let wanted: BTreeSet<_> = {
        let world = place.world.borrow();
        world.service.runs().filter(|run| matches(kind, run)).map(|run| run.dlq_id.clone()).collect()
    };
    let mut operation = Bulk::<O>::builder(endpoint(), selection(kind)).retry(patient(), 1).build();
    let mut awaits = awaits.iter().copied().chain(std::iter::repeat(1_000_000));
    let outcome = loop {
        let nothing = &mut |_: &Bulk<O>, _: &Event<O::Page>| ();
        match place.drive(&mut operation, awaits.next().unwrap(), nothing) {
            None => {}
            Some(Driven::Done(outcome)) if operation.in_doubt().is_some() => {
                prop_assert!(matches!(outcome.halted, Some(Halt::InDoubt { .. })), "{outcome:?}");
                let applied = place.started_any.get();
                operation.settle(if applied { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
            }
            Some(Driven::Done(outcome)) => break outcome,
            Some(Driven::Stopped) => panic!("nobody stops it"),
        }
    };
    prop_assert_eq!(&outcome.halted, &None);
    let world = place.world.borrow();
    let started: Vec<_> = world.service.started().map(|run| run.dlq_id.clone()).collect();
    prop_assert_eq!(started.len(), wanted.len(), "started twice, or not at all");
    prop_assert_eq!(started.into_iter().collect::<BTreeSet<_>>(), wanted);
    Ok(())
}

/// Keeps the batch that came last.
struct Keep(Option<(u64, Vec<DlqMessage>)>);

impl Observer<upstash_dlq_core::ArchivedDelete> for Keep {
    fn on_event(
        &mut self,
        _: &mut upstash_dlq_core::ArchivedDelete,
        event: &Event<ArchivePage>,
    ) -> std::ops::ControlFlow<()> {
        if let Event::Page(ArchivePage { batch: Some(batch), .. }) = event {
            self.0 = Some((batch.number, batch.messages.clone()));
        }
        std::ops::ControlFlow::Continue(())
    }
}

fn drops() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..12, 0..40)
}

proptest! {
    #![proptest_config(cases(250, 10_000))]

    #[test]
    fn a_delete_deletes_what_was_selected(plan in faults(), kind in 0_u8..4, awaits in drops(), seed: u64) {
        let place = Place::new(plan, seed);
        let others = place.world.borrow().service.runs().filter(|run| !matches(kind, run)).count();
        let mut delete = BulkDelete::builder(endpoint(), selection(kind)).retry(patient(), seed).build();
        let driven = place.to_the_end(&mut delete, &awaits, &mut |_: &BulkDelete, _: &Event<_>| ());
        let Driven::Done(outcome) = driven else { panic!("nobody stops it") };
        let world = place.world.borrow();
        prop_assert_eq!(world.service.runs().filter(|run| !matches(kind, run)).count(), others);
        prop_assert!(outcome.totals.affected <= world.service.deleted_total());
        if outcome.halted.is_none() {
            prop_assert!(outcome.verified && world.service.len() == others);
        }
        if outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(outcome.totals.affected, world.service.deleted_total());
        }
    }

    #[test]
    fn a_resume_and_a_restart_start_each_run_once(plan in faults(), kind in 0_u8..4, awaits in drops(), seed: u64) {
        start::<Resume>(&Place::new(plan.clone(), seed), kind, &awaits)?;
        start::<Restart>(&Place::new(plan, seed), kind, &awaits)?;
    }

    #[test]
    fn a_listing_and_a_get_hand_over_each_run_once(plan in faults(), awaits in drops(), seed: u64) {
        let place = Place::new(plan, seed);
        let ids: Vec<_> = place.world.borrow().service.runs().map(|run| run.dlq_id.clone()).collect();
        let mut seen = Vec::new();
        let mut listing = Listing::builder(endpoint(), List::everything()).retry(patient(), seed).build();
        let driven = place.to_the_end(&mut listing, &awaits, &mut |_: &Listing, event: &Event<ListPage>| {
            if let Event::Page(page) = event {
                seen.extend(page.messages.iter().filter_map(DlqMessage::dlq_id).map(|id| id.as_str().to_owned()));
            }
        });
        prop_assert!(matches!(driven, Driven::Done(outcome) if outcome.halted.is_none()));
        prop_assert_eq!(seen.len(), ids.len());
        prop_assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let mut fetched = Vec::new();
        let wanted = Ids::parse(ids.iter().take(20).cloned()).unwrap();
        let mut get = GetMany::builder(endpoint(), wanted).retry(patient(), seed).build();
        let driven = place.to_the_end(&mut get, &awaits, &mut |_: &GetMany, event: &Event<Fetched>| {
            if let Event::Page(page) = event {
                fetched.push(page.clone());
            }
        });
        let Driven::Done(outcome) = driven else { panic!("nobody stops it") };
        prop_assert_eq!(fetched.len() as u64, outcome.found + outcome.totals.missing);
        prop_assert!(outcome.halted.is_some() || fetched.len() == 20);
    }

    /// Nothing is deleted that was not kept, and what is dropped in between is archived again.
    #[test]
    fn an_archive_has_all_that_was_deleted(plan in faults(), awaits in drops(), seed: u64) {
        let place = Place::new(plan, seed);
        let all = place.world.borrow().service.len();
        let mut archived = BulkDelete::builder(endpoint(), selection(0)).retry(patient(), seed).build_archived();
        let (mut kept, mut keep) = (BTreeSet::new(), Keep(None));
        let mut awaits = awaits.iter().copied().chain(std::iter::repeat(1_000_000));
        let outcome = loop {
            match place.drive(&mut archived, awaits.next().unwrap(), &mut keep) {
                Some(Driven::Done(outcome)) => break outcome,
                Some(Driven::Stopped) => {
                    let (number, messages) = keep.0.take().unwrap();
                    kept.extend(messages.iter().filter_map(DlqMessage::dlq_id));
                    archived.stored(number).unwrap();
                }
                None => {}
            }
            prop_assert!(place.world.borrow().service.deleted_total() <= kept.len() as u64);
        };
        let world = place.world.borrow();
        if outcome.halted.is_none() {
            prop_assert_eq!((world.service.len(), kept.len()), (0, all));
        }
    }
}
