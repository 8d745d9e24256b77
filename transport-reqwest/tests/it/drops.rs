//! A future of `run` that is dropped at each of its awaits, and a later one that continues: nothing is lost, nothing is done
//! twice, whatever the service does meanwhile.

use crate::suite::fast;
use crate::support::{Memory, Model, block_on, by_ids, drop_after, ids, serve_with};
use std::collections::BTreeSet;
use upstash_dlq_core::wire::{GetMessage, List};
use upstash_dlq_core::{Filter, Halt, Outcome, Selection, Settlement, Totals};
use upstash_dlq_emulator::{Config, FaultPlan};
use upstash_dlq_reqwest::Client;

fn faulty(runs: usize, profile: &str, seed: usize, started_runs_stay: bool) -> (Model, Client) {
    let faults = FaultPlan::profile(profile, seed as u64).unwrap();
    serve_with(runs, Config { faults, started_runs_stay, ..Config::default() })
}

/// Drops `run` after so many polls, for each number of polls until it is not dropped any more. `check` gets the outcome.
fn at_every_await<W, T>(
    mut world: impl FnMut(usize) -> W,
    run: impl AsyncFn(&W) -> T,
    check: impl AsyncFn(&W, Option<T>),
) -> usize {
    for polls in 0.. {
        let world = world(polls);
        let is_over = block_on(async {
            let outcome = drop_after(polls, run(&world)).await;
            let is_over = outcome.is_some();
            check(&world, outcome).await;
            is_over
        });
        if is_over {
            return polls;
        }
    }
    unreachable!()
}

#[test]
fn a_delete_is_dropped_at_every_await() {
    let nightly = || Selection::Filter(Filter::builder().label("nightly").build().unwrap());
    for (profile, lanes) in [("none", 1), ("flaky", 4)] {
        let polls = at_every_await(
            |seed| {
                let (server, client) = faulty(150, profile, seed, false);
                let matching = |run: &upstash_dlq_emulator::Run| run.labels.iter().any(|label| label == "nightly");
                let others = server.with_service(|s| s.runs().filter(|run| !matching(run)).count());
                (server, client, Memory::default(), others)
            },
            async |(_, client, memory, _)| {
                let delete = client.delete(nightly()).page_size(10).lanes(lanes).retry(fast(30));
                delete.checkpoint(memory.clone()).run().await
            },
            async |(server, client, memory, others), outcome| {
                // Dropped after the checkpoint was removed: the operation was complete, and its counts are lost.
                let was_over = memory.with(|stored| stored.calls.contains(&"remove"));
                let outcome = match outcome {
                    Some(outcome) => outcome,
                    None => {
                        let delete = client.delete(nightly()).page_size(10).lanes(5 - lanes).retry(fast(30));
                        delete.checkpoint(memory.clone()).run().await
                    }
                };
                assert!(outcome.verified && outcome.halted.is_none(), "{outcome:?}");
                let (deleted, left) = server.with_service(|s| (s.deleted_total(), s.len()));
                assert_eq!((left, deleted), (*others, 150 - *others as u64), "outside the selection");
                let Totals { affected, unconfirmed, .. } = outcome.totals;
                assert!(affected == deleted || unconfirmed > 0 || was_over, "{outcome:?}");
                assert!(outcome.totals.affected <= deleted, "{outcome:?}");
                assert_eq!(memory.with(|stored| stored.checkpoint.clone()), None);
            },
        );
        assert!(polls > 30, "{polls}");
    }
}

/// Continues from the store. What is in doubt counts as started, so nothing is started twice.
async fn resume_on(client: &Client, selection: Selection, memory: &Memory, outcome: Option<Outcome>) {
    let resume = || client.resume(selection.clone()).lanes(2).retry(fast(30)).checkpoint(memory.clone());
    let mut outcome = match outcome {
        Some(outcome) => outcome,
        None => resume().run().await,
    };
    while let Some(halt) = &outcome.halted {
        assert!(matches!(halt, Halt::InDoubt { .. }), "{halt:?}");
        outcome = resume().settle(Settlement::Applied).run().await;
    }
}

