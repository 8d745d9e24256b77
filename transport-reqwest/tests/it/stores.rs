//! Stores that an operation waits for: what is sent when they fail, and what goes on while they are awaited.

use crate::driver;
use crate::support::{Memory, Model, block_on, by_ids, requests, serve, serve_with};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::{Arc, Mutex};
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, CheckpointStore, StoreResult};
use upstash_dlq_core::{
    BulkDelete, Checkpoint, DlqMessage, Endpoint, Event, Filter, Halt, Selection, Settlement, Token,
};
use upstash_dlq_emulator::{Config, Fault, FaultPlan};
use upstash_dlq_reqwest::{Blocking, Client};

fn has_failed(halted: Option<&Halt>) -> bool {
    matches!(halted, Some(Halt::StoreFailed(failure)) if failure.to_string() == "the disk is full")
}

#[test]
fn nothing_is_sent_after_a_checkpoint_that_could_not_be_kept() {
    for (lanes, by_pages) in [(1, false), (5, false), (1, true), (5, true)] {
        for call in 0.. {
            let memory = Memory::failing_at(call);
            let (server, client) = serve(60);
            let delete = client.delete(Selection::Everything).page_size(10).lanes(lanes).checkpoint(memory.clone());
            let (outcome, pages) = if by_pages {
                let mut stream = delete.pages();
                let pages: Vec<_> = block_on((&mut stream).collect());
                (stream.outcome(), Some(pages))
            } else {
                (block_on(delete.run()), None)
            };
            if !memory.has_failed() {
                assert!(outcome.halted.is_none() && outcome.verified && call > 6, "{outcome:?}");
                assert_eq!((memory.count("load"), memory.count("remove")), (1, 1));
                // How many requests lanes need depends on which of them is first.
                let calls = memory.with(|stored| stored.calls.len());
                assert!(if lanes == 1 { calls == call } else { calls <= call }, "{calls} {call}");
                assert_eq!(memory.with(|stored| stored.checkpoint.clone()), None);
                break;
            }
            assert!(has_failed(outcome.halted.as_ref()), "{call}: {outcome:?}");
            assert_eq!(memory.with(|stored| stored.calls.len()), call + 1, "called after it had failed");
            // Each request was saved before. Those in flight have landed, the one that was not saved was taken back.
            let saves = memory.count("save");
            // A page is handed over only after another save.
            assert!(if by_pages { requests(&server) <= saves } else { requests(&server) == saves }, "{call}");
            assert_eq!((outcome.totals.requests, outcome.totals.unconfirmed), (requests(&server), 0), "{call}");
            assert_eq!(outcome.totals.affected, server.with_service(|service| service.deleted_total()));
            if let Some(pages) = pages {
                assert!(has_failed(pages.last().unwrap().as_ref().err()), "{pages:?}");
                let told: u64 = pages.iter().flatten().map(|page| page.deleted).sum();
                assert_eq!(told, outcome.totals.affected);
            }
            // A later process with a store that works continues from there.
            memory.with(|stored| stored.fail_at = None);
            let rest = client.delete(Selection::Everything).page_size(10).checkpoint(memory.clone());
            let outcome = block_on(rest.run()).into_result().unwrap();
            assert!(outcome.verified && server.with_service(|service| service.is_empty()));
            assert_eq!(memory.with(|stored| stored.checkpoint.clone()), None);
        }
    }
}

#[test]
fn an_operation_that_stops_short_is_saved_once_more() {
    let memory = Memory::default();
    let (server, client) = serve(60);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::Redirect)])));
    let delete = || client.delete(Selection::Everything).page_size(10);
    let outcome = block_on(delete().checkpoint(memory.clone()).run());
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{outcome:?}");
    assert_eq!((memory.count("save"), memory.count("remove"), requests(&server)), (3, 0, 2));
    let saved = memory.with(|stored| stored.checkpoint.clone()).unwrap();
    assert_eq!(saved, outcome.checkpoint().unwrap().to_json());
    assert_eq!(Checkpoint::from_json(saved.as_bytes()).unwrap().totals().unconfirmed, 0);
    // A halt of its own says more than a store that fails afterwards. A stop says less.
    for (stops, store_says_more) in [(false, false), (true, true)] {
        let (server, client) = serve(60);
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::Redirect)])));
        let memory = Memory::failing_at(if stops { 2 } else { 3 });
        let stop = Arc::new(tokio::sync::Notify::new());
        let notify = Arc::clone(&stop);
        let delete = client.delete(Selection::Everything).page_size(10).checkpoint(memory.clone());
        let delete = delete.observe(move |_: &BulkDelete, _: &Event<_>| notify.notify_one());
        let outcome = if stops {
            block_on(delete.stop_when(async move { stop.notified().await }).run())
        } else {
            block_on(delete.run())
        };
        assert!(memory.has_failed());
        assert_eq!(has_failed(outcome.halted.as_ref()), store_says_more, "{outcome:?}");
        assert_eq!(requests(&server), if stops { 1 } else { 2 });
    }
}

