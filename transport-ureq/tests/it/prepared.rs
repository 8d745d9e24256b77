//! Operations that own their client: their settings, their stores, and what stops them.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use upstash_dlq_core::checkpoint::Fingerprint;
use upstash_dlq_core::client::{CheckpointStore, StoreResult};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::InDoubt;
use upstash_dlq_core::selection::{Ids, RelativeTimes};
use upstash_dlq_core::wire::{BulkOperation, DeletePage, GetMessage, List, Overrides};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, DlqId, DlqMessage, Driven, Endpoint, Event, Filter, Halt, Incomplete, Observer,
    Operation, RetryPolicy, Selection, Settlement, Token, UnixMillis,
};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Ignored, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_store::{ArchiveFile, CheckpointFile, FoundArchive};
use upstash_dlq_ureq::Client;

const NOW: i64 = 1_764_000_000_000;

fn serve_with(runs: usize, faults: FaultPlan) -> (Server, Client) {
    let mut service = Service::new(Config::default().faults(faults));
    sample::runs(runs, 1, NOW).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
    (server, client)
}

fn serve(runs: usize) -> (Server, Client) {
    serve_with(runs, FaultPlan::none())
}

fn requests(server: &Server) -> u64 {
    server.with_service(|service| service.requests_total())
}

fn left(server: &Server) -> usize {
    server.with_service(|service| service.len())
}

/// A store of checkpoints that fails at one of its calls.
#[derive(Clone, Default)]
struct Memory {
    saved: Arc<Mutex<Option<Checkpoint>>>,
    saves: Arc<AtomicU64>,
    fails_at: Option<u64>,
}

impl CheckpointStore for Memory {
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        if self.fails_at == Some(0) { Err("cannot be read".into()) } else { Ok(self.saved.lock().unwrap().clone()) }
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> StoreResult {
        if self.fails_at == Some(self.saves.fetch_add(1, Ordering::SeqCst) + 1) {
            return Err("no space left".into());
        }
        *self.saved.lock().unwrap() = Some(checkpoint.clone());
        Ok(())
    }

    fn remove(&mut self) -> StoreResult {
        *self.saved.lock().unwrap() = None;
        Ok(())
    }
}

#[test]
fn an_operation_owns_its_client() {
    let (server, client) = serve(300);
    let delete = client.delete(Selection::Everything).lanes(4).max_requests_per_second(5_000).max(120);
    drop(client);
    let outcome = std::thread::spawn(move || delete.run()).join().unwrap();
    assert_eq!((outcome.halted, outcome.totals.affected, left(&server)), (None, 120, 180));
}

#[test]
fn settings_that_cannot_be_used_are_told_and_nothing_is_sent() {
    let (server, client) = serve(3);
    let delete = || client.delete(Selection::Everything);
    let checkpoint = || client.restart(Selection::Everything).into_operation().unwrap().checkpoint();
    for (prepared, setting) in [
        (delete().lanes(0), "lanes"),
        (delete().max(0), "max"),
        (delete().page_size(0).max(0), "page_size"),
        (delete().max_requests_per_second(0).lanes(2), "max_requests_per_second"),
        (delete().resume_from(checkpoint()), "resume_from"),
    ] {
        let outcome = prepared.run();
        assert!(outcome.checkpoint().is_none(), "there is nothing to continue");
        let error = outcome.into_result().unwrap_err();
        assert!(matches!(error.halt(), Halt::InvalidSetting { setting: told, .. } if told == setting), "{error}");
        assert!(!error.halt().is_retryable() && !error.may_have_changed());
    }
    assert!(matches!(delete().lanes(0).into_operation(), Err(Halt::InvalidSetting { .. })));
    let mut pages = delete().lanes(0).pages();
    assert!(matches!(pages.next(), Some(Err(Halt::InvalidSetting { .. }))));
    assert!(pages.next().is_none());
    let observed = delete().observe(|_: &BulkDelete, _: &Event<DeletePage>| ()).archive(|_: &[DlqMessage]| no_error());
    assert!(matches!(observed.run().halted, Some(Halt::InvalidSetting { setting, .. }) if setting == "observe"));
    let archived = delete().checkpoint(Memory::default()).archive(|_: &[DlqMessage]| no_error());
    assert!(matches!(archived.run().halted, Some(Halt::InvalidSetting { setting, .. }) if setting == "archive"));
    assert_eq!(requests(&server), 0);
}

