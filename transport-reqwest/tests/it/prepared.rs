//! Settings of a prepared operation, and what stops it.

use crate::suite::fast;
use crate::support::{Memory, block_on, ids, requests, serve, serve_with};
use futures_util::{StreamExt, TryStreamExt};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::time::Instant;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{Delete, DeletePage, GetMessage, List, ListPage, Overrides, Resume};
use upstash_dlq_core::{
    BulkDelete, Checkpoint, DlqId, Driven, Event, Filter, GetMany, Halt, Listing, Observer, Operation, Selection,
};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Ignored, LOCAL_TOKEN};
use upstash_dlq_reqwest::{Blocking, Client, Items, Pages, Prepared};

fn spawns<F: Future<Output: Send> + Send + 'static>(future: F) -> F {
    future
}

fn moves<T: Send + 'static>(value: T) -> T {
    value
}

#[test]
fn everything_may_be_spawned_and_sent() {
    let (server, client) = serve(120);
    let all = Selection::Everything;
    let one = ids(&server, 1);
    moves::<Option<Pages<'static, Listing>>>(None);
    moves::<Option<Items<'static, GetMany>>>(None);
    drop(moves(client.resume(all.clone()).pages()));
    drop(moves(client.restart(all.clone()).items()));
    drop(moves(client.delete(all.clone()).archive(Memory::default()).items()));
    drop(moves(
        client.delete(all.clone()).checkpoint(Blocking::new(|_: &Checkpoint| Ok::<_, std::io::Error>(()))).pages(),
    ));
    drop(spawns(client.list(List::everything()).into_operation()));
    drop(spawns(client.call(GetMessage(DlqId::new("a").unwrap())).run()));
    drop(spawns(client.count(List::everything()).run()));
    drop(spawns(client.get_many(one).run()));
    drop(spawns(client.delete(all.clone()).archive(Memory::default()).run()));
    let borrowed = String::from("not 'static");
    let seen = |_: &Bulk<Resume>, _: &Event<_>| println!("{borrowed}");
    drop(client.resume(all.clone()).observe(seen).run());
    let observed =
        client.delete(all).observe(|_: &BulkDelete, _: &Event<_>| ()).stop_when(std::future::pending::<()>());
    let outcome = block_on(async { tokio::spawn(spawns(observed.checkpoint(Memory::default()).run())).await.unwrap() });
    assert!(outcome.into_result().unwrap().totals.affected == 120);
}

