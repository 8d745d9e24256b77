//! Ends that are easy to get wrong: a store that hangs, panics or fails, and an operation that is taken back meanwhile.

use crate::support::{Memory, block_on, by_ids, requests, serve, serve_with};
use futures_util::{FutureExt, StreamExt};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, AsyncCheckpointStore, StoreResult};
use upstash_dlq_core::operation::{ArchivePage, Bulk};
use upstash_dlq_core::wire::{Overrides, Resume, ResumeOne, StartedPage};
use upstash_dlq_core::{ArchivedDelete, Checkpoint, DlqId, DlqMessage, Driven, Event, Halt, Observer, Selection};
use upstash_dlq_emulator::{Config, Fault, FaultPlan};
use upstash_dlq_reqwest::Blocking;

/// A store of checkpoints whose reading never ends, or panics, or whose second save never ends.
enum Slow {
    Load,
    PanicAtLoad,
    Save(u32),
}

impl AsyncCheckpointStore for Slow {
    async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        match self {
            Self::Load => std::future::pending().await,
            Self::PanicAtLoad => panic!("the store"),
            Self::Save(_) => Ok(None),
        }
    }

    async fn save(&mut self, _: Checkpoint) -> StoreResult {
        if let Self::Save(saves) = self {
            *saves += 1;
            if *saves == 2 {
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}

#[test]
fn a_stop_is_heard_while_a_store_is_read() {
    let (model, client) = serve(20);
    let delete = client.delete(Selection::Everything).checkpoint(Slow::Load).stop_when(async {});
    let outcome = block_on(delete.run());
    assert_eq!((outcome.halted.clone(), requests(&model)), (Some(Halt::Stopped), 0));
    assert!(outcome.checkpoint().is_none(), "the store may have a better one");
}

/// A stop that comes before the store was read does not hide what earlier processes have done.
#[test]
fn a_stop_before_the_checkpoint_is_read_tells_the_totals_of_the_checkpoint() {
    let (model, client) = serve(30);
    let memory = Memory::default();
    let faults = FaultPlan::script(vec![None, Some(Fault::Redirect)]);
    for by_pages in [false, true] {
        model.with_service(|service| service.set_faults(faults.clone()));
        let restart = || client.restart(Selection::Everything).page_size(6).checkpoint(memory.clone());
        let first = block_on(restart().run());
        assert!(matches!(first.halted, Some(Halt::Refused { .. })), "{first:?}");
        let sent = requests(&model);
        let stopped = restart().stop_when(async {});
        let outcome = if by_pages {
            let mut pages = stopped.pages();
            assert_eq!(block_on(pages.next()), Some(Err(Halt::Stopped)));
            pages.outcome()
        } else {
            block_on(stopped.run())
        };
        assert_eq!((outcome.halted.clone(), outcome.totals), (Some(Halt::Stopped), first.totals));
        assert_eq!((outcome.totals.affected, requests(&model) - sent), (6, 0));
        let saved = memory.with(|stored| stored.checkpoint.take()).unwrap();
        assert_eq!(Some(saved), outcome.checkpoint().map(Checkpoint::to_json), "the store keeps its checkpoint");
    }
}

#[test]
fn a_store_that_panics_while_it_is_read_ends_the_stream() {
    let (model, client) = serve(20);
    block_on(async {
        let mut pages = client.delete(Selection::Everything).checkpoint(Slow::PanicAtLoad).pages();
        assert!(AssertUnwindSafe(pages.next()).catch_unwind().await.is_err());
        assert!(matches!(pages.next().await, Some(Err(Halt::StoreFailed(_)))));
        assert!(pages.next().await.is_none() && requests(&model) == 0);
    });
}

/// Responses that arrive while a store is called are known, also when the operation is taken back then.
#[test]
fn what_has_arrived_is_not_in_doubt() {
    let (model, client) = serve(100);
    block_on(async {
        let mut pages = client.resume(by_ids(&model, 100)).lanes(2).checkpoint(Slow::Save(0)).pages();
        assert!(tokio::time::timeout(Duration::from_secs(60), pages.next()).await.is_err());
        assert_eq!(model.with_service(|service| service.started().count()), 50);
        let mut resume = pages.into_operation();
        assert_eq!((resume.all_in_doubt().0, resume.totals().affected), (0, 50));
        let driven = client.run(&mut resume, &mut |_: &Bulk<Resume>, _: &Event<StartedPage>| ()).await;
        assert!(matches!(driven, Driven::Done(outcome) if outcome.totals.affected == 100));
        assert_eq!(model.with_service(|service| service.started().count()), 100, "each once");
    });
}

/// Stores in the observer, as a driver of one's own would.
struct Keep(Vec<DlqId>);

impl Observer<ArchivedDelete> for Keep {
    fn on_event(&mut self, operation: &mut ArchivedDelete, event: &Event<ArchivePage>) -> ControlFlow<()> {
        if let Event::Page(ArchivePage { batch: Some(batch), .. }) = event {
            self.0.extend(batch.messages.iter().filter_map(DlqMessage::dlq_id));
            operation.stored(batch.number).unwrap();
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn what_stops_a_delete_stops_it_with_an_archive_too() {
    let (model, client) = serve(300);
    let archive = |_: Vec<DlqMessage>| async { StoreResult::Ok(()) };
    let outcome = block_on(client.delete(Selection::Everything).stop_when(async {}).archive(archive).run());
    assert_eq!((outcome.halted, outcome.totals.requests, requests(&model)), (Some(Halt::Stopped), 0, 0));
}

/// A batch that its store did not keep is listed, or fetched, again. So are those of other lanes that have landed meanwhile.
#[test]
fn an_archived_delete_is_taken_back_while_its_store_keeps_a_batch() {
    for (with_ids, lanes) in [(false, 1), (true, 1), (false, 4), (true, 4)] {
        let (model, client) = serve(600);
        let selection = if with_ids { by_ids(&model, 600) } else { Selection::Everything };
        block_on(async {
            // The first pages are stored, so that windows are listed side by side.
            let mut left = 5;
            let hanging = move |_: Vec<DlqMessage>| {
                left -= 1;
                async move { if left > 0 { Ok(()) } else { std::future::pending::<StoreResult>().await } }
            };
            let mut pages = client.delete(selection).page_size(10).lanes(lanes).archive(hanging).pages();
            while let Ok(Some(page)) = tokio::time::timeout(Duration::from_secs(60), pages.next()).await {
                page.unwrap();
            }
            let (mut delete, mut keep) = (pages.into_operation(), Keep(Vec::new()));
            let driven = client.run(&mut delete, &mut keep).await;
            let Driven::Done(outcome) = driven else { panic!("it is stuck: {with_ids}, {lanes} lanes") };
            assert_eq!((outcome.halted, outcome.archived), (None, 600), "{with_ids}, {lanes} lanes");
            assert_eq!(model.with_service(|service| service.len()), 0);
        });
    }
}

/// The disk is full for a moment. Whoever takes the operation back goes on, and each run is stored before it goes.
#[test]
fn an_archived_delete_goes_on_after_its_store_has_failed() {
    for (with_ids, lanes) in [(false, 1), (true, 1), (false, 4), (true, 4)] {
        let (model, client) = serve(600);
        let selection = if with_ids { by_ids(&model, 600) } else { Selection::Everything };
        block_on(async {
            let full = |_: Vec<DlqMessage>| async { StoreResult::Err("the disk is full".into()) };
            let mut pages = client.delete(selection).page_size(10).lanes(lanes).archive(full).pages();
            while let Some(page) = pages.next().await {
                assert!(page.is_err() || page.is_ok_and(|page| page.batch.is_none()));
            }
            let (mut delete, mut keep) = (pages.into_operation(), Keep(Vec::new()));
            let driven = client.run(&mut delete, &mut keep).await;
            let Driven::Done(outcome) = driven else { panic!("it is stuck: {with_ids}, {lanes} lanes") };
            assert_eq!((outcome.halted, outcome.archived, keep.0.len()), (None, 600, 600), "{with_ids}, {lanes} lanes");
            assert_eq!(model.with_service(|service| service.len()), 0);
        });
    }
}

struct Gone;

impl AsyncArchiveStore for Gone {
    async fn append(&mut self, _: Vec<DlqMessage>) -> StoreResult {
        Ok(())
    }

    async fn finish(&mut self) -> StoreResult {
        Err("the archive is gone".into())
    }
}

#[test]
fn the_failure_of_a_store_is_said_beside_any_other() {
    let faults = FaultPlan::script(vec![None, None, Some(Fault::Redirect)]);
    let (_model, client) = serve_with(200, Config::default().faults(faults));
    let outcome = block_on(client.delete(Selection::Everything).archive(Gone).run());
    let halt = outcome.halted.unwrap().to_string();
    assert!(halt.starts_with("the archive is gone; before that: ") && halt.contains("redirect"), "{halt}");
    assert!(!outcome.verified);
}

#[test]
fn a_call_that_was_answered_is_no_stopped_call() {
    let (model, client) = serve(20);
    let id = model.with_service(|service| service.runs().next().unwrap().dlq_id.clone());
    let resume = ResumeOne::new(DlqId::new(id).unwrap(), Overrides::default());
    let server = model.clone();
    // The stop comes while the response is on its way.
    let arrived = std::future::poll_fn(move |cx| {
        cx.waker().wake_by_ref();
        if requests(&server) > 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    let started = block_on(client.call(resume).stop_when(arrived).run()).unwrap();
    assert_eq!(model.with_service(|service| (service.len(), service.started().count())), (19, 1), "{started:?}");
}

/// An archive, or a store that blocks, that panics.
struct Panics;

impl AsyncArchiveStore for Panics {
    async fn append(&mut self, _: Vec<DlqMessage>) -> StoreResult {
        panic!("the archive")
    }
}

impl ArchiveStore for Panics {
    fn append(&mut self, _: &[DlqMessage]) -> StoreResult {
        panic!("the archive")
    }
}

#[test]
fn an_archive_that_panics_deletes_nothing() {
    let (model, client) = serve(200);
    block_on(async {
        let mut pages = client.delete(Selection::Everything).archive(Panics).pages();
        assert!(AssertUnwindSafe(pages.next()).catch_unwind().await.is_err());
        assert!(
            matches!(pages.next().await, Some(Err(Halt::Stopped | Halt::StoreFailed(_)))),
            "it must not look complete"
        );
        assert!(pages.next().await.is_none());
    });
    assert_eq!(model.with_service(|service| service.deleted_total()), 0);
}

/// On its thread a panic harms nobody, but nothing more is kept.
#[test]
fn a_store_that_blocks_and_panics_is_an_error_from_then_on() {
    block_on(async {
        let mut store = Blocking::new(Panics);
        let first = AsyncArchiveStore::append(&mut store, Vec::new()).await.unwrap_err().to_string();
        assert!(first.contains("panic"), "{first}");
        for _ in 0..2 {
            let later = AsyncArchiveStore::append(&mut store, Vec::new()).await.unwrap_err();
            assert_eq!(later.to_string(), "the store panicked before");
        }
    });
}

/// Until the checkpoint was read, there is nothing to go on with.
#[test]
fn pages_that_were_not_polled_have_not_begun() {
    let (model, client) = serve(20);
    let pages = client.delete(Selection::Everything).checkpoint(Slow::Save(0)).pages();
    let told = pages.outcome().halted.unwrap().to_string();
    assert_eq!(told, "the store was not read yet");
    let mut delete = pages.into_operation();
    let driven = block_on(client.run(&mut delete, &mut |_: &Bulk<_>, _: &Event<_>| ()));
    assert!(matches!(driven, Driven::Done(outcome) if outcome.halted.is_some()) && requests(&model) == 0);
}
