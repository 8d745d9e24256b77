//! A future of `run` that is dropped at each of its awaits, and a later one that continues: nothing is lost, nothing is done
//! twice, whatever the service does meanwhile.
#![expect(clippy::await_holding_refcell_ref, reason = "what is dropped and what goes on never overlap")]

use crate::driver;
use crate::suite::fast;
use crate::support::{Memory, Model, block_on, by_ids, drop_after, ids, serve_on_a_socket, serve_with};
use std::cell::RefCell;
use std::collections::BTreeSet;
use upstash_dlq_core::operation::{Bulk, BulkBuilder, Fetched, InDoubt};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, GetMessage, List, ListPage};
use upstash_dlq_core::{
    DlqId, DlqMessage, Driven, Event, Filter, GetMany, Halt, Listing, Operation, Outcome, Selection, Settlement, Totals,
};
use upstash_dlq_emulator::{Config, FaultPlan};
use upstash_dlq_reqwest::{Client, Prepared};

fn faulty(runs: usize, profile: &str, seed: usize, started_runs_stay: bool) -> (Model, Client) {
    let faults = FaultPlan::profile(profile, seed as u64).unwrap();
    serve_with(runs, Config::default().faults(faults).started_runs_stay(started_runs_stay))
}

/// Drops `run` after so many polls, for each number of polls until it is not dropped any more. `check` gets the outcome.
fn at_every_await<W, T>(
    mut world: impl FnMut(usize) -> W,
    run: impl AsyncFn(&W) -> T,
    check: impl AsyncFn(&W, Option<T>, usize),
) -> usize {
    for polls in 0.. {
        let world = world(polls);
        let is_over = block_on(async {
            let outcome = drop_after(polls, run(&world)).await;
            let is_over = outcome.is_some();
            check(&world, outcome, polls).await;
            is_over
        });
        if is_over {
            return polls;
        }
    }
    unreachable!()
}

/// Drives on to the end. It is dropped once more on the way, if it takes more than so many polls.
async fn finish<O: Operation>(client: &Client, operation: &mut O, polls: usize) -> O::Outcome {
    let driven = match drop_after(polls, client.run(operation, &mut ())).await {
        Some(driven) => driven,
        None => client.run(operation, &mut ()).await,
    };
    let Driven::Done(outcome) = driven else { panic!("it waits for its caller") };
    outcome
}

fn nightly() -> Selection {
    Selection::Filter(Filter::builder().label("nightly").build().unwrap())
}

/// A service, and how many of its runs are not nightly.
fn some_nightly(profile: &str, seed: usize) -> (Model, Client, usize) {
    let (model, client) = faulty(150, profile, seed, false);
    let is_nightly = |run: &upstash_dlq_emulator::Run| run.labels.iter().any(|label| label == "nightly");
    let others = model.with_service(|s| s.runs().filter(|run| !is_nightly(run)).count());
    (model, client, others)
}

/// All that matches is deleted and nothing else. The counts say so, unless they say that they do not know, or were lost.
fn assert_deleted(model: &Model, others: usize, outcome: &Outcome, counts_are_lost: bool) {
    assert!(outcome.verified && outcome.halted.is_none(), "{outcome:?}");
    let (deleted, left) = model.with_service(|s| (s.deleted_total(), s.len()));
    assert_eq!((left, deleted), (others, 150 - others as u64), "outside the selection");
    let Totals { affected, unconfirmed, .. } = outcome.totals;
    assert!(affected == deleted || unconfirmed > 0 || counts_are_lost, "{outcome:?}");
    assert!(affected <= deleted, "{outcome:?}");
}

const KINDS: [(&str, usize); 4] = [("none", 1), ("none", 4), ("flaky", 1), ("flaky", 4)];

