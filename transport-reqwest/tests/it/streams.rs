//! Streams of pages and of items: as far as they are asked, and left at any point.

use crate::driver;
use crate::suite::fast;
use crate::support::{Memory, block_on, by_ids, drop_after, requests, serve, serve_on_a_socket, serve_with};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use upstash_dlq_core::wire::{DeletePage, List, ListPage, Resume, StartedPage};
use upstash_dlq_core::{BulkDelete, Checkpoint, Driven, Event, Halt, Listing, Operation, Selection, Settlement};
use upstash_dlq_core::{DlqMessage, operation::Bulk};
use upstash_dlq_emulator::{Config, Fault, FaultPlan};

#[test]
fn a_stream_sends_only_while_it_is_asked() {
    for lanes in [1_u64, 4] {
        let (server, client) = serve_on_a_socket(200);
        let requests = || server.with_service(|service| service.requests_total());
        let delete = client.delete(Selection::Everything).page_size(10).lanes(usize::try_from(lanes).unwrap());
        let mut pages = delete.pages();
        assert_eq!(requests(), 0);
        driver::block_on(async {
            for page in 1.. {
                let Some(item) = pages.next().await else { break };
                item.unwrap();
                let sent = pages.operation().totals().requests;
                assert!(sent >= page && sent < page + lanes, "{sent} {page}");
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                assert!(requests() <= sent);
                let so_far = pages.outcome();
                assert!(!so_far.verified && so_far.halted == Some(Halt::Stopped), "{so_far:?}");
            }
            assert!(pages.next().await.is_none());
        });
        let outcome = pages.outcome();
        assert!(outcome.verified && outcome.halted.is_none() && outcome.totals.affected == 200, "{outcome:?}");
    }
}

#[test]
fn a_stream_ends_after_an_error() {
    let (server, client) = serve(60);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, Some(Fault::Redirect)])));
    let mut items = client.list(List::everything().page_size(20)).items();
    block_on(async {
        for _ in 0..20 {
            items.next().await.unwrap().unwrap();
        }
        assert!(matches!(items.next().await, Some(Err(Halt::Refused { .. }))));
        assert!(items.next().await.is_none() && items.next().await.is_none());
    });
    assert_eq!((items.outcome().listed, requests(&server)), (20, 2));
}

#[test]
fn a_stream_that_is_stopped_hands_over_what_was_in_flight() {
    let (server, client) = serve(400);
    let (send, stop) = tokio::sync::oneshot::channel();
    let delete = client.delete(Selection::Everything).page_size(10).lanes(4);
    let mut pages = delete.stop_when(stop.map(|_| ())).pages();
    block_on(async {
        let mut told = 0;
        for _ in 0..3 {
            told += pages.next().await.unwrap().unwrap().deleted;
        }
        send.send(()).unwrap();
        let in_flight = pages.operation().in_flight() as u64;
        let before = pages.operation().totals().requests;
        let rest: Vec<_> = (&mut pages).collect().await;
        assert!(rest.len() as u64 == in_flight + 1 && in_flight > 0, "{rest:?}");
        assert_eq!(rest.last(), Some(&Err(Halt::Stopped)));
        told += rest.iter().flatten().map(|page| page.deleted).sum::<u64>();
        let outcome = pages.outcome();
        assert_eq!((outcome.halted, outcome.totals.requests), (Some(Halt::Stopped), before));
        assert_eq!((outcome.totals.affected, server.with_service(|s| s.deleted_total())), (told, told));
    });
}

/// Drives an operation on to its end, settling what is in doubt as carried out.
async fn finish(client: &upstash_dlq_reqwest::Client, bulk: &mut Bulk<Resume>) {
    loop {
        let Driven::Done(outcome) = client.run(bulk, &mut |_: &Bulk<Resume>, _: &Event<StartedPage>| ()).await else {
            panic!()
        };
        match outcome.halted {
            None => break,
            Some(Halt::InDoubt { .. }) => bulk.settle(Settlement::Applied).unwrap(),
            Some(halt) => panic!("{halt:?}"),
        }
    }
}

#[test]
fn a_stream_gives_its_operation_back_after_any_poll() {
    for lanes in [1, 4] {
        let (mut mid_request, mut polls) = (0, 0);
        loop {
            let (server, client) = serve(90);
            let delete = client.delete(Selection::Everything).page_size(10).lanes(lanes).retry(fast(20));
            let mut pages = delete.pages();
            let is_over = block_on(async {
                let taken = drop_after(polls, async { while pages.try_next().await.unwrap().is_some() {} }).await;
                let (in_flight, before) = (pages.operation().in_flight() as u64, pages.operation().totals());
                let mut delete: BulkDelete = pages.into_operation();
                assert_eq!((delete.in_flight(), delete.totals().unconfirmed), (0, in_flight));
                assert_eq!((delete.totals().affected, delete.totals().requests), (before.affected, before.requests));
                mid_request += in_flight;
                let driven = client.run(&mut delete, &mut |_: &BulkDelete, _: &Event<DeletePage>| ()).await;
                assert!(matches!(driven, Driven::Done(outcome) if outcome.verified && outcome.halted.is_none()));
                taken.is_some()
            });
            assert!(server.with_service(|service| service.is_empty()));
            if is_over {
                break;
            }
            polls += 1;
        }
        assert!(polls > 10 && mid_request > 5, "{polls} {mid_request}");
    }
}

