//! Archived deletes on many lanes: nothing goes that was not stored, nothing that does not match, and all that does.

use crate::cases::cases;
use crate::one_lane::Respond;
use crate::world::{NOW, TOKEN, World, endpoint, faults, lanes, matches, policy, runs_at, selection, service};
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::operation::ArchiveOutcome;
use upstash_dlq_core::selection::{Ids, Refined, Refinement};
use upstash_dlq_core::wire::{ErrorBody, ResponseError};
use upstash_dlq_core::{ArchivedDelete, BulkDelete, Event, Halt, Operation, RetryPolicy, Selection, Step, UnixMillis};
use upstash_dlq_emulator::{Config, CursorKind, Ignored, Run, Service};

/// A client that stores batches when it pleases, and what is in its archive.
struct Archivist {
    operation: ArchivedDelete,
    /// The batches that wait, and the lines of each.
    waiting: BTreeMap<u64, Vec<String>>,
    /// The lines that are stored, and the ids of their runs.
    lines: Vec<String>,
    stored: BTreeSet<String>,
    /// Whether it sometimes gives a batch up.
    gives_up: bool,
}

impl Archivist {
    fn new(operation: ArchivedDelete, gives_up: bool) -> Self {
        let (waiting, lines, stored) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { operation, waiting, lines, stored, gives_up }
    }

    /// The process has died, and another begins with the same archive.
    fn begin_again(&mut self, world: &mut World, operation: ArchivedDelete) {
        self.operation = operation;
        self.waiting.clear();
        world.in_flight.clear();
    }

    fn store_one(&mut self, world: &mut World) {
        let at = world.dice(self.waiting.len());
        let number = *self.waiting.keys().nth(at).unwrap();
        let lines = self.waiting.remove(&number).unwrap();
        if self.gives_up && world.dice(7) == 0 {
            self.operation.not_stored(number).unwrap();
            return;
        }
        for line in lines {
            self.stored.insert(id_of(&line));
            self.lines.push(line);
        }
        self.operation.stored(number).unwrap();
    }

    fn check(&self, request: &Request<()>) {
        let query = request.uri().query().unwrap_or_default();
        if request.method() == Method::GET {
            return;
        }
        assert_eq!(request.method(), Method::DELETE);
        for pair in query.split('&') {
            let id = pair.strip_prefix("dlqIds=").unwrap_or_else(|| panic!("a delete by {pair}"));
            assert!(self.stored.contains(id), "{id} was not stored");
        }
    }

    fn run(&mut self, world: &mut World, steps: usize) -> Option<ArchiveOutcome> {
        for _ in 0..steps {
            if !self.waiting.is_empty() && world.dice(3) == 0 {
                self.store_one(world);
            }
            match self.operation.poll(world.clock) {
                Step::Done(outcome) => {
                    assert!(world.in_flight.is_empty(), "done with requests in flight");
                    assert!(outcome.halted.is_some() || self.waiting.is_empty(), "done with a batch that waits");
                    return Some(outcome);
                }
                Step::Send(id, request) => {
                    self.check(&request);
                    world.deliver(id, &request);
                    if world.dice(3) > 0 {
                        continue;
                    }
                }
                Step::WaitUntil(at) if world.in_flight.is_empty() => {
                    world.clock = at;
                    continue;
                }
                Step::AwaitResponse if world.in_flight.is_empty() => {
                    assert!(!self.waiting.is_empty(), "it would wait for ever");
                    self.store_one(world);
                    continue;
                }
                Step::WaitUntil(_) | Step::AwaitResponse => {}
            }
            if let Event::Page(page) = world.respond(&mut self.operation) {
                if let Some(batch) = page.batch {
                    assert!(!batch.messages.is_empty());
                    let lines = batch.messages.iter().map(|message| message.as_json().to_owned()).collect();
                    assert!(self.waiting.insert(batch.number, lines).is_none());
                }
            }
        }
        None
    }
}

fn id_of(line: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    value["dlqId"].as_str().unwrap().to_owned()
}