#[test]
fn a_delete_with_a_store_is_dropped_at_every_await() {
    for (profile, lanes) in KINDS {
        let delete = |client: &Client, memory: &Memory, lanes| {
            let delete = client.delete(nightly()).page_size(10).lanes(lanes).retry(fast(30));
            delete.checkpoint(memory.clone()).run()
        };
        let polls = at_every_await(
            |seed| (some_nightly(profile, seed), Memory::default()),
            async |((_, client, _), memory)| delete(client, memory, lanes).await,
            async |((model, client, others), memory), outcome, _| {
                // Dropped after the checkpoint was removed: the operation was complete, and its counts are lost.
                let was_over = memory.with(|stored| stored.calls.contains(&"remove"));
                let outcome = match outcome {
                    Some(outcome) => outcome,
                    None => delete(client, memory, 5 - lanes).await,
                };
                assert_deleted(model, *others, &outcome, was_over);
                assert_eq!(memory.with(|stored| stored.checkpoint.clone()), None);
            },
        );
        assert!(polls > 30, "{polls}");
    }
}

#[test]
fn a_delete_that_is_kept_is_dropped_at_every_await() {
    for (profile, lanes) in KINDS {
        let polls = at_every_await(
            |seed| {
                let (model, client, others) = some_nightly(profile, seed);
                let delete = client.delete(nightly()).page_size(10).lanes(lanes).retry(fast(30));
                let delete = block_on(delete.into_operation()).unwrap();
                (model, client, others, RefCell::new(delete))
            },
            async |(_, client, _, delete)| client.run(&mut *delete.borrow_mut(), &mut ()).await,
            async |(model, client, others, delete), driven, polls| {
                let outcome = match driven {
                    Some(Driven::Done(outcome)) => outcome,
                    Some(Driven::Stopped) => panic!(),
                    None => finish(client, &mut *delete.borrow_mut(), polls % 11).await,
                };
                assert_deleted(model, *others, &outcome, false);
            },
        );
        assert!(polls > 15, "{polls}");
    }
}

#[test]
fn a_delete_over_a_socket_is_dropped() {
    for polls in [0, 1, 2, 3, 5, 8, 13, 21, 34] {
        let (server, client) = serve_on_a_socket(60);
        let memory = Memory::default();
        let delete = || client.delete(Selection::Everything).page_size(10).lanes(4).checkpoint(memory.clone());
        driver::block_on(async {
            drop_after(polls, delete().run()).await;
            assert!(delete().run().await.verified);
        });
        assert_eq!(server.with_service(|s| (s.len(), s.deleted_total())), (0, 60));
    }
}

/// Settles what is in doubt as a person does who has looked.
fn settle<O: BulkOperation>(model: &Model, operation: &mut Bulk<O>) {
    while let Some(in_doubt) = operation.in_doubt() {
        let InDoubt::Ids(ids) = in_doubt else { panic!("{in_doubt:?}") };
        let is_started = |id: &DlqId| model.with_service(|s| s.started().any(|run| run.dlq_id == id.as_str()));
        let started = ids.iter().filter(|id| is_started(id)).count();
        assert!(started == 0 || started == ids.len(), "a request is carried out in whole or not at all");
        operation.settle(if started > 0 { Settlement::Applied } else { Settlement::NotApplied }).unwrap();
    }
}

/// After a halt in doubt, somebody has to look. There is no other one.
fn is_over(outcome: &Outcome) -> bool {
    assert!(matches!(outcome.halted, None | Some(Halt::InDoubt { .. })), "{outcome:?}");
    outcome.halted.is_none()
}

fn assert_all_started_once(model: &Model, wanted: &Ids) {
    let mut started: Vec<_> = model.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
    started.sort_unstable();
    let mut wanted: Vec<_> = wanted.as_slice().iter().map(|id| id.as_str().to_owned()).collect();
    wanted.sort_unstable();
    assert_eq!(started, wanted, "each once, and nothing outside the selection");
}

type Prepare<O> = fn(&Client, &Ids) -> Prepared<'static, BulkBuilder<O>>;