#[test]
fn a_setting_that_cannot_be_used_is_told_and_nothing_is_sent() {
    let (server, client) = serve(10);
    let delete = || client.delete(Selection::Everything);
    let checkpoint = || Bulk::<Delete>::builder(client.endpoint().clone(), Selection::Everything).build().checkpoint();
    let other = || Bulk::<Resume>::builder(client.endpoint().clone(), Selection::Everything).build().checkpoint();
    let holding = |checkpoint: Checkpoint| {
        let memory = Memory::default();
        memory.with(|stored| stored.checkpoint = Some(checkpoint.to_json()));
        memory
    };
    type Prepare<'f> = &'f dyn Fn() -> Prepared<'static, BulkBuilder<Delete>>;
    let cases: [(&str, Prepare<'_>); 8] = [
        ("lanes", &|| delete().lanes(0)),
        ("max_requests_per_second", &|| delete().max_requests_per_second(0)),
        ("page_size", &|| delete().page_size(0)),
        ("max", &|| delete().max(0)),
        ("lanes", &|| delete().lanes(0).max(0).lanes(2)),
        ("resume_from", &|| delete().resume_from(other())),
        ("checkpoint", &|| delete().checkpoint(holding(other()))),
        ("resume_from", &|| delete().resume_from(checkpoint()).checkpoint(holding(checkpoint()))),
    ];
    for (name, prepare) in cases {
        let is_it = |halt: Option<&Halt>| matches!(halt, Some(Halt::InvalidSetting { setting, .. }) if setting == name);
        let outcome = block_on(prepare().run());
        assert!(is_it(outcome.halted.as_ref()) && outcome.checkpoint().is_none(), "{name}: {outcome:?}");
        assert!(is_it(block_on(prepare().into_operation()).err().as_ref()), "{name}");
        block_on(async {
            let mut pages = prepare().pages();
            assert!(is_it(pages.next().await.unwrap().err().as_ref()), "{name}");
            assert!(pages.next().await.is_none() && is_it(pages.outcome().halted.as_ref()));
        });
    }
    // One that is invalid touches no store either.
    let memory = holding(checkpoint());
    let _ = block_on(delete().resume_from(checkpoint()).checkpoint(memory.clone()).run());
    assert_eq!(memory.with(|stored| std::mem::take(&mut stored.calls)), ["load"], "the other checkpoint is left alone");
    let _ = block_on(delete().checkpoint(memory.clone()).max(0).run());
    assert!(memory.with(|stored| stored.calls.is_empty()));
    let late = |_: &BulkDelete, _: &Event<_>| ();
    let outcome = block_on(delete().observe(late).archive(Memory::default()).run());
    assert!(matches!(outcome.halted, Some(Halt::InvalidSetting { setting, .. }) if setting == "observe"));
    let outcome = block_on(delete().checkpoint(Memory::default()).archive(Memory::default()).run());
    assert!(matches!(outcome.halted, Some(Halt::InvalidSetting { setting, .. }) if setting == "archive"));
    let got = block_on(client.call(GetMessage(DlqId::new("a").unwrap())).lanes(0).run());
    assert!(matches!(got, Err(Halt::InvalidSetting { setting, .. }) if setting == "lanes"));
    assert_eq!(requests(&server), 0);
}

#[test]
fn settings_take_effect() {
    let (server, client) = serve(100);
    let outcome = block_on(client.delete(Selection::Everything).page_size(10).max(35).run());
    assert_eq!((outcome.totals.affected, outcome.totals.requests, outcome.halted), (35, 4, None));
    let outcome = block_on(client.delete(Selection::Everything).verify(false).run());
    assert_eq!((outcome.totals.affected, outcome.totals.requests, outcome.halted), (65, 1, None));
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503)); 3])));
    let outcome = block_on(client.delete(Selection::Everything).retry(fast(2)).run());
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 2, .. })), "{outcome:?}");
}

#[test]
fn many_runs_are_fetched_and_one_may_be_absent() {
    let (server, client) = serve(40);
    let mut wanted = ids(&server, 30).as_slice().to_vec();
    wanted.push(DlqId::new("nobody").unwrap());
    let wanted = Ids::new(wanted).unwrap();
    for lanes in [1, 8] {
        let outcome = block_on(client.get_many(wanted.clone()).lanes(lanes).run()).into_result().unwrap();
        assert_eq!((outcome.found, outcome.totals.missing), (30, 1));
        let mut items = client.get_many(wanted.clone()).lanes(lanes).items();
        let fetched: Vec<_> = block_on((&mut items).try_collect()).unwrap();
        assert_eq!(fetched.iter().filter(|fetched| fetched.message.is_some()).count(), 30);
        assert_eq!((fetched.len(), items.outcome().found), (31, 30));
        assert_eq!(block_on(client.count(List::everything()).lanes(lanes).run()).listed, 40);
    }
}

#[test]
fn a_wait_is_left_at_once() {
    let minute = Duration::from_secs(60);
    let slow = fast(5).base(minute).max_backoff(minute);
    for (fault, policy) in [
        (Some(Fault::ServerError(503)), slow),
        (Some(Fault::TooManyRequests { retry_after_s: Some(60) }), fast(5)),
        // It waits for the rate: the next request is due after a second.
        (None, fast(5)),
    ] {
        let (server, client) = serve(100);
        server.with_service(|service| service.set_faults(FaultPlan::script(vec![fault])));
        let delete = client.delete(Selection::Everything).page_size(10).retry(policy).max_requests_per_second(1);
        let stop = Duration::from_millis(250);
        let (outcome, took) = block_on(async {
            let started = Instant::now();
            (delete.stop_when(tokio::time::sleep(stop)).run().await, started.elapsed())
        });
        let affected = if fault.is_none() { 10 } else { 0 };
        assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::Stopped), affected), "{fault:?}");
        assert_eq!(requests(&server), 1);
        assert!(took >= stop && took < stop + Duration::from_millis(5), "{fault:?}: {took:?}");
    }
}

