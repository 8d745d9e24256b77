//! Driving in slices, by one driver after another, each with a clock of its own.

use crate::one_lane::{One, OneStep, Respond};
use http::Response;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use upstash_dlq_core::drive::{NextStep, drive, drive_async, next_step, report};
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{
    ArchivedDelete, BulkDelete, Delivery, Driven, Endpoint, Event, Halt, Listing, Observer, Operation, RetryPolicy,
    Selection, Step, Token, TransportFailure, UnixMillis,
};

const HOUR: Duration = Duration::from_secs(3_600);
const LANES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
const NOW: UnixMillis = UnixMillis::new(1_764_000_000_000);

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn sent<L: Operation>(lanes: &mut L, now: Duration) -> RequestId {
    match lanes.poll(now) {
        Step::Send(lane, _) => lane,
        _ => panic!("a request was expected"),
    }
}

fn until<L: Operation>(lanes: &mut L, now: Duration) -> Duration {
    match lanes.poll(now) {
        Step::WaitUntil(at) => at,
        _ => panic!("a wait was expected"),
    }
}

fn too_many() -> Response<&'static str> {
    Response::builder().status(429).header("retry-after", "5").body("").unwrap()
}

fn unavailable() -> Response<&'static str> {
    Response::builder().status(503).header("retry-after", "5").body("").unwrap()
}

/// What is left of a wait is waited for, whatever the clock says by then.
fn a_wait_is_taken_over<L: Operation>(mut lanes: L, refused: &Response<&'static str>) {
    let lane = sent(&mut lanes, HOUR);
    lanes.respond(lane, refused).unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(until(&mut lanes, HOUR), HOUR + seconds(5));
    assert_eq!(until(&mut lanes, HOUR + seconds(2)), HOUR + seconds(5));
    for now in [Duration::ZERO, 9 * HOUR] {
        lanes.connection_lost();
        assert_eq!(until(&mut lanes, now), now + seconds(3));
    }
    sent(&mut lanes, 9 * HOUR + seconds(3));
}

#[test]
fn a_wait_belongs_to_no_clock() {
    let policy = RetryPolicy::default();
    for refused in [too_many(), unavailable()] {
        let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
        a_wait_is_taken_over(delete.lanes(LANES, NOW).build(), &refused);
        a_wait_is_taken_over(
            Listing::builder(endpoint(), List::everything()).retry(policy, 1).lanes(LANES, NOW).build(),
            &refused,
        );
    }
}

#[test]
fn a_rate_belongs_to_no_clock() {
    let rate = NonZeroU32::new(1).unwrap();
    let mut operation = BulkDelete::builder(endpoint(), Selection::Everything)
        .lanes(LANES, NOW)
        .max_requests_per_second(Some(rate))
        .build();
    let lane = sent(&mut operation, HOUR);
    operation.fail(lane, Delivery::NotSent).unwrap();
    operation.connection_lost();
    assert!(until(&mut operation, Duration::ZERO) <= Duration::from_secs(1));
}