#[test]
fn a_resume_is_dropped_at_every_await() {
    for (profile, lanes) in [("none", 1), ("flaky", 3)] {
        let polls = at_every_await(
            |seed| {
                let (server, client) = faulty(260, profile, seed, true);
                let wanted = ids(&server, 210);
                (server, client, Memory::default(), wanted)
            },
            async |(_, client, memory, wanted)| {
                let resume = client.resume(Selection::Ids(wanted.clone())).lanes(lanes).retry(fast(30));
                resume.checkpoint(memory.clone()).run().await
            },
            async |(server, client, memory, wanted), outcome| {
                // After the checkpoint was removed, the operation was complete. Another one would start all of them again.
                let is_over = memory.with(|stored| stored.calls.contains(&"remove"));
                let was_dropped = outcome.is_none() && !is_over;
                if !is_over {
                    resume_on(client, Selection::Ids(wanted.clone()), memory, outcome).await;
                }
                let started: Vec<_> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
                let once: BTreeSet<_> = started.iter().collect();
                assert_eq!(once.len(), started.len(), "started twice");
                let wanted: BTreeSet<_> = wanted.as_slice().iter().map(|id| id.as_str().to_owned()).collect();
                assert!(once.iter().all(|id| wanted.contains(*id)), "outside the selection");
                assert!(was_dropped || profile != "none" || started.len() == 210, "{}", started.len());
            },
        );
        assert!(polls > 20, "{polls}");
    }
}

#[test]
fn an_archived_delete_is_dropped_at_every_await() {
    for (profile, by_id) in [("none", false), ("flaky", true)] {
        let polls = at_every_await(
            |seed| {
                let (server, client) = faulty(60, "none", seed, false);
                let selection = if by_id { by_ids(&server, 12) } else { Selection::Everything };
                server.with_service(|s| s.set_faults(FaultPlan::profile(profile, seed as u64).unwrap()));
                (server, client, Memory::default(), selection)
            },
            async |(_, client, memory, selection)| {
                let delete = client.delete(selection.clone()).page_size(20).retry(fast(30));
                delete.archive(memory.clone()).run().await
            },
            async |(server, client, memory, selection), outcome| {
                // Whenever it was dropped, what is gone is in the archive.
                let archived = memory.with(|stored| stored.archived.clone());
                let deleted = server.with_service(|s| s.deleted_total());
                assert!(deleted <= archived.len() as u64, "{deleted} {}", archived.len());
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
                assert_eq!(server.with_service(|s| s.deleted_total()), expected);
                assert_eq!(archived.len() as u64, expected);
                server.with_service(|s| assert!(archived.iter().all(|id| !s.contains(id))));
            },
        );
        assert!(polls > 10, "{polls}");
    }
}

#[test]
fn what_only_reads_is_dropped_at_every_await() {
    at_every_await(
        |seed| faulty(55, "flaky", seed, false),
        async |(_, client)| client.count(List::everything().page_size(10)).lanes(3).retry(fast(30)).run().await.listed,
        async |(server, _), listed| {
            assert!(listed.is_none_or(|listed| listed == 55), "{listed:?}");
            assert_eq!(server.with_service(|s| s.len()), 55);
        },
    );
    at_every_await(
        |seed| {
            let (server, client) = faulty(12, "flaky", seed, false);
            (ids(&server, 12), server, client)
        },
        async |(ids, _, client)| client.get_many(ids.clone()).lanes(3).retry(fast(30)).run().await,
        async |_, outcome| assert!(outcome.is_none_or(|outcome| outcome.found == 12 && outcome.halted.is_none())),
    );
    at_every_await(
        |seed| {
            let (server, client) = faulty(1, "flaky", seed, false);
            (ids(&server, 1).as_slice()[0].clone(), server, client)
        },
        async |(id, _, client)| client.call(GetMessage(id.clone())).retry(fast(30)).run().await,
        async |(id, ..), got| assert!(got.is_none_or(|got| got.unwrap().dlq_id().as_ref() == Some(id))),
    );
}