fn no_error() -> Result<(), std::io::Error> {
    Ok(())
}

/// Wherever the store of checkpoints fails, no request goes out that it does not hold.
#[test]
fn a_request_that_is_not_in_a_checkpoint_is_not_sent() {
    for lanes in [1, 4] {
        for fails_at in 0..12 {
            let (server, client) = serve(400);
            let store = Memory { fails_at: Some(fails_at), ..Memory::default() };
            let delete = client.delete(Selection::Everything).page_size(40).lanes(lanes).checkpoint(store.clone());
            let outcome = delete.run();
            assert_eq!(requests(&server), fails_at.saturating_sub(1), "{lanes} lanes");
            assert!(matches!(&outcome.halted, Some(Halt::StoreFailed(_))), "{outcome:?}");
            assert_eq!(outcome.totals.affected, 400 - left(&server) as u64);
            assert_eq!(outcome.checkpoint().is_some(), fails_at > 1, "what was done can be continued");
            let Some(checkpoint) = outcome.checkpoint() else { continue };
            // Another store takes it from there.
            let rest = client.delete(Selection::Everything).page_size(40).lanes(lanes).resume_from(checkpoint.clone());
            let rest = rest.run().into_result().unwrap();
            assert!(rest.verified && rest.totals.affected == 400 && left(&server) == 0, "{rest:?}");
        }
    }
}

#[test]
fn a_checkpoint_file_is_continued_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("position");
    let (server, client) = serve_with(500, FaultPlan::random(3, vec![(100, Fault::LostResponse)]));
    let mut processes = 0;
    let outcome = loop {
        processes += 1;
        // Dies after three pages each time, at the worst moment: a request is in the checkpoint and was sent.
        let mut pages_left = 3;
        let observer = |_: &BulkDelete, event: &Event<DeletePage>| {
            if let Event::Page(_) = event {
                pages_left -= 1;
                assert!(pages_left > 0, "the process ends");
            }
        };
        let file = CheckpointFile::open(&path).unwrap();
        let delete = client.delete(Selection::Everything).page_size(20).lanes(2);
        let delete = delete.retry(RetryPolicy::default().base(Duration::ZERO));
        let run = std::panic::AssertUnwindSafe(|| delete.checkpoint(file).observe(observer).run());
        match std::panic::catch_unwind(run) {
            Ok(outcome) => break outcome,
            Err(_) => assert!(path.exists() && processes < 100),
        }
    };
    let completed = outcome.into_result().unwrap();
    assert!(processes > 5 && completed.verified && left(&server) == 0);
    assert!(!path.exists() && std::fs::read_dir(folder.path()).unwrap().count() == 0, "litter");
}

/// Nothing is deleted that the archive has not kept, wherever it fails.
#[test]
fn an_archive_that_fails_stops_the_delete() {
    for fails_at in 1..6_usize {
        let (server, client) = serve(250);
        let kept = Mutex::new(BTreeSet::new());
        let mut batches = 0;
        let archive = |messages: &[DlqMessage]| {
            batches += 1;
            if batches == fails_at {
                return Err("no space left");
            }
            kept.lock().unwrap().extend(messages.iter().filter_map(DlqMessage::dlq_id));
            Ok(())
        };
        let outcome = client.delete(Selection::Everything).page_size(50).archive(archive).run();
        let kept = kept.into_inner().unwrap();
        assert_eq!(server.with_service(|s| s.deleted_total()), kept.len() as u64);
        assert_eq!((outcome.archived, kept.len()), (kept.len() as u64, (fails_at - 1) * 50));
        assert_eq!(outcome.halted, Some(Halt::StoreFailed(StoreFailure::new("no space left"))));
    }
}