/// What a broken server may pass over when it lists: dates at one end or both.
fn ignored() -> impl Strategy<Value = Vec<Ignored>> {
    let name = prop::sample::select(vec!["fromDate", "toDate"]);
    prop::collection::vec(name.prop_map(|name| Ignored::new(Some(Method::GET), name)), 0..3)
}

proptest! {
    #![proptest_config(cases(150, 7_500))]

    #[test]
    fn all_that_matches_is_stored_and_gone_and_nothing_else(
        kind in 0_u8..5, n in 1_usize..20, size in 1_u32..40, max in prop::option::of(1_u64..300), plan in faults(),
        offset in any::<bool>(), ignored in ignored(), bound_cursors in any::<bool>(), newest_first in any::<bool>(),
        lag in 0_u32..3, gives_up in any::<bool>(), crashes in prop::collection::vec((1_usize..80, any::<bool>()), 0..4),
        seed in any::<u64>(),
    ) {
        // With dates of its own, such a server shows runs that do not match, and the archive halts.
        let ignored = if kind < 2 { ignored } else { Vec::new() };
        let cursors = if offset { CursorKind::Offset } else { CursorKind::Key };
        let config = Config::default().cursors(cursors).ignored(ignored).bound_cursors(bound_cursors).newest_first(newest_first).listing_lag(lag);
        let mut world = World::new(service(400, config), seed);
        let all: Vec<Run> = world.service.runs().cloned().collect();
        let is_wanted = |at: usize, run: &Run| if kind == 4 { at % 3 == 0 } else { matches(kind, run) };
        let wanted: Vec<&Run> = all.iter().enumerate().filter(|(at, run)| is_wanted(*at, run)).map(|(_, run)| run).collect();
        let selected = match kind {
            4 => Selection::Ids(Ids::parse(wanted.iter().map(|run| run.dlq_id.clone()).chain(["gone".into()])).unwrap()),
            _ => selection(kind),
        };
        world.service.set_faults(plan);
        let delete = BulkDelete::builder(endpoint(), selected)
            .page_size(NonZeroU32::new(size).unwrap()).max(max.and_then(NonZeroU64::new)).retry(policy(), 1);
        let build = |n: usize| delete.clone().lanes(lanes(n), UnixMillis::new(NOW)).build_archived();
        let mut archivist = Archivist::new(build(n), gives_up);
        let (mut outcome, mut begun, mut dead_unconfirmed) = (None, 1_u64, 0);
        for (steps, dies) in crashes.into_iter().chain([(1_000_000, false)]) {
            outcome = archivist.run(&mut world, steps);
            if outcome.is_some() {
                break;
            }
            if dies {
                begun += 1;
                dead_unconfirmed += archivist.operation.totals().unconfirmed;
                archivist.begin_again(&mut world, build(1 + (n + steps) % 17));
            } else {
                world.another_driver(&mut archivist.operation);
            }
        }
        let outcome = outcome.expect("it does not end");
        // Fetched by its id, a body without the run is no run. It is not known to be gone either, nor is it after a 404 whose body
        // is cut.
        let is_odd = kind == 4 && outcome.halted.as_ref().is_some_and(|halt| match halt {
            Halt::UnusableMessage => true,
            Halt::Refused { error, .. } => {
                matches!(error, ResponseError::Status { status: StatusCode::NOT_FOUND, body: ErrorBody::Text(_) })
            }
            _ => false,
        });
        prop_assert!(outcome.halted.is_none() || is_odd, "{:?}", outcome.halted);
        let gone: BTreeSet<String> = all.iter().filter(|run| !world.service.contains(&run.dlq_id)).map(Run::to_json).collect();
        let kept: BTreeSet<String> = archivist.lines.iter().cloned().collect();
        prop_assert!(gone.is_subset(&kept), "a run is gone and not in the archive");
        if begun == 1 {
            prop_assert_eq!(kept.len(), archivist.lines.len(), "archived twice");
            prop_assert_eq!(outcome.archived, archivist.lines.len() as u64);
            prop_assert_eq!(&gone, &kept);
        }
        let right: BTreeSet<String> = wanted.iter().map(|run| run.to_json()).collect();
        prop_assert!(kept.is_subset(&right), "a run was archived that does not match");
        match max {
            _ if is_odd => prop_assert!(gone.is_subset(&right)),
            None => prop_assert_eq!(&gone, &right),
            Some(max) => {
                prop_assert!(gone.len() as u64 <= max * begun);
                if begun == 1 && outcome.totals.unconfirmed == 0 && kind != 4 {
                    prop_assert_eq!(gone.len() as u64, max.min(right.len() as u64));
                }
            }
        }
        if outcome.verified {
            prop_assert_eq!(&gone, &right);
        }
        prop_assert!(outcome.totals.affected <= gone.len() as u64);
        if outcome.totals.unconfirmed + dead_unconfirmed == 0 && begun == 1 {
            prop_assert_eq!(outcome.totals.affected, gone.len() as u64);
        }
        prop_assert!(world.most_in_flight <= n.max(17));
    }
}

