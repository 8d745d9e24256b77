//! The machine against the emulator's pure model: no sockets, no clock, and every misfortune the contract allows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;
use upstash_dlq_core::{
    Bulk, BulkDelete, Checkpoint, Delivery, Endpoint, Event, Filter, Ids, Outcome, RetryPolicy, Selection, Step, Token,
    UnixMillis,
};
use upstash_dlq_emulator::{Config, CursorKind, Fault, FaultPlan, LOCAL_TOKEN, Run, Service, Wire};

const NOW: i64 = 1_764_000_000_000;

fn config() -> ProptestConfig {
    let deep = if std::env::var_os("DLQ_DEEP").is_some() { 100 } else { 1 };
    ProptestConfig {
        cases: 300 * deep,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    }
}

fn endpoint() -> Endpoint {
    Endpoint::new("http://localhost", Token::new(LOCAL_TOKEN).unwrap()).unwrap()
}

/// What is asked for, in a form that an oracle of three lines understands.
#[derive(Clone, Debug)]
enum Asked {
    Ids(Vec<u16>),
    Filter { labels: Vec<u8>, from: Option<u16>, to: Option<u16> },
    Everything,
}

#[derive(Clone, Debug)]
struct World {
    /// Label and time of each run; its place is its id.
    runs: Vec<(u8, u16)>,
    asked: Asked,
    key_cursors: bool,
    page_size: u32,
    max: Option<u64>,
    verify: bool,
    attempts: u32,
    faults: Vec<Option<Fault>>,
    /// What happens to the process at each request.
    accidents: Vec<Accident>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accident {
    None,
    CrashBeforeSend,
    CrashAfterSend,
    CrashAfterAnswer,
    DropFuture,
    Withdraw,
    NotSent,
}

fn id(n: usize) -> String {
    format!("run-{n}")
}

impl World {
    /// The oracle: which runs are meant.
    fn matching(&self) -> BTreeSet<String> {
        let meant = |n: usize, (label, at): (u8, u16)| match &self.asked {
            Asked::Ids(ids) => ids.contains(&u16::try_from(n).unwrap()),
            Asked::Filter { labels, from, to } => {
                (labels.is_empty() || labels.contains(&label))
                    && from.is_none_or(|from| at >= from)
                    && to.is_none_or(|to| at <= to)
            }
            Asked::Everything => true,
        };
        self.runs.iter().enumerate().filter(|(n, run)| meant(*n, **run)).map(|(n, _)| id(n)).collect()
    }

    fn selection(&self) -> Option<Selection> {
        match &self.asked {
            Asked::Everything => Some(Selection::Everything),
            Asked::Ids(ids) => Ids::parse(ids.iter().map(|n| id(usize::from(*n)))).ok().map(Selection::Ids),
            Asked::Filter { labels, from, to } => {
                let time = |t: u16| UnixMillis::new(NOW + i64::from(t));
                let filter =
                    labels.iter().fold(Filter::builder(), |filter, label| filter.label(format!("label {label}")));
                let filter = from.iter().fold(filter, |filter, from| filter.from(time(*from)));
                let filter = to.iter().fold(filter, |filter, to| filter.to(time(*to)));
                filter.build().ok().map(Selection::Filter)
            }
        }
    }

    fn delete(&self) -> Option<BulkDelete> {
        let policy = RetryPolicy { max_attempts: NonZeroU32::new(self.attempts)?, ..RetryPolicy::default() };
        let delete = BulkDelete::new(endpoint(), self.selection()?).page_size(NonZeroU32::new(self.page_size)?);
        Some(delete.max(self.max.and_then(NonZeroU64::new)).verify(self.verify).retry(policy, self.seed))
    }