#[test]
fn an_archive_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.ndjson");
    let (server, client) = serve(130);
    let archive = ArchiveFile::open(&path).unwrap();
    let outcome = client.delete(Selection::Everything).archive(archive).run().into_result().unwrap();
    assert_eq!((outcome.archived, outcome.totals.affected, left(&server)), (130, 130, 0));
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 130);
    // One that goes away is noticed, also when nothing is stored after it.
    let (_server, client) = serve(10);
    let archive = FoundArchive::find(&path).unwrap().open().unwrap();
    let observer = |operation: &upstash_dlq_core::ArchivedDelete, _: &Event<_>| {
        if operation.totals().affected > 0 {
            std::fs::remove_file(&path).unwrap_or_default();
        }
    };
    let outcome = client.delete(Selection::Everything).verify(false).archive(archive).observe(observer).run();
    assert!(matches!(outcome.halted, Some(Halt::StoreFailed(_))), "{outcome:?}");
}

/// A resume in doubt sends nothing before it is settled.
#[test]
fn a_resume_in_doubt_waits_to_be_settled() {
    for settlement in [Settlement::Applied, Settlement::NotApplied] {
        let fault = match settlement {
            Settlement::Applied => Fault::LostResponse,
            Settlement::NotApplied => Fault::LostRequest,
        };
        let (server, client) = serve_with(120, FaultPlan::script(vec![None, Some(fault)]));
        let store = Memory::default();
        let resume = || client.resume(Selection::Everything).checkpoint(store.clone());
        for _ in 0..3 {
            let error = resume().run().into_result().unwrap_err();
            assert!(matches!(*error.halt(), Halt::InDoubt { asked: 50, .. }) && error.may_have_changed());
            assert_eq!(requests(&server), 2);
        }
        let operation: BulkResume = resume().into_operation().unwrap();
        assert!(operation.in_doubt().is_some());
        let completed = resume().settle(settlement).run().into_result().unwrap();
        assert!(completed.totals.requests >= 3);
        assert_eq!(server.with_service(|s| s.started().count()), 120, "each run once");
        assert!(store.saved.lock().unwrap().is_none());
    }
}

/// A wait of a minute is left at once, and what is in flight comes to its end.
#[test]
fn a_stopped_operation_leaves_its_waits() {
    let busy = Fault::TooManyRequests { retry_after_s: Some(50) };
    let (server, client) = serve_with(300, FaultPlan::script(vec![None, Some(busy)]));
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, waited) = (Arc::clone(&stop), Arc::clone(&stop));
    let start = Instant::now();
    let outcome = client
        .delete(Selection::Everything)
        .observe(move |_: &BulkDelete, event: &Event<_>| {
            if let Event::Retry(_) = event {
                waited.store(true, Ordering::SeqCst);
            }
        })
        .stop_when(move || flag.load(Ordering::SeqCst))
        .run();
    assert!(start.elapsed() < Duration::from_secs(30), "it waited for the server's 50 s");
    assert_eq!((requests(&server), outcome.halted.clone()), (2, Some(Halt::Stopped)));
    let error: Incomplete = outcome.into_result().unwrap_err();
    assert!(error.halt().is_retryable() && error.totals.affected == 100 && error.totals.unconfirmed == 0);
    server.with_service(|service| service.set_faults(FaultPlan::none()));
    let rest = client.delete(Selection::Everything).resume_from(error.checkpoint().unwrap().clone()).run();
    assert!(rest.into_result().unwrap().totals.affected == 300);
}

/// Breaks after so many pages.
struct Break(u32);