/// Runs to its end, with the responses of all lanes in rounds. Returns how many rounds it took, and how many listings.
fn in_rounds(mut operation: ArchivedDelete, mut world: World) -> (u64, u64) {
    let (mut rounds, mut listings) = (0, 0);
    loop {
        let mut sent: Vec<RequestId> = Vec::new();
        loop {
            match operation.poll(Duration::ZERO) {
                Step::Send(id, request) => {
                    let is_listing = request.method() == Method::GET && request.uri().path().ends_with("/dlq");
                    listings += u64::from(is_listing);
                    world.deliver(id, &request);
                    sent.push(id);
                }
                Step::Done(outcome) => {
                    assert!(outcome.verified && outcome.halted.is_none(), "{outcome:?}");
                    return (rounds, listings);
                }
                Step::AwaitResponse | Step::WaitUntil(_) => break,
            }
        }
        rounds += 1;
        for id in sent {
            let response = world.in_flight.remove(&id).unwrap().unwrap();
            if let Event::Page(page) = operation.respond(id, &response).unwrap() {
                page.batch.into_iter().for_each(|batch| operation.stored(batch.number).unwrap());
            }
        }
    }
}

/// Lanes share the work: in rounds of requests that take equally long, sixteen lanes need at most a tenth of the time of one.
#[test]
fn lanes_share_the_work() {
    let rounds = |lanes_count: usize, by_ids: bool| {
        let mut service = Service::new(Config::default().token(crate::world::TOKEN));
        let runs = runs_at((0..4_000).map(|n| NOW - n * 60_000));
        let ids: Vec<String> = runs.iter().take(1_000).map(|run| run.dlq_id.clone()).collect();
        runs.into_iter().for_each(|run| service.insert(run));
        let selected = if by_ids { Selection::Ids(Ids::parse(ids).unwrap()) } else { Selection::Everything };
        let operation = BulkDelete::builder(endpoint(), selected)
            .page_size(NonZeroU32::new(10).unwrap())
            .lanes(lanes(lanes_count), UnixMillis::new(NOW))
            .build_archived();
        in_rounds(operation, World::new(service, 3)).0
    };
    for by_ids in [false, true] {
        let (one, sixteen) = (rounds(1, by_ids), rounds(16, by_ids));
        assert!(one >= 10 * sixteen, "by ids: {by_ids}; {one} rounds on one lane, {sixteen} on sixteen");
    }
}

