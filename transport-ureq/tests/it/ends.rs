//! Ends that are easy to get wrong: an observer that breaks or panics, a store that fails or panics, and what is known then.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore, StoreResult};
use upstash_dlq_core::operation::ArchivePage;
use upstash_dlq_core::wire::{Overrides, ResumeOne};
use upstash_dlq_core::{
    ArchivedDelete, BulkDelete, BulkResume, Checkpoint, DlqId, DlqMessage, Driven, Endpoint, Event, Halt, Ids,
    Observer, Operation, Selection, Token,
};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

fn serve(runs: usize, faults: Vec<Option<Fault>>) -> (Server, Client) {
    let mut service = Service::new(Config::default().faults(FaultPlan::script(faults)));
    service.extend(sample::runs(runs, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
    (server, client)
}

fn requests(server: &Server) -> u64 {
    server.with_service(|service| service.requests_total())
}

/// Breaks at the first event.
struct Break;

impl<O: Operation> Observer<O> for Break {
    fn on_event(&mut self, _: &mut O, _: &Event<O::Page>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

#[test]
fn a_page_at_which_an_observer_breaks_is_handed_over() {
    let (_server, client) = serve(200, vec![]);
    let mut items = client.resume(Selection::Everything).observe(Break).items();
    assert_eq!(items.by_ref().filter(Result::is_ok).count(), 50);
    assert_eq!((items.outcome().totals.affected, items.outcome().halted), (50, Some(Halt::Stopped)));
}

#[test]
fn a_call_that_was_answered_is_no_stopped_call() {
    let (server, client) = serve(20, vec![]);
    let id = server.with_service(|service| service.runs().next().unwrap().dlq_id.clone());
    let resume = ResumeOne::new(DlqId::new(id).unwrap(), Overrides::default());
    let started = client.call(resume).observe(Break).run().unwrap();
    assert!(server.with_service(|service| service.len() == 19 && service.started().count() == 1), "{started:?}");
}

/// A store that has a checkpoint, and keeps none.
struct Has(Checkpoint);

impl CheckpointStore for Has {
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        Ok(Some(self.0.clone()))
    }

    fn save(&mut self, _: &Checkpoint) -> StoreResult {
        Ok(())
    }
}

#[test]
fn a_stop_before_the_first_request_tells_the_totals_of_the_checkpoint() {
    let (server, client) = serve(30, vec![None, Some(Fault::Redirect)]);
    let restart = || client.restart(Selection::Everything).page_size(6);
    let first = restart().run();
    let stored = first.checkpoint().unwrap();
    let outcome = restart().checkpoint(Has(stored.clone())).stop_when(|| true).run();
    assert_eq!((outcome.halted.clone(), outcome.totals), (Some(Halt::Stopped), first.totals));
    assert_eq!((outcome.totals.affected, requests(&server)), (6, 2));
    let mut pages = restart().checkpoint(Has(stored.clone())).stop_when(|| true).pages();
    assert!(matches!(pages.next(), Some(Err(Halt::Stopped))));
    assert_eq!((pages.outcome().totals, requests(&server)), (first.totals, 2));
}

#[test]
fn nothing_is_sent_after_a_panic_in_a_page() {
    let (server, client) = serve(200, vec![]);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let observer = move |_: &BulkDelete, _: &Event<_>| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("the observer")
    };
    let mut pages = client.delete(Selection::Everything).page_size(10).observe(observer).pages();
    assert!(catch_unwind(AssertUnwindSafe(|| pages.next())).is_err());
    assert!(matches!(pages.next(), Some(Err(Halt::Stopped))) && pages.next().is_none());
    assert_eq!((requests(&server), calls.load(Ordering::SeqCst)), (1, 1));
}

/// An archive that panics, or is gone at the end.
enum Broken {
    Panics,
    Gone,
}

impl ArchiveStore for Broken {
    fn append(&mut self, _: &[DlqMessage]) -> StoreResult {
        if matches!(self, Self::Panics) { panic!("the archive") } else { Ok(()) }
    }

    fn finish(&mut self) -> StoreResult {
        Err("the archive is gone".into())
    }
}

#[test]
fn an_archive_that_panics_deletes_nothing() {
    let (server, client) = serve(200, vec![]);
    let mut pages = client.delete(Selection::Everything).archive(Broken::Panics).pages();
    assert!(catch_unwind(AssertUnwindSafe(|| pages.next())).is_err());
    assert!(matches!(pages.next(), Some(Err(_))), "it must not look complete");
    assert_eq!((pages.next().is_none(), server.with_service(|service| service.deleted_total())), (true, 0));
}

/// Whatever else has happened: if what was kept is gone, that is said.
#[test]
fn what_stops_a_delete_stops_it_with_an_archive_too() {
    let (server, client) = serve(300, vec![]);
    let archive = |_: &[DlqMessage]| Ok::<(), String>(());
    let outcome = client.delete(Selection::Everything).stop_when(|| true).archive(archive).run();
    assert_eq!((outcome.halted, outcome.totals.requests, requests(&server)), (Some(Halt::Stopped), 0, 0));
}

/// Stores each batch by itself.
struct Keep(usize);

impl Observer<ArchivedDelete> for Keep {
    fn on_event(&mut self, delete: &mut ArchivedDelete, event: &Event<ArchivePage>) -> ControlFlow<()> {
        if let Event::Page(ArchivePage { batch: Some(batch), .. }) = event {
            self.0 += batch.messages.len();
            delete.stored(batch.number).unwrap();
        }
        ControlFlow::Continue(())
    }
}

/// The disk is full for a moment. Whoever takes the operation back goes on, and each run is stored before it goes.
#[test]
fn an_archived_delete_goes_on_after_its_store_has_failed() {
    for (with_ids, lanes) in [(false, 1), (true, 1), (false, 4), (true, 4)] {
        let (server, client) = serve(600, vec![]);
        let ids = server.with_service(|service| service.runs().map(|run| run.dlq_id.clone()).collect::<Vec<_>>());
        let selection = if with_ids { Selection::Ids(Ids::parse(ids).unwrap()) } else { Selection::Everything };
        let full = |_: &[DlqMessage]| Err("the disk is full");
        let mut pages = client.delete(selection).page_size(10).lanes(lanes).archive(full).pages();
        assert!(pages.by_ref().any(|page| matches!(page, Err(Halt::StoreFailed(_)))));
        let (mut delete, mut keep) = (pages.into_operation(), Keep(0));
        let driven = client.run(&mut delete, &mut keep);
        let Driven::Done(outcome) = driven else { panic!("it is stuck: {with_ids}, {lanes} lanes") };
        assert_eq!((outcome.halted, outcome.archived, keep.0), (None, 600, 600), "{with_ids}, {lanes} lanes");
        assert!(server.with_service(|service| service.is_empty()));
    }
}

#[test]
fn the_failure_of_a_store_is_said_beside_any_other() {
    let (_server, client) = serve(200, vec![None, None, Some(Fault::Redirect)]);
    let outcome = client.delete(Selection::Everything).archive(Broken::Gone).run();
    let halt = outcome.halted.unwrap().to_string();
    assert!(halt.starts_with("the archive is gone; before that: ") && halt.contains("redirect"), "{halt}");
    let (_server, client) = serve(200, vec![None, Some(Fault::Redirect)]);
    let mut saves = 0;
    let full = move |_: &Checkpoint| {
        saves += 1;
        if saves == 3 { Err(std::io::Error::from(std::io::ErrorKind::StorageFull)) } else { Ok(()) }
    };
    let outcome = client.delete(Selection::Everything).page_size(10).checkpoint(full).run();
    let halt = outcome.halted.unwrap().to_string();
    assert!(halt.contains("before that: ") && halt.contains("redirect") && !outcome.verified, "{halt}");
}

#[test]
fn a_panic_leaves_no_answered_request_in_doubt() {
    let (server, client) = serve(200, vec![]);
    let kept: Arc<Mutex<Option<Checkpoint>>> = Arc::default();
    let store = Arc::clone(&kept);
    let resume = client.resume(Selection::Everything).checkpoint(move |checkpoint: &Checkpoint| {
        *store.lock().unwrap() = Some(checkpoint.clone());
        Ok::<_, std::io::Error>(())
    });
    let resume = resume.observe(|_: &BulkResume, _: &Event<_>| panic!("the observer"));
    assert!(catch_unwind(AssertUnwindSafe(|| resume.run())).is_err());
    let checkpoint = kept.lock().unwrap().take().unwrap();
    let completed = client.resume(Selection::Everything).resume_from(checkpoint).run().into_result().unwrap();
    assert_eq!((completed.totals.affected, server.with_service(|service| service.started().count())), (200, 200));
}