    fn service(&self) -> Service {
        let cursors = if self.key_cursors { CursorKind::Key } else { CursorKind::Offset };
        let faults = FaultPlan::script(self.faults.clone());
        let mut service = Service::new(Config { cursors, faults, ..Config::default() });
        for (n, (label, at)) in self.runs.iter().enumerate() {
            service.insert(Run {
                dlq_id: id(n),
                created_at: NOW + i64::from(*at),
                labels: vec![format!("label {label}")],
                ..Run::default()
            });
        }
        service
    }
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        6 => Just(None),
        4 => prop::sample::select(vec![
            Fault::LostRequest, Fault::LostAnswer, Fault::TooManyRequests { retry_after_s: Some(2) },
            Fault::TooManyRequests { retry_after_s: None }, Fault::ServerError(500), Fault::AppliedServerError, Fault::CutBody, Fault::Html,
            Fault::HtmlGateway, Fault::NoDeleted, Fault::NegativeDeleted, Fault::RepeatCursor, Fault::FreshCursor, Fault::RefuseCursor,
            Fault::EndlessBody, Fault::Silent,
        ]).prop_map(Some),
    ]
}

fn accident() -> impl Strategy<Value = Accident> {
    prop_oneof![
        8 => Just(Accident::None),
        1 => Just(Accident::CrashBeforeSend), 1 => Just(Accident::CrashAfterSend), 1 => Just(Accident::CrashAfterAnswer),
        1 => Just(Accident::DropFuture), 1 => Just(Accident::Withdraw), 1 => Just(Accident::NotSent),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let window = || prop::option::of(0_u16..50);
    prop_oneof![
        1 => Just(Asked::Everything),
        1 => prop::collection::vec(0_u16..130, 1..40).prop_map(Asked::Ids),
        3 => (prop::collection::vec(0_u8..4, 0..3), window(), window()).prop_map(|(labels, from, to)| Asked::Filter { labels, from, to }),
    ]
}

prop_compose! {
    fn world()(
        runs in prop::collection::vec((0_u8..4, 0_u16..50), 0..120),
        asked in asked(),
        (key_cursors, page_size, verify) in (any::<bool>(), 1_u32..30, prop::bool::weighted(0.8)),
        max in prop::option::weighted(0.4, 1_u64..60),
        attempts in 1_u32..8,
        faults in prop::collection::vec(fault(), 0..60),
        accidents in prop::collection::vec(accident(), 0..60),
        seed in any::<u64>(),
    ) -> World {
        World { runs, asked, key_cursors, page_size, max, verify, attempts, faults, accidents, seed }
    }
}

/// What the outside saw.
struct Seen {
    outcome: Outcome,
    service: Service,
    /// Every request that was sent, or may have been.
    sent: Vec<String>,
    /// How many runs the filter requests asked for, repetitions included.
    asked_for: u64,
    polls: u32,
}

fn serve(service: &mut Service, request: Request<()>) -> Result<Response<Vec<u8>>, Delivery> {
    let response = service.handle(NOW, request.map(|()| Vec::new()));
    match response.extensions().get::<Wire>() {
        Some(Wire::CutBody) => {
            let half = response.body().len() / 2;
            Ok(response.map(|body| body[..half].to_vec()))
        }
        Some(Wire::CloseBeforeAnswer { .. } | Wire::Endless | Wire::Silent) => Err(Delivery::Unknown),
        Some(Wire::Delay(_)) | None => Ok(response),
    }
}

fn simulate(world: &World) -> Option<Seen> {
    let delete = world.delete()?;
    let mut bulk = delete.clone().build();
    let mut seen =
        Seen { outcome: bulk.outcome_so_far(), service: world.service(), sent: Vec::new(), asked_for: 0, polls: 0 };
    let mut accidents = world.accidents.iter().copied();
    let reload = |bulk: &Bulk| {
        let json = bulk.checkpoint().to_json();
        let checkpoint = Checkpoint::from_json(json.as_bytes()).unwrap();
        assert_eq!(checkpoint, bulk.checkpoint());
        delete.clone().resume(checkpoint).unwrap()
    };
    loop {
        seen.polls += 1;
        assert!(seen.polls < 20_000, "the machine does not end");
        let request = match bulk.poll() {
            Step::Done(outcome) => {
                seen.outcome = outcome;
                return Some(seen);
            }
            Step::Wait(wait) => {
                assert!(wait <= Duration::from_secs(60));
                continue;
            }
            Step::Send(request) => request,
        };
        let uri = request.uri().to_string();
        let accident = accidents.next().unwrap_or(Accident::None);
        if accident == Accident::Withdraw {
            bulk.withdraw().unwrap();
            let Step::Send(again) = bulk.poll() else { panic!("a withdrawn request comes again") };
            assert_eq!(again.uri().to_string(), uri);
        }
        if accident == Accident::NotSent {
            bulk.on_failure(Delivery::NotSent).unwrap();
            continue;
        }
        // The checkpoint is on disk now; what comes after is lost in a crash. It counts the request in any case.
        if accident == Accident::CrashBeforeSend {
            let before = bulk.clone();
            bulk = reload(&bulk);
            seen.sent.push(uri.clone());
            seen.asked_for += asked_by(&uri);
            assert_next_request_is_the_same(before, bulk.clone());
            continue;
        }
        seen.sent.push(uri.clone());
        seen.asked_for += asked_by(&uri);
        let saved = reload(&bulk);
        let answer = serve(&mut seen.service, request);
        match accident {
            Accident::CrashAfterSend => bulk = saved,
            Accident::DropFuture => {}
            _ => {
                let event = match answer {
                    Ok(response) => bulk.on_response(&response),
                    Err(delivery) => bulk.on_failure(delivery),
                };
                let event = event.unwrap();
                assert!(bulk.on_failure(Delivery::Unknown).is_err(), "nothing is in flight");
                if accident == Accident::CrashAfterAnswer && !matches!(bulk.clone().poll(), Step::Done(_)) {
                    let resumed = reload(&bulk);
                    assert_next_request_is_the_same(bulk.clone(), resumed.clone());
                    bulk = resumed;
                }
                let _: Event<_> = event;
            }
        }
    }
}

/// Going on from a checkpoint sends exactly the request that would have come next. A request in flight is unknown to both.
fn assert_next_request_is_the_same(mut one: Bulk, mut other: Bulk) {
    let next = |bulk: &mut Bulk| loop {
        match bulk.poll() {
            Step::Wait(_) => {}
            Step::Send(request) => return Some((request.uri().to_string(), bulk.totals())),
            Step::Done(_) => return None,
        }
    };
    // The attempts at one request begin anew in a new process: only then may one end where the other goes on.
    if let Some(one) = next(&mut one) {
        assert_eq!(Some(one), next(&mut other));
    }
}

fn asked_by(uri: &str) -> u64 {
    let url = url::Url::parse(uri).unwrap();
    url.query_pairs().find(|pair| pair.0 == "count").map_or(0, |pair| pair.1.parse().unwrap())
}

fn gone(world: &World, service: &Service) -> BTreeSet<String> {
    (0..world.runs.len()).map(id).filter(|id| !service.contains(id)).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_outside_the_selection_is_touched_or_asked_for(world in world()) {
        let Some(seen) = simulate(&world) else { return Ok(()) };
        prop_assert!(gone(&world, &seen.service).is_subset(&world.matching()));
        let Step::Send(model) = world.delete().unwrap().build().poll() else { panic!() };
        let conditions = |uri: &str| {
            let url = url::Url::parse(uri).unwrap();
            url.query_pairs().into_owned().filter(|pair| !["count", "cursor"].contains(&pair.0.as_str())).collect::<BTreeSet<_>>()
        };
        for uri in &seen.sent {
            match &world.asked {
                Asked::Ids(ids) => {
                    let allowed: BTreeSet<_> = ids.iter().map(|n| ("dlqIds".to_owned(), id(usize::from(*n)))).collect();
                    prop_assert!(!conditions(uri).is_empty() && conditions(uri).is_subset(&allowed));
                }
                _ => prop_assert_eq!(conditions(uri), conditions(&model.uri().to_string())),
            }
        }
    }

    #[test]
    fn complete_and_verified_means_that_nothing_is_left(world in world()) {
        let Some(seen) = simulate(&world) else { return Ok(()) };
        if seen.outcome.halted.is_none() && seen.outcome.verified {
            prop_assert_eq!(gone(&world, &seen.service), world.matching());
        }
        if let (None, Asked::Filter { .. } | Asked::Everything, true, None) = (&seen.outcome.halted, &world.asked, world.verify, world.max) {
            prop_assert!(seen.outcome.verified);
        }
    }

    #[test]
    fn the_count_is_exact_or_a_lower_bound(world in world()) {
        let Some(seen) = simulate(&world) else { return Ok(()) };
        let (deleted, truth) = (seen.outcome.totals.deleted, seen.service.deleted_total());
        prop_assert!(deleted <= truth);
        if seen.outcome.totals.unconfirmed == 0 {
            prop_assert_eq!(deleted, truth);
        }
        prop_assert!(seen.outcome.totals.requests == seen.sent.len() as u64, "{:?} {}", seen.outcome.totals, seen.sent.len());
    }

    #[test]
    fn a_maximum_is_never_passed_and_is_reached(world in world()) {
        let Some(seen) = simulate(&world) else { return Ok(()) };
        let Some(max) = world.max else { return Ok(()) };
        let truth = seen.service.deleted_total();
        prop_assert!(truth <= max);
        // Each request asks for no more than is left after all that was answered, and all that may have been done.
        let totals = seen.outcome.totals;
        if totals.unconfirmed == 0 && seen.outcome.halted.is_none() && (world.key_cursors || world.verify) {
            let meant = match &world.asked {
                Asked::Ids(ids) => {
                    let mut first = Vec::new();
                    ids.iter().for_each(|n| if !first.contains(n) { first.push(*n) });
                    first.iter().take(usize::try_from(max).unwrap()).filter(|n| usize::from(**n) < world.runs.len()).count() as u64
                }
                _ => max.min(world.matching().len() as u64),
            };
            prop_assert_eq!(truth, meant);
        }
    }

    #[test]
    fn one_seed_and_the_same_answers_give_the_same_requests(world in world()) {
        let (Some(one), Some(other)) = (simulate(&world), simulate(&world)) else { return Ok(()) };
        prop_assert_eq!((one.sent, one.outcome, one.polls), (other.sent, other.outcome, other.polls));
    }

    #[test]
    fn the_machine_ends_against_every_server_that_stops_deleting(
        answers in prop::collection::vec(0_usize..9, 1..40), tail in 0_usize..10, deletions in 0_u32..30, attempts in 1_u32..6,
    ) {
        let policy = RetryPolicy { max_attempts: NonZeroU32::new(attempts).unwrap(), ..RetryPolicy::default() };
        let mut bulk = BulkDelete::new(endpoint(), Selection::Everything).retry(policy, 1).build();
        let mut requests = 0_usize;
        for _ in 0..300_000 {
            match bulk.poll() {
                Step::Done(_) => return Ok(()),
                Step::Wait(_) => {}
                Step::Send(_) => {
                    let deleted = u32::from(requests < deletions as usize);
                    let at = if requests < tail { requests % answers.len() } else { tail % answers.len() + (requests - tail) % (answers.len() - tail % answers.len()) };
                    requests += 1;
                    let (status, body) = match answers[at] {
                        0 => (200, format!("{{\"deleted\":{deleted},\"cursor\":\"A\"}}")),
                        1 => (200, format!("{{\"deleted\":{deleted},\"cursor\":\"B\"}}")),
                        2 => (200, format!("{{\"deleted\":{deleted},\"cursor\":\"fresh-{requests}\"}}")),
                        3 => (200, format!("{{\"deleted\":{deleted}}}")),
                        4 => (503, String::new()),
                        5 => (410, "{\"error\":\"gone\"}".into()),
                        6 => (429, String::new()),
                        7 => (200, "<html>".into()),
                        _ => { bulk.on_failure(Delivery::Unknown).unwrap(); continue; }
                    };
                    bulk.on_response(&Response::builder().status(status).body(body).unwrap()).unwrap();
                }
            }
        }
        prop_assert!(false, "still going after {requests} requests");
    }
}