/// Breaks or panics at the n-th call of one method.
struct AtCall {
    left: usize,
    before_send: bool,
    panics: bool,
}

impl AtCall {
    fn called(&mut self, before_send: bool) -> ControlFlow<()> {
        if before_send != self.before_send {
            return ControlFlow::Continue(());
        }
        if self.left > 0 {
            self.left -= 1;
            return ControlFlow::Continue(());
        }
        assert!(!self.panics, "the observer panics");
        ControlFlow::Break(())
    }
}

impl Observer<BulkDelete> for AtCall {
    fn before_send(&mut self, _: &BulkDelete) -> ControlFlow<()> {
        self.called(true)
    }

    fn on_event(&mut self, _: &mut BulkDelete, _: &Event<DeletePage>) -> ControlFlow<()> {
        self.called(false)
    }
}

#[test]
fn an_observer_that_breaks_or_panics_stops_the_operation() {
    for (before_send, panics, lanes) in
        [(true, false, 1), (false, false, 1), (true, true, 1), (false, true, 1), (true, false, 4), (false, false, 4)]
    {
        for left in 0..5 {
            let (server, client) = serve(100);
            let at = AtCall { left, before_send, panics };
            let delete = client.delete(Selection::Everything).page_size(10).lanes(lanes).observe(at);
            let expected = left as u64 + u64::from(!before_send);
            let what = format!("{left} {before_send} {panics} {lanes}");
            if panics {
                // Whether it is a future or a stream, the panic goes on, and nothing is sent after it.
                assert!(catch_unwind(AssertUnwindSafe(|| block_on(delete.run()))).is_err());
                assert_eq!(requests(&server), expected, "{what}");
                let (server, client) = serve(100);
                let at = AtCall { left, before_send, panics };
                let mut pages = client.delete(Selection::Everything).page_size(10).observe(at).pages();
                let mut again = AssertUnwindSafe(&mut pages);
                assert!(catch_unwind(move || block_on(async { while again.next().await.is_some() {} })).is_err());
                assert_eq!(block_on(pages.next()), Some(Err(Halt::Stopped)), "{what}");
                assert_eq!((block_on(pages.next()), requests(&server)), (None, expected), "{what}");
            } else {
                let outcome = block_on(delete.run());
                assert_eq!(outcome.halted, Some(Halt::Stopped), "{what}");
                assert_eq!((outcome.totals.requests, outcome.totals.unconfirmed), (requests(&server), 0), "{what}");
                let most = expected + if before_send { 0 } else { lanes as u64 - 1 };
                assert!((expected..=most).contains(&requests(&server)), "{what}");
                // Nothing is lost: whoever goes on from its checkpoint has the rest. Without a request there is none.
                let rest = client.delete(Selection::Everything).page_size(10);
                assert_eq!(outcome.checkpoint().is_some(), requests(&server) > 0);
                let rest = outcome.checkpoint().cloned().into_iter().fold(rest, |rest, at| rest.resume_from(at));
                assert_eq!(block_on(rest.run()).into_result().unwrap().totals.affected, 100, "{what}");
            }
        }
    }
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
    let busy =
        Config::default().faults(FaultPlan::script(vec![Some(Fault::TooManyRequests { retry_after_s: Some(50) }); 3]));
    let (server, client) = serve_with(300, busy);
    block_on(async {
        let started = Instant::now();
        let outcome = client.delete(Selection::Everything).observe(Impatient).run().await;
        assert_eq!((outcome.halted, outcome.totals.affected, requests(&server)), (Some(Halt::Stopped), 0, 1));
        let mut pages = client.delete(Selection::Everything).observe(Impatient).pages();
        assert_eq!((pages.next().await, pages.next().await), (Some(Err(Halt::Stopped)), None));
        let mut delete = BulkDelete::builder(client.endpoint().clone(), Selection::Everything).build();
        assert!(matches!(client.run(&mut delete, &mut Impatient).await, Driven::Stopped));
        assert!(
            requests(&server) == 3 && started.elapsed() < Duration::from_secs(1),
            "it waited for the server's 50 s"
        );
    });
}