impl<O: BulkOperation> Observer<upstash_dlq_core::operation::Bulk<O>> for Break {
    fn on_event(&mut self, _: &mut upstash_dlq_core::operation::Bulk<O>, event: &Event<O::Page>) -> ControlFlow<()> {
        self.0 -= u32::from(matches!(event, Event::Page(_)));
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_observer_that_breaks_stops_the_operation() {
    let (server, client) = serve(300);
    let store = Memory::default();
    let outcome = client.resume(Selection::Everything).checkpoint(store.clone()).observe(Break(2)).run();
    assert_eq!((outcome.halted, requests(&server)), (Some(Halt::Stopped), 2));
    // The store has the state after the last response: nothing is in doubt.
    let outcome = client.resume(Selection::Everything).checkpoint(store).run();
    assert_eq!((outcome.halted, server.with_service(|s| s.started().count())), (None, 300));
}

#[test]
fn pages_and_items_of_every_operation() {
    let (server, client) = serve(250);
    let ids: Vec<_> = client.list(List::everything()).items().map(|run| run.unwrap().dlq_id().unwrap()).collect();
    assert_eq!(ids.len(), 250);
    let wanted = Ids::new(ids[..30].iter().cloned().chain([DlqId::new("nobody").unwrap()]).collect());
    let mut fetched = client.get_many(wanted.unwrap()).lanes(4).items();
    let (found, absent): (Vec<_>, Vec<_>) = fetched.by_ref().map(Result::unwrap).partition(|f| f.message.is_some());
    assert_eq!((found.len(), absent.len(), fetched.outcome().found, fetched.outcome().totals.missing), (30, 1, 30, 1));
    let few = Ids::new(ids[..60].to_vec()).unwrap();
    let started: Vec<_> = client.resume(Selection::Ids(few)).lanes(2).items().map(Result::unwrap).collect();
    assert_eq!(started.len(), 60);
    let mut pages = client.delete(Selection::Everything).page_size(10).lanes(3).max(100).pages();
    let deleted: u64 = pages.by_ref().map(|page| page.unwrap().deleted).sum();
    assert_eq!((deleted, pages.outcome().halted, left(&server)), (100, None, 90));
    let kept = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&kept);
    let archive = move |messages: &[DlqMessage]| {
        *counted.lock().unwrap() += messages.len();
        no_error()
    };
    let items = client.delete(Selection::Everything).archive(archive).items();
    assert_eq!((items.map(Result::unwrap).count(), *kept.lock().unwrap(), left(&server)), (90, 90, 0));
    assert_eq!(client.count(List::everything()).lanes(4).run().into_result().unwrap().listed, 0);
}

#[test]
fn pages_tell_that_they_were_stopped() {
    let (server, client) = serve(300);
    let stop = AtomicBool::new(false);
    let mut pages = client.delete(Selection::Everything).stop_when(|| stop.load(Ordering::SeqCst)).pages();
    assert_eq!(pages.next().unwrap().unwrap().deleted, 100);
    stop.store(true, Ordering::SeqCst);
    assert!(matches!(pages.next(), Some(Err(Halt::Stopped))) && pages.next().is_none());
    assert_eq!((pages.outcome().totals.affected, requests(&server)), (100, 1));
}

/// Whoever leaves the loop after a page leaves nothing in doubt.
#[test]
fn a_loop_that_is_left_leaves_no_doubt() {
    let (server, client) = serve(300);
    let store = Memory::default();
    let resume = || client.resume(Selection::Everything).checkpoint(store.clone());
    for left in [250, 200] {
        assert_eq!(resume().pages().next().unwrap().unwrap().started.len(), 50);
        assert_eq!(server.with_service(|service| service.len()), left);
    }
    let completed = resume().run().into_result().unwrap();
    assert_eq!((completed.totals.affected, completed.totals.unconfirmed), (300, 0));
    assert_eq!(server.with_service(|s| s.started().count()), 300, "each run once");
    // A store that fails then ends the pages, after the page.
    let (server, client) = serve(300);
    let store = Memory { fails_at: Some(2), ..Memory::default() };
    let mut pages = client.resume(Selection::Everything).checkpoint(store).pages();
    assert_eq!(pages.next().unwrap().unwrap().started.len(), 50);
    assert!(matches!(pages.next(), Some(Err(Halt::StoreFailed(_)))) && pages.next().is_none());
    assert_eq!(requests(&server), 1);
}

/// Several doubts are settled one by one, as each was found.
#[test]
fn each_doubt_is_settled_as_it_was_found() {
    let faults = vec![Some(Fault::LostResponse), Some(Fault::LostRequest)];
    let (server, client) = serve_with(100, FaultPlan::script(faults));
    let ids: Vec<_> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let store = Memory::default();
    let resume = || {
        let ids = Selection::Ids(Ids::parse(ids.clone()).unwrap());
        client.resume(ids).lanes(2).checkpoint(store.clone())
    };
    let error = resume().run().into_result().unwrap_err();
    assert!(error.totals.unconfirmed >= 1, "{error}");
    // The first may be lost before the second is sent.
    server.with_service(|s| s.set_faults(FaultPlan::none()));
    let looked: BTreeSet<_> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
    let found = |doubt: InDoubt<'_>| match doubt {
        InDoubt::Ids(ids) if looked.contains(ids[0].as_str()) => Settlement::NotApplied,
        InDoubt::Ids(_) => Settlement::Applied,
        InDoubt::Listing(_) => panic!("these are ids"),
    };
    let completed = resume().settle_each(found).run().into_result().unwrap();
    assert_eq!(server.with_service(|s| s.started().count()), 100, "each run once: {completed:?}");
}