#[test]
fn nothing_is_deleted_after_runs_that_could_not_be_kept() {
    let label = |label: &str| Selection::Filter(Filter::builder().label(label).build().unwrap());
    for call in 0.. {
        let (server, client) = serve(200);
        let memory = Memory::failing_at(call);
        let selection = if call % 2 == 0 { label("nightly") } else { by_ids(&server, 150) };
        let outcome = block_on(client.delete(selection).page_size(10).archive(memory.clone()).run());
        let deleted = server.with_service(|service| service.deleted_total());
        let archived = memory.with(|stored| stored.archived.clone());
        server.with_service(|s| assert!(archived.iter().all(|id| !s.contains(id)), "stored and not deleted"));
        assert_eq!((deleted, outcome.totals.affected), (archived.len() as u64, archived.len() as u64), "{call}");
        if !memory.has_failed() {
            assert!(outcome.halted.is_none() && outcome.verified && memory.count("finish") == 1, "{outcome:?}");
            if call > 5 {
                break;
            }
            continue;
        }
        assert!(has_failed(outcome.halted.as_ref()), "{call}: {outcome:?}");
        assert_eq!(memory.with(|stored| stored.calls.len()), call + 1, "called after it had failed");
        assert_eq!((outcome.archived, outcome.totals.unconfirmed), (deleted, 0));
        let last = server.with_service(|s| s.log().last().unwrap().method.clone());
        assert!(last == http::Method::GET || memory.count("append") == call as u64, "{call}");
    }
}

#[test]
fn an_archived_delete_hands_over_pages_that_are_kept() {
    let (server, client) = serve(60);
    let memory = Memory::default();
    let mut pages = client.delete(Selection::Everything).page_size(20).archive(memory.clone()).pages();
    block_on(async {
        let mut seen = 0;
        while let Some(page) = pages.try_next().await.unwrap() {
            seen += page.batch.map_or(0, |batch| batch.messages.len());
            let (kept, deleted) = (memory.with(|s| s.archived.len()), server.with_service(|s| s.deleted_total()));
            assert!(kept >= seen && deleted <= kept as u64, "{kept} {seen} {deleted}");
        }
        assert_eq!((seen, pages.outcome().verified, pages.outcome().archived), (60, true, 60));
    });
}

/// While it keeps a batch, nothing of it is deleted.
struct Watchful(Memory, Model);

impl AsyncArchiveStore for Watchful {
    async fn append(&mut self, messages: Vec<DlqMessage>) -> StoreResult {
        let deleted = || self.1.with_service(|service| service.deleted_total());
        let before = deleted();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert_eq!((deleted(), self.0.with(|s| s.archived.len() as u64)), (before, before));
        self.0.append(messages).await
    }
}

#[test]
fn nothing_is_deleted_before_the_store_has_returned() {
    let (server, client) = serve(50);
    let store = Watchful(Memory::default(), server);
    let outcome = block_on(client.delete(Selection::Everything).page_size(10).archive(store).run());
    assert_eq!(outcome.into_result().unwrap().archived, 50);
}