fn starts_once_with_a_store<O: BulkOperation>(prepare: Prepare<O>) {
    for (profile, lanes) in KINDS {
        let polls = at_every_await(
            |seed| {
                // Those that were started stay: to ask for one again would start it again.
                let (model, client) = faulty(260, profile, seed, true);
                let wanted = ids(&model, 210);
                (model, client, Memory::default(), wanted)
            },
            async |(_, client, memory, wanted)| {
                prepare(client, wanted).lanes(lanes).retry(fast(30)).checkpoint(memory.clone()).run().await
            },
            async |(model, client, memory, wanted), mut outcome, _| {
                let again = || prepare(client, wanted).lanes(5 - lanes).retry(fast(30)).checkpoint(memory.clone());
                // After the checkpoint was removed, the operation was complete. Another one would start all of them again.
                while !memory.with(|stored| stored.calls.contains(&"remove")) && !outcome.as_ref().is_some_and(is_over)
                {
                    let mut operation = again().into_operation().await.unwrap();
                    let before = operation.in_doubt().is_some();
                    settle(model, &mut operation);
                    if before {
                        memory.with(|stored| stored.checkpoint = Some(operation.checkpoint().to_json()));
                    }
                    outcome = Some(again().run().await);
                }
                assert_all_started_once(model, wanted);
            },
        );
        assert!(polls > 10, "{polls}");
    }
}

fn starts_once_if_it_is_kept<O: BulkOperation>(prepare: Prepare<O>) {
    for (profile, lanes) in KINDS {
        let polls = at_every_await(
            |seed| {
                let (model, client) = faulty(260, profile, seed, true);
                let wanted = ids(&model, 210);
                let operation = prepare(&client, &wanted).lanes(lanes).retry(fast(30)).into_operation();
                (model, client, wanted, RefCell::new(block_on(operation).unwrap()))
            },
            async |(_, client, _, operation)| client.run(&mut *operation.borrow_mut(), &mut ()).await,
            async |(model, client, wanted, operation), driven, mut polls| {
                polls %= 11;
                let operation = &mut *operation.borrow_mut();
                let mut is_done = matches!(&driven, Some(Driven::Done(outcome)) if is_over(outcome));
                while !is_done {
                    let before = model.with_service(|s| s.requests_total());
                    let in_doubt = operation.all_in_doubt().0;
                    let outcome = finish(client, operation, polls).await;
                    polls = usize::MAX;
                    let sent = model.with_service(|s| s.requests_total()) - before;
                    assert!(in_doubt == 0 || sent == 0, "nothing is sent before it is settled");
                    is_done = is_over(&outcome);
                    settle(model, operation);
                }
                assert_all_started_once(model, wanted);
            },
        );
        assert!(polls > 3, "{polls}");
    }
}

#[test]
fn a_resume_is_dropped_at_every_await() {
    starts_once_with_a_store(|client, ids| client.resume(Selection::Ids(ids.clone())));
    starts_once_if_it_is_kept(|client, ids| client.resume(Selection::Ids(ids.clone())));
}

#[test]
fn a_restart_is_dropped_at_every_await() {
    starts_once_with_a_store(|client, ids| client.restart(Selection::Ids(ids.clone())));
    starts_once_if_it_is_kept(|client, ids| client.restart(Selection::Ids(ids.clone())));
}

#[test]
fn an_archived_delete_is_dropped_at_every_await() {
    for (profile, by_id) in [("none", false), ("none", true), ("flaky", false), ("flaky", true)] {
        let polls = at_every_await(
            |seed| {
                let (model, client) = faulty(60, "none", seed, false);
                let selection = if by_id { by_ids(&model, 12) } else { Selection::Everything };
                model.with_service(|s| s.set_faults(FaultPlan::profile(profile, seed as u64).unwrap()));
                (model, client, Memory::default(), selection)
            },
            async |(_, client, memory, selection)| {
                let delete = client.delete(selection.clone()).page_size(20).retry(fast(30));
                delete.archive(memory.clone()).run().await
            },
            async |(model, client, memory, selection), outcome, _| {
                // Whenever it was dropped, what is gone is in the archive.
                let archived = memory.with(|stored| stored.archived.clone());
                let deleted = model.with_service(|s| s.deleted_total());
                let gone = model.with_service(|s| archived.iter().filter(|id| !s.contains(id)).count() as u64);
                assert_eq!(deleted, gone);
                let outcome = match outcome {
                    Some(outcome) => outcome,
                    None => {
                        let delete = client.delete(selection.clone()).page_size(20).retry(fast(30));
                        delete.archive(memory.clone()).run().await
                    }
                };
                assert!(outcome.halted.is_none(), "{outcome:?}");
                let archived = memory.with(|stored| stored.archived.clone());
                let expected = if by_id { 12 } else { 60 };
                assert_eq!(model.with_service(|s| s.deleted_total()), expected);
                assert_eq!(archived.len() as u64, expected);
                model.with_service(|s| assert!(archived.iter().all(|id| !s.contains(id))));
            },
        );
        assert!(polls > 10, "{polls}");
    }
}