#[test]
fn the_same_seed_gives_the_same_waits() {
    let (server, client) = serve(3);
    let waits = |client: &Client| {
        server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503)); 4])));
        let mut waits = Vec::new();
        let list = client.list(List::everything()).on_event(|_, event| {
            if let Event::Retry(retried) = event {
                waits.push(retried.after);
            }
        });
        assert_eq!(block_on(list.run()).into_result().unwrap().listed, 3);
        waits
    };
    let seeded = client.clone().with_seed(7);
    let first = waits(&seeded);
    assert_eq!((first.len(), seeded.seed(), &first), (4, 7, &waits(&seeded)));
    assert_ne!(first, waits(&client.clone().with_seed(8)));
    assert_ne!(client.seed(), client.seed(), "by default each operation has a seed of its own");
    // The policy of the client holds for what sets no other.
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(503)); 9])));
    let outcome = block_on(client.with_retry(fast(2)).list(List::everything()).run());
    assert!(matches!(outcome.halted, Some(Halt::GaveUp { attempts: 2, .. })), "{outcome:?}");
}

#[test]
fn new_runs_get_the_overrides() {
    let (server, client) = serve(3);
    let overrides = Overrides::builder().retries(3).label("second try").build().unwrap();
    let restart = client.restart(Selection::Everything).overrides(overrides);
    assert_eq!(block_on(restart.run()).into_result().unwrap().totals.affected, 3);
    server.with_service(|service| {
        for run in service.started() {
            assert_eq!(run.overrides.values().collect::<Vec<_>>(), ["second try", "3"], "{:?}", run.overrides);
        }
    });
}

/// A server that does not keep to the filter: nothing is deleted, unless the caller trusts it.
#[test]
fn whoever_trusts_the_server_deletes_what_it_lists() {
    for trusts in [false, true] {
        let ignored = vec![Ignored::new(None, "label")];
        let (server, client) = serve_with(40, Config::default().ignored(ignored));
        let nightly = Selection::Filter(Filter::builder().label("nightly").build().unwrap());
        let delete = client.delete(nightly).trust_server(trusts).archive(Memory::default());
        let outcome = block_on(delete.run());
        assert_eq!(server.with_service(|service| service.len()), if trusts { 0 } else { 40 });
        assert_eq!(matches!(outcome.halted, Some(Halt::Mismatch { .. })), !trusts, "{:?}", outcome.halted);
    }
}

/// What is shown of an operation and its stream tells what it is, and no secret.
#[test]
fn nothing_that_is_shown_holds_the_token() {
    let (_server, client) = serve(3);
    let prepared = client.delete(Selection::Everything).lanes(3);
    let items = client.list(List::everything()).items();
    let shown = format!("{client:?} {prepared:?} {items:?} {:?}", Blocking::new(Memory::default()));
    for what in ["Client", "Prepared", "Everything", "Items", "Pages", "list", "Blocking"] {
        assert!(shown.contains(what), "{what}: {shown}");
    }
    assert!(!shown.contains(LOCAL_TOKEN), "{shown}");
}

/// Of the page that has arrived, the items that were not taken are lost. The pages after it are not.
#[test]
fn items_turn_back_into_their_operation() {
    let (server, client) = serve(250);
    let mut items = client.list(List::everything().page_size(100)).items();
    block_on(async {
        for _ in 0..30 {
            items.next().await.unwrap().unwrap();
        }
        assert_eq!((items.operation().totals().pages, items.outcome().listed), (1, 100));
        let mut listing = items.into_operation();
        let driven = client.run(&mut listing, &mut |_: &Listing, _: &Event<ListPage>| ()).await;
        assert!(matches!(driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.listed == 250));
    });
    assert_eq!(requests(&server), 3);
}