/// "Until an hour ago" is another time in the next process. A builder of the core can say so.
#[test]
fn a_relative_time_is_continued() {
    let (server, client) = serve(300);
    let store = Memory::default();
    let delete = |to: i64| {
        let filter = Filter::builder().to(UnixMillis::new(to)).build().unwrap();
        let builder = BulkDelete::builder(client.endpoint().clone(), Selection::Filter(filter));
        let fingerprint = Fingerprint::from_pairs(client.endpoint(), [("to", "1h")]);
        let relative = RelativeTimes { to: true, ..RelativeTimes::default() };
        client
            .prepare(builder.fingerprint(fingerprint).relative_times(relative))
            .page_size(50)
            .checkpoint(store.clone())
    };
    let outcome = delete(NOW - 3_600_000).observe(Break(1)).run();
    assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::Stopped), 50));
    let completed = delete(NOW - 3_000_000).run().into_result().unwrap();
    assert!(completed.verified && completed.totals.affected == 300 - left(&server) as u64);
}

/// An iterator that is given up in the middle keeps what it has.
#[test]
fn pages_turn_back_into_their_operation() {
    let (server, client) = serve(300);
    let store = Memory::default();
    let mut pages = client.resume(Selection::Everything).checkpoint(store).pages();
    assert_eq!(pages.next().unwrap().unwrap().started.len(), 50);
    assert_eq!(pages.outcome().halted, Some(Halt::Stopped));
    let mut operation = pages.into_operation();
    let driven = client.run(&mut operation, &mut |_: &BulkResume, _: &Event<_>| ());
    assert!(matches!(driven, upstash_dlq_core::Driven::Done(outcome) if outcome.totals.affected == 300));
    assert_eq!(server.with_service(|s| s.started().count()), 300);
}

#[test]
fn a_call_has_settings_too() {
    let (server, client) = serve_with(1, FaultPlan::script(vec![Some(Fault::ServerError(503)); 9]));
    let id = server.with_service(|service| service.runs().next().unwrap().dlq_id.clone());
    let policy = RetryPolicy::default().max_attempts(2.try_into().unwrap()).base(Duration::ZERO);
    let call = client.call(GetMessage(DlqId::new(id).unwrap()));
    let halt = call.retry(policy).run().unwrap_err();
    assert!(matches!(halt, Halt::GaveUp { attempts: 2, .. }) && !halt.may_have_changed(), "{halt:?}");
    assert_eq!(requests(&server), 2);
    // What a call does not set, its client does.
    let once = policy.max_attempts(NonZeroU32::MIN);
    let halt = client.with_retry(once).get(DlqId::new("nobody").unwrap()).unwrap_err();
    assert!(matches!(halt, Halt::GaveUp { attempts: 1, .. }) && requests(&server) == 3, "{halt:?}");
}