#[test]
fn a_listing_is_dropped_at_every_await() {
    for (profile, lanes) in KINDS {
        at_every_await(
            |seed| {
                let (model, client) = faulty(55, profile, seed, false);
                let list = client.list(List::everything().page_size(10)).lanes(lanes).retry(fast(30));
                (model, client, RefCell::new((block_on(list.into_operation()).unwrap(), Vec::new())))
            },
            async |(_, client, kept)| list_on(client, &mut kept.borrow_mut()).await,
            async |(model, client, kept), driven, _| {
                let kept = &mut *kept.borrow_mut();
                let driven = match driven {
                    Some(driven) => driven,
                    None => list_on(client, kept).await,
                };
                assert!(matches!(&driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.listed == 55));
                let once: BTreeSet<_> = kept.1.iter().collect();
                assert_eq!((kept.1.len(), once.len(), model.with_service(|s| s.len())), (55, 55, 55), "each once");
            },
        );
    }
}

type ListOutcome = <Listing as Operation>::Outcome;

async fn list_on(client: &Client, (listing, seen): &mut (Listing, Vec<DlqId>)) -> Driven<ListOutcome> {
    let observer = &mut |_: &Listing, event: &Event<ListPage>| {
        if let Event::Page(page) = event {
            seen.extend(page.messages.iter().filter_map(DlqMessage::dlq_id));
        }
    };
    client.run(listing, observer).await
}

#[test]
fn many_gets_are_dropped_at_every_await() {
    for (profile, lanes) in KINDS {
        at_every_await(
            |seed| {
                let (model, client) = faulty(12, profile, seed, false);
                let get = client.get_many(ids(&model, 12)).lanes(lanes).retry(fast(30));
                (client, RefCell::new((block_on(get.into_operation()).unwrap(), Vec::new())))
            },
            async |(client, kept)| get_on(client, &mut kept.borrow_mut()).await,
            async |(client, kept), driven, _| {
                let kept = &mut *kept.borrow_mut();
                let driven = match driven {
                    Some(driven) => driven,
                    None => get_on(client, kept).await,
                };
                assert!(matches!(&driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.found == 12));
                let once: BTreeSet<_> = kept.1.iter().collect();
                assert_eq!((kept.1.len(), once.len()), (12, 12), "each once");
            },
        );
    }
}

type GetOutcome = <GetMany as Operation>::Outcome;

async fn get_on(client: &Client, (get, seen): &mut (GetMany, Vec<DlqId>)) -> Driven<GetOutcome> {
    let observer = &mut |_: &GetMany, event: &Event<Fetched>| {
        if let Event::Page(page) = event {
            seen.push(page.id.clone());
        }
    };
    client.run(get, observer).await
}

#[test]
fn a_call_is_dropped_at_every_await() {
    at_every_await(
        |seed| {
            let (model, client) = faulty(1, "flaky", seed, false);
            let id = ids(&model, 1).as_slice()[0].clone();
            let get = client.call(GetMessage(id.clone())).retry(fast(30)).into_operation();
            (id, client, RefCell::new(block_on(get).unwrap()))
        },
        async |(_, client, get)| client.run(&mut *get.borrow_mut(), &mut ()).await,
        async |(id, client, get), driven, polls| {
            let got = match driven {
                Some(Driven::Done(got)) => got,
                Some(Driven::Stopped) => panic!(),
                None => finish(client, &mut *get.borrow_mut(), polls % 11).await,
            };
            assert_eq!(got.unwrap().dlq_id().as_ref(), Some(id));
        },
    );
}