#[test]
fn a_request_in_doubt_in_a_store_is_settled_before_anything_is_sent() {
    let config = Config::default().started_runs_stay(true);
    let (server, client) = serve_with(100, config);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::LostResponse)])));
    let memory = Memory::default();
    let resume = || client.resume(by_ids(&server, 100)).checkpoint(memory.clone());
    let outcome = block_on(resume().run());
    assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })), "{outcome:?}");
    let again = block_on(resume().run());
    assert!(matches!(again.halted, Some(Halt::InDoubt { asked: 50, .. })) && requests(&server) == 2, "{again:?}");
    assert!(block_on(resume().into_operation()).unwrap().in_doubt().is_some());
    let outcome = block_on(resume().settle(Settlement::Applied).run()).into_result().unwrap();
    assert_eq!((outcome.totals.affected, outcome.totals.unconfirmed, requests(&server)), (50, 1, 2));
}

#[test]
fn stores_that_block_work_on_threads_of_their_own() {
    struct File(Arc<Mutex<Vec<String>>>, Option<&'static str>);
    impl File {
        fn call(&self, name: &str) -> StoreResult {
            assert!(self.1 != Some("panic"), "the store panics");
            self.0.lock().unwrap().push(format!("{name} {:?}", std::thread::current().id()));
            if self.1 == Some(name) { Err("the disk is full".into()) } else { Ok(()) }
        }
    }
    impl CheckpointStore for File {
        fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
            self.call("load").map(|()| None)
        }
        fn save(&mut self, _: &Checkpoint) -> StoreResult {
            self.call("save")
        }
        fn remove(&mut self) -> StoreResult {
            self.call("remove")
        }
    }
    impl ArchiveStore for File {
        fn append(&mut self, _: &[DlqMessage]) -> StoreResult {
            self.call("append")
        }
        fn finish(&mut self) -> StoreResult {
            self.call("finish")
        }
    }
    for fail in [None, Some("load"), Some("save"), Some("remove"), Some("panic")] {
        let (_server, client) = serve(20);
        let calls = Arc::default();
        let store = Blocking::new(File(Arc::clone(&calls), fail));
        let outcome = block_on(client.delete(Selection::Everything).checkpoint(store).run());
        assert_eq!(matches!(outcome.halted, Some(Halt::StoreFailed(_))), fail.is_some(), "{fail:?} {outcome:?}");
        let here = format!("{:?}", std::thread::current().id());
        let calls = calls.lock().unwrap();
        assert!(calls.iter().all(|call: &String| !call.ends_with(&here)));
        let names: Vec<_> = calls.iter().map(|call| call.split(' ').next().unwrap()).collect();
        assert!(fail.is_some() || names == ["load", "save", "save", "remove"], "{names:?}");
    }
    for panics in [true, false] {
        let (server, client) = serve(20);
        let store = Blocking::new(File(Arc::default(), panics.then_some("panic")));
        let outcome = block_on(client.delete(Selection::Everything).archive(store).run());
        let said = outcome.halted.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!((said.contains("panic"), server.with_service(|s| s.len())), (panics, if panics { 20 } else { 0 }));
        assert!(!panics || matches!(outcome.halted, Some(Halt::StoreFailed(_))), "{said}");
    }
    for fail in [None, Some("append"), Some("finish")] {
        let (server, client) = serve(20);
        let store = Blocking::new(File(Arc::default(), fail));
        let outcome = block_on(client.delete(Selection::Everything).archive(store).run());
        assert_eq!(has_failed(outcome.halted.as_ref()), fail.is_some(), "{fail:?} {outcome:?}");
        assert_eq!(server.with_service(|s| s.len()), if fail == Some("append") { 20 } else { 0 });
    }
}

#[test]
fn a_closure_is_a_store() {
    let (_server, client) = serve(20);
    let saved = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&saved);
    let save = move |checkpoint: Checkpoint| {
        let counted = Arc::clone(&counted);
        async move {
            assert!(checkpoint.totals().requests > 0);
            *counted.lock().unwrap() += 1;
            Ok::<(), std::io::Error>(())
        }
    };
    let outcome = block_on(client.delete(Selection::Everything).checkpoint(save).run());
    assert_eq!(outcome.into_result().unwrap().totals.requests, *saved.lock().unwrap());
    let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("t").unwrap()).unwrap();
    let nobody = Client::new(endpoint).unwrap();
    let keep = |_: Vec<DlqMessage>| async { Ok::<(), std::io::Error>(()) };
    let outcome =
        driver::block_on(nobody.delete(Selection::Everything).retry(crate::suite::fast(1)).archive(keep).run());
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { .. })), "{outcome:?}");
}