/// Operations and their pages go to other threads.
#[test]
fn everything_can_be_sent() {
    fn is_sent<T: Send + 'static>(_: &T) {}
    let (_server, client) = serve(0);
    is_sent(&client.delete(Selection::Everything).checkpoint(Memory::default()).stop_when(|| false));
    is_sent(&client.restart(Selection::Everything).pages());
    is_sent(&client.list(List::everything()).items());
}

/// Breaks at the first wait.
struct Impatient;

impl<O: Operation> Observer<O> for Impatient {
    fn while_waiting(&mut self) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

#[test]
fn an_observer_breaks_a_wait() {
    let busy = || serve_with(300, FaultPlan::script(vec![Some(Fault::TooManyRequests { retry_after_s: Some(50) })]));
    let start = Instant::now();
    let (server, client) = busy();
    let outcome = client.delete(Selection::Everything).observe(Impatient).run();
    assert_eq!((outcome.halted, outcome.totals.affected, requests(&server)), (Some(Halt::Stopped), 0, 1));
    let (server, client) = busy();
    let mut pages = client.delete(Selection::Everything).observe(Impatient).pages();
    assert!(matches!(pages.next(), Some(Err(Halt::Stopped))) && pages.next().is_none());
    assert_eq!(requests(&server), 1);
    let (server, client) = busy();
    let mut delete = BulkDelete::builder(client.endpoint().clone(), Selection::Everything).build();
    assert!(matches!(client.run(&mut delete, &mut Impatient), Driven::Stopped) && requests(&server) == 1);
    assert!(start.elapsed() < Duration::from_secs(30), "it waited for the server's 50 s");
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let policy = RetryPolicy::default().base(Duration::from_millis(8));
    let (server, client) = serve(3);
    let client = client.with_retry(policy);
    let waits = |client: &Client| {
        server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503)); 4])));
        let mut waits = Vec::new();
        let list = client.list(List::everything()).on_event(|_, event| {
            if let Event::Retry(retried) = event {
                waits.push(retried.after);
            }
        });
        assert_eq!(list.run().into_result().unwrap().listed, 3);
        waits
    };
    let seeded = client.clone().with_seed(7);
    let first = waits(&seeded);
    assert_eq!((first.len(), seeded.seed(), &first), (4, 7, &waits(&seeded)));
    assert_ne!(first, waits(&client.clone().with_seed(8)));
    assert_ne!(client.seed(), client.seed(), "by default each operation has a seed of its own");
}

#[test]
fn new_runs_get_the_overrides() {
    let (server, client) = serve(3);
    let overrides = Overrides::builder().retries(3).label("second try").build().unwrap();
    let started = client.resume(Selection::Everything).overrides(overrides).run().into_result().unwrap();
    assert_eq!(started.totals.affected, 3);
    server.with_service(|service| {
        for run in service.started() {
            assert_eq!(run.overrides.values().collect::<Vec<_>>(), ["second try", "3"], "{:?}", run.overrides);
        }
    });
}

/// A server that does not keep to the filter: nothing is deleted, unless the caller trusts it.
#[test]
fn whoever_trusts_the_server_deletes_what_it_lists() {
    let serve = || {
        let ignored = vec![Ignored::new(None, "label")];
        let mut service = Service::new(Config::default().ignored(ignored));
        service.extend(sample::runs(40, 1, NOW));
        let server = Server::start(service, ServerOptions::default()).unwrap();
        let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
        (server, client)
    };
    let nightly = || Selection::Filter(Filter::builder().label("nightly").build().unwrap());
    for trusts in [false, true] {
        let (server, client) = serve();
        let delete = client.delete(nightly()).trust_server(trusts).archive(|_: &[DlqMessage]| no_error());
        let outcome = delete.run();
        assert_eq!(left(&server), if trusts { 0 } else { 40 });
        assert_eq!(matches!(outcome.halted, Some(Halt::Mismatch { .. })), !trusts, "{:?}", outcome.halted);
    }
}