/// A server that closes the connection at the first attempt at each request and serves the second is known by that, not as
/// one that leads in circles.
#[test]
fn the_halt_has_the_cause_of_unconfirmed_passes() {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(3).unwrap());
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
    let (mut operation, mut now, mut turn) = (delete.clone().lanes(LANES, NOW).build(), HOUR, 0);
    let halt = loop {
        match operation.poll(now) {
            Step::Done(outcome) => break outcome.halted.unwrap(),
            Step::WaitUntil(at) => now = at,
            Step::AwaitResponse => panic!(),
            Step::Send(lane, _) => {
                turn += 1;
                if turn % 2 == 1 {
                    operation.on_failure(lane, TransportFailure::unknown("peer gone")).unwrap();
                } else {
                    operation.respond(lane, &Response::new(r#"{"deleted":0}"#)).unwrap();
                }
            }
        }
    };
    assert!(halt.to_string().contains("peer gone"), "{halt}");
    let mut bulk = delete.one();
    let mut turn = 0;
    let halt = loop {
        match bulk.poll() {
            OneStep::Done(outcome) => break outcome.halted.unwrap(),
            OneStep::Wait(_) => {}
            OneStep::Send(_) => {
                turn += 1;
                let (status, body) = if turn % 2 == 1 { (502, "gone away") } else { (200, r#"{"deleted":0}"#) };
                bulk.on_response(&Response::builder().status(status).body(body).unwrap()).unwrap();
            }
        }
    };
    assert!(halt.to_string().contains("gone away"), "{halt}");
}

/// With many connections, a driver goes step by step.
#[test]
fn a_step_that_awaits_a_response_waits_only_while_one_is_on_its_way() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    let NextStep::Send(id, _) = next_step(&mut archived, Duration::ZERO, &mut ()) else { panic!() };
    assert!(matches!(next_step(&mut archived, Duration::ZERO, &mut ()), NextStep::Wait(None)));
    let page = Response::new(r#"{"messages":[{"dlqId":"a"}]}"#);
    assert!(report(&mut archived, id, Ok::<_, Delivery>(page), &mut ()).is_continue());
    // It waits for its caller, who gets control back.
    assert!(matches!(next_step(&mut archived, Duration::ZERO, &mut ()), NextStep::End(Driven::Stopped)));
}

/// Stores each batch once nothing else can be sent, or stops there.
struct StoresLate {
    waiting: Vec<u64>,
    stops: bool,
}

impl Observer<ArchivedDelete> for StoresLate {
    fn before_wait(&mut self, operation: &mut ArchivedDelete) -> ControlFlow<(), bool> {
        if self.stops {
            return ControlFlow::Break(());
        }
        let stored = self.waiting.pop();
        stored.into_iter().for_each(|batch| operation.stored(batch).unwrap());
        ControlFlow::Continue(stored.is_some())
    }
}

#[test]
fn an_observer_changes_the_operation_before_a_wait() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    let mut observer = StoresLate { waiting: Vec::new(), stops: false };
    let NextStep::Send(id, _) = next_step(&mut archived, HOUR, &mut observer) else { panic!() };
    assert!(matches!(next_step(&mut archived, HOUR, &mut observer), NextStep::Wait(None)));
    archived.respond(id, &Response::new(r#"{"messages":[{"dlqId":"a"}]}"#)).unwrap();
    observer.stops = true;
    assert!(matches!(next_step(&mut archived, HOUR, &mut observer), NextStep::End(Driven::Stopped)));
    observer = StoresLate { waiting: vec![0], stops: false };
    let NextStep::Send(_, request) = next_step(&mut archived, HOUR, &mut observer) else {
        panic!("it was not asked again")
    };
    assert_eq!((request.method().as_str(), request.uri().query()), ("DELETE", Some("dlqIds=a")));
}

/// Panics before the first request.
struct Panics;

impl Observer<BulkDelete> for Panics {
    fn before_send(&mut self, operation: &BulkDelete) -> ControlFlow<()> {
        assert_eq!(operation.in_flight(), 0, "it counts as in flight from now on");
        ControlFlow::Continue(())
    }
}

#[test]
fn a_request_that_an_observer_has_panicked_at_is_taken_back() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(next_step(&mut delete, Duration::ZERO, &mut Panics))));
    assert!(panicked.is_err());
    assert_eq!((delete.in_flight(), delete.totals().requests), (0, 0));
    assert!(matches!(next_step(&mut delete, Duration::ZERO, &mut ()), NextStep::Send(..)));
}

/// The loop for one connection: it sleeps as long as the operation says, and sends nothing before.
#[test]
fn the_loop_waits_and_ends() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let mut responses =
        [Ok(too_many()), Ok(Response::new(r#"{"deleted":2}"#)), Ok(Response::new(r#"{"deleted":0}"#))].into_iter();
    let (clock, slept) = (std::cell::Cell::new(HOUR), std::cell::Cell::new(Duration::ZERO));
    let sleep = |wait: Duration| {
        slept.set(slept.get() + wait);
        clock.set(clock.get() + wait);
    };
    let send = |_| responses.next().unwrap_or(Err(TransportFailure::from(Delivery::NotSent)));
    let driven = drive(&mut delete, send, || clock.get(), sleep, &mut ());
    let outcome = driven.into_outcome(&delete);
    assert!(outcome.verified && outcome.halted.is_none() && outcome.totals.affected == 2, "{outcome:?}");
    assert_eq!((slept.get(), outcome.totals.requests), (Duration::from_secs(5), 3));
}

/// Breaks after the first event.
struct Once;

impl<O: Operation> Observer<O> for Once {
    fn on_event(&mut self, _: &mut O, _: &Event<O::Page>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

#[test]
fn the_loop_ends_where_its_observer_breaks() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let mut sent = 0;
    let send = |_| {
        sent += 1;
        Ok::<_, TransportFailure>(Response::new(r#"{"deleted":2,"cursor":"c"}"#))
    };
    let driven = drive(&mut delete, send, || HOUR, |_| panic!("there is nothing to wait for"), &mut Once);
    assert_eq!((sent, &driven), (1, &Driven::Stopped));
    let outcome = driven.into_outcome(&delete);
    assert_eq!((outcome.halted, outcome.totals.affected), (Some(Halt::Stopped), 2));
}

/// An archived delete waits for its caller, who gets control back.
#[test]
fn the_loop_gives_a_batch_back_to_its_caller() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    let send = |_| Ok::<_, TransportFailure>(Response::new(r#"{"messages":[{"dlqId":"a-0"}]}"#));
    let driven = drive(&mut archived, send, || HOUR, |_| panic!("there is nothing to wait for"), &mut ());
    assert_eq!((driven, archived.totals().requests), (Driven::Stopped, 1));
    assert_eq!(archived.stored(0), Ok(()));
}

/// The loop with futures does the same.
#[tokio::test]
async fn the_loop_with_futures_ends_where_the_other_does() {
    let waits = |_| -> std::future::Ready<()> { panic!("there is nothing to wait for") };
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let page = async |_| Ok::<_, TransportFailure>(Response::new(r#"{"deleted":2,"cursor":"c"}"#));
    let driven = drive_async(&mut delete, page, || HOUR, waits, &mut Once).await;
    assert_eq!((&driven, delete.totals().requests), (&Driven::Stopped, 1), "its observer broke");
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    let page = async |_| Ok::<_, TransportFailure>(Response::new(r#"{"messages":[{"dlqId":"a-0"}]}"#));
    let driven = drive_async(&mut archived, page, || HOUR, waits, &mut ()).await;
    assert_eq!((driven, archived.totals().requests), (Driven::Stopped, 1), "it waits for its caller");
    assert_eq!(archived.stored(0), Ok(()));
}

/// A request has one response. Whoever reports another has lost track, so the loop ends, and nothing is counted twice.
#[test]
fn a_response_that_is_reported_twice_ends_the_loop() {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).build();
    let NextStep::Send(id, _) = next_step(&mut delete, HOUR, &mut ()) else { panic!() };
    let page = || Ok::<_, Delivery>(Response::new(r#"{"deleted":2,"cursor":"c"}"#));
    assert!(report(&mut delete, id, page(), &mut ()).is_continue());
    let totals = delete.totals();
    assert!(report(&mut delete, id, page(), &mut ()).is_break());
    assert!(report(&mut delete, id, Err::<Response<&str>, _>(Delivery::Unknown), &mut ()).is_break());
    assert_eq!((delete.totals(), totals.affected), (totals, 2));
}