#[test]
fn runs_are_started_once_wherever_a_stream_is_left() {
    for lanes in [1, 3] {
        for polls in 0.. {
            let config = Config::default().started_runs_stay(true);
            let (server, client) = serve_with(260, config);
            let mut items = client.resume(by_ids(&server, 210)).lanes(lanes).retry(fast(20)).items();
            let is_over = block_on(async {
                let mut told = Vec::new();
                let taken = drop_after(polls, async {
                    while let Some(run) = items.try_next().await.unwrap() {
                        told.push(run.workflow_run_id);
                    }
                })
                .await;
                let mut resume = items.into_operation();
                // What was not handed over is in doubt.
                let in_doubt = resume.all_in_doubt().1;
                let affected = resume.totals().affected;
                assert!(told.len() as u64 <= affected && affected + in_doubt <= 210);
                finish(&client, &mut resume).await;
                taken.is_some()
            });
            let mut started: Vec<_> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
            let all = started.len();
            started.sort_unstable();
            started.dedup();
            assert!(started.len() == all && all <= 210, "{polls}: started twice");
            if is_over {
                assert_eq!(all, 210);
                break;
            }
        }
    }
}

#[test]
fn a_listing_goes_on_wherever_its_stream_is_left() {
    for polls in 0.. {
        let (_server, client) = serve(95);
        let mut pages = client.list(List::everything().page_size(10)).retry(fast(20)).pages();
        let mut seen = Vec::new();
        let mut take = |page: &ListPage| seen.extend(page.messages.iter().filter_map(DlqMessage::dlq_id));
        let is_over = block_on(async {
            let taken = drop_after(polls, async {
                while let Some(page) = pages.try_next().await.unwrap() {
                    take(&page);
                }
            })
            .await;
            let mut listing: Listing = pages.into_operation();
            let observer = &mut |_: &Listing, event: &Event<ListPage>| {
                if let Event::Page(page) = event {
                    take(page);
                }
            };
            let Driven::Done(outcome) = client.run(&mut listing, observer).await else { panic!() };
            assert_eq!(outcome.halted, None);
            taken.is_some()
        });
        assert_eq!(seen.len(), 95);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 95, "a run was listed twice");
        if is_over {
            break;
        }
    }
}

#[test]
fn a_request_that_waits_for_its_store_was_not_sent() {
    let (server, client) = serve(260);
    let mut saves = 0;
    let store = move |_: Checkpoint| {
        saves += 1;
        // Each page is handed over after a save of its own.
        let hangs = saves == 5;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<(), std::io::Error>(())
        }
    };
    let mut pages = client.resume(by_ids(&server, 210)).checkpoint(store).pages();
    block_on(async {
        for _ in 0..2 {
            pages.next().await.unwrap().unwrap();
        }
        // It is in flight as long as the stream may still send it, …
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), pages.next()).await.is_err());
        assert_eq!((pages.operation().in_flight(), pages.operation().totals().unconfirmed), (1, 1));
        // … and nobody has to find out what became of it.
        let mut resume = pages.into_operation();
        assert_eq!((resume.totals().unconfirmed, resume.totals().requests, requests(&server)), (0, 2, 2));
        let driven = client.run(&mut resume, &mut |_: &Bulk<Resume>, _: &Event<StartedPage>| ()).await;
        assert!(matches!(driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.totals.affected == 210));
    });
}

#[test]
fn a_stream_begins_where_its_store_says() {
    let (server, client) = serve(260);
    let memory = Memory::default();
    let wanted = by_ids(&server, 210);
    let resume = || client.resume(wanted.clone()).checkpoint(memory.clone());
    block_on(async {
        let mut pages = resume().pages();
        pages.next().await.unwrap().unwrap();
        pages.next().await.unwrap().unwrap();
        // Dropped between two pages: nothing is in doubt.
        drop(pages);
        let mut pages = resume().pages();
        assert!(pages.operation().halt().is_some(), "nobody goes on without the checkpoint of the store");
        assert!(pages.outcome().checkpoint().is_none(), "nor replaces it");
        pages.next().await.unwrap().unwrap();
        // Dropped within a request: it is in flight by the checkpoint, so nothing is sent.
        while requests(&server) < 4 {
            tokio::select! {
                biased;
                page = pages.next() => panic!("{page:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(pages);
        let sent = requests(&server);
        let started = server.with_service(|s| s.started().count());
        let mut pages = resume().pages();
        assert!(matches!(pages.next().await, Some(Err(Halt::InDoubt { asked: 50, .. }))));
        assert!(pages.next().await.is_none());
        assert_eq!((pages.operation().totals().requests, requests(&server)), (4, sent));
        let settlement = if started == 200 { Settlement::Applied } else { Settlement::NotApplied };
        let rest: Vec<_> = resume().settle(settlement).items().try_collect().await.unwrap();
        assert_eq!((started + rest.len(), server.with_service(|s| s.started().count())), (210, 210));
    });
}