/// A cursor that is refused starts its window over, once until runs are found again.
#[test]
fn a_refused_cursor_starts_the_window_over() {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::MIN);
    let mut operation = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1).build_archived();
    let mut asked = Vec::new();
    // Status and body of each listing. Deletions always succeed.
    let listings = [
        (200, r#"{"messages":[{"dlqId":"a"}],"cursor":"1"}"#),
        (410, r#"{"error":"the cursor has expired"}"#),
        (200, r#"{"messages":[{"dlqId":"b"}],"cursor":"2"}"#),
        (400, r#"{"error":"no such cursor"}"#),
        (200, r#"{"messages":[],"cursor":"3"}"#),
        (404, r#"{"error":"no such cursor"}"#),
    ];
    let mut listings = listings.into_iter();
    let outcome = loop {
        match operation.poll(Duration::ZERO) {
            Step::Done(outcome) => break outcome,
            Step::Send(id, request) if request.method() == Method::GET => {
                asked.push(request.uri().query().unwrap().to_owned());
                let (status, body) = listings.next().expect("it lists on");
                let response = http::Response::builder().status(status).body(body).unwrap();
                if let Event::Page(page) = operation.respond(id, &response).unwrap() {
                    page.batch.into_iter().for_each(|batch| operation.stored(batch.number).unwrap());
                }
            }
            Step::Send(id, _) => drop(operation.respond(id, &http::Response::new(r#"{"deleted":1}"#)).unwrap()),
            step => panic!("{step:?}"),
        }
    };
    let (whole, after) = ("count=100", |cursor: u8| format!("count=100&cursor={cursor}"));
    assert_eq!(asked, [whole.into(), after(1), whole.into(), after(2), whole.into(), after(3)]);
    assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{outcome:?}");
}

/// Nothing else that is refused is asked for again: neither a first page, nor a page that is forbidden.
#[test]
fn only_a_refused_cursor_starts_the_window_over() {
    for (before, status) in [(0, 404), (0, 410), (1, 403), (1, 422)] {
        let mut operation = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
        for n in 0..=before {
            let Step::Send(id, request) = operation.poll(Duration::ZERO) else { panic!() };
            assert_eq!(request.uri().query().unwrap().contains("cursor="), n > 0);
            let (status, body) =
                if n < before { (200, r#"{"messages":[],"cursor":"c"}"#) } else { (status, r#"{"error":"no"}"#) };
            operation.respond(id, &http::Response::builder().status(status).body(body).unwrap()).unwrap();
        }
        let Step::Done(outcome) = operation.poll(Duration::ZERO) else { panic!("it goes on after a {status}") };
        assert!(matches!(outcome.halted, Some(Halt::Refused { .. })), "{outcome:?}");
    }
}

/// A cut lists again what stays, and a part that is empty costs a request. So windows are cut only where many runs are left.
#[test]
fn many_lanes_look_little_more_often_than_one() {
    const DAY: i64 = 86_400_000;
    fn even() -> Vec<Run> {
        runs_at((0..3_000).map(|n| NOW - 90 * DAY + n * (90 * DAY / 3_000)))
    }
    let peak = || runs_at((0..3_000).map(|n| NOW - if n % 100 == 0 { n * 2_000_000 } else { 40 * DAY - n * 1_200 }));
    let one_in_three = || {
        let mut runs = even();
        runs.iter_mut().step_by(3).for_each(|run| run.response_status = 418);
        runs
    };
    let refined = || Selection::Refined(Refined::new(None, Refinement::builder().status(418).build().unwrap()));
    let everything = || Selection::Everything;
    let cases =
        [("even", even(), everything()), ("peak", peak(), everything()), ("refined", one_in_three(), refined())];
    for (name, runs, selected) in cases {
        let listings = |runs: Vec<Run>, selected: Selection, n: usize| {
            let mut service = Service::new(Config::default().token(TOKEN));
            runs.into_iter().for_each(|run| service.insert(run));
            let delete = BulkDelete::builder(endpoint(), selected).page_size(NonZeroU32::new(10).unwrap());
            let operation = delete.lanes(lanes(n), UnixMillis::new(NOW)).build_archived();
            in_rounds(operation, World::new(service, 7)).1
        };
        let (one, sixteen) = (listings(runs.clone(), selected.clone(), 1), listings(runs, selected, 16));
        assert!(sixteen <= one * 135 / 100, "{name}: {sixteen} listings on sixteen lanes, {one} on one");
    }
}
