//! The scheduler's own rules, with a plan and jobs that also do what no real one does: whatever they say, the operation goes on or
//! ends, and says why.

use super::*;
use crate::engine::failure::{Cause, Delivery};
use crate::engine::job::Next;
use crate::engine::operation::{Event, InvalidState};
use crate::engine::retry::RetryPolicy;
use crate::engine::scheduler::continuation::LeftBehind;
use crate::engine::settlement::Settlement;
use crate::model::endpoint::{Endpoint, Token};
use crate::wire::error::ResponseError;
use core::num::{NonZeroU32, NonZeroUsize};
use http::{Method, Request, Response};

/// Asks for one page at this path.
#[derive(Clone, Debug)]
struct OnePage {
    path: &'static str,
    repeat: Repeat,
}

impl Job for OnePage {
    type Page = ();

    fn asks(&self, allowance: Option<u64>) -> u64 {
        allowance.unwrap_or(10).min(10)
    }

    fn request(&self, endpoint: &Endpoint, _asked: u64) -> Result<Request<()>, http::Error> {
        endpoint.request(Method::GET, self.path.into(), 0)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<(), ResponseError> {
        ResponseError::from_response(response).map_or(Ok(()), Err)
    }

    fn on_page(&mut self, _page: &()) -> Next {
        Next::Finished
    }

    fn repeat(&self) -> Repeat {
        self.repeat
    }

    fn affected(_page: &()) -> u64 {
        10
    }
}

#[derive(Default)]
struct Given {
    jobs: VecDeque<Result<OnePage, Halt>>,
    /// The jobs of the next pass.
    later: VecDeque<Result<OnePage, Halt>>,
    drained: VecDeque<Drained>,
    budget: Option<u64>,
}

impl Given {
    fn charge(&mut self, runs: u64) {
        self.budget = self.budget.map(|left| left.saturating_sub(runs));
    }
}

impl Plan for Given {
    type Job = OnePage;
    type Page = ();
    type Outcome = Option<Halt>;

    fn next(&mut self) -> Result<Option<OnePage>, Halt> {
        self.jobs.pop_front().transpose()
    }

    fn queued(&self) -> usize {
        self.jobs.len()
    }

    fn budget(&self) -> Option<u64> {
        self.budget
    }

    fn on_page(&mut self, _job: &mut OnePage, _page: (), _next: &mut Next) {
        self.charge(10);
    }

    fn on_unknown(&mut self, asked: u64, _cause: &Cause) {
        self.charge(asked);
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        let drained = self.drained.pop_front().unwrap_or(Drained::Done);
        if drained == Drained::Again {
            self.jobs.append(&mut self.later);
        }
        drained
    }

    fn outcome(&self, _totals: Totals, halted: Option<Halt>) -> Option<Halt> {
        halted
    }
}

fn page(path: &'static str) -> Result<OnePage, Halt> {
    Ok(OnePage { path, repeat: Repeat::Harmless })
}

/// On as many lanes as there are jobs.
fn scheduler<const N: usize>(jobs: [Result<OnePage, Halt>; N], drained: &[Drained]) -> Scheduler<Given> {
    let endpoint = Endpoint::new("https://h", Token::new("t").unwrap()).unwrap();
    let plan = Given { jobs: jobs.into(), drained: drained.iter().cloned().collect(), ..Given::default() };
    Scheduler::new(Settings { lanes: NonZeroUsize::MAX, ..Settings::new(endpoint) }, plan)
}

fn sent(scheduler: &mut Scheduler<Given>) -> RequestId {
    match scheduler.poll(Duration::ZERO) {
        Step::Send(id, _) => id,
        other => panic!("a request was expected, not {other:?}"),
    }
}

fn halt(scheduler: &mut Scheduler<Given>) -> Option<Halt> {
    match scheduler.poll(Duration::ZERO) {
        Step::Done(halt) => halt,
        other => panic!("the end was expected, not {other:?}"),
    }
}

fn respond(scheduler: &mut Scheduler<Given>, id: RequestId, status: u16) -> Event<()> {
    scheduler.on_response(id, &Response::builder().status(status).body(&b""[..]).unwrap()).unwrap()
}

/// What is in flight is waited for, and what comes after is not sent.
#[test]
fn a_request_that_cannot_be_built_is_the_last() {
    let mut scheduler = scheduler([page("/a"), page("/b c"), page("/d")], &[]);
    let id = sent(&mut scheduler);
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse));
    assert_eq!(respond(&mut scheduler, id, 200), Event::Page(()));
    let halt = halt(&mut scheduler).unwrap();
    assert_eq!(halt.to_string(), "the request could not be built: invalid uri character");
    assert_eq!((scheduler.totals().requests, scheduler.halted()), (1, Some(&halt)));
}

#[test]
fn a_job_that_cannot_be_made_is_the_last() {
    let no_job = Halt::Unbuildable("no window".into());
    let mut scheduler = scheduler([page("/a"), Err(no_job.clone())], &[]);
    assert_eq!(halt(&mut scheduler), Some(no_job));
    assert_eq!(scheduler.totals().requests, 0);
}

/// Otherwise it would ask for ever.
#[test]
fn a_pass_without_a_request_is_the_last() {
    let mut scheduler = scheduler([], &[Drained::AgainAfter(Duration::from_secs(5)), Drained::Again]);
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::WaitUntil(at) if at == Duration::from_secs(5)));
    let Step::Done(halt) = scheduler.poll(Duration::from_secs(5)) else { panic!() };
    assert_eq!(halt, Some(Halt::Unbuildable("a pass has no request".into())));
}

/// The plan says what follows, each time that nothing is left to send.
#[test]
fn the_plan_ends_the_operation() {
    let after = [Drained::Blocked, Drained::Again, Drained::Halt(Halt::NoProgress)];
    let mut scheduler = scheduler([page("/a")], &after);
    scheduler.plan.later.extend([page("/b"), page("/c")]);
    let id = sent(&mut scheduler);
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse));
    respond(&mut scheduler, id, 200);
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse), "it waits for its caller");
    assert_eq!(scheduler.in_flight(), 0);
    for id in [sent(&mut scheduler), sent(&mut scheduler)] {
        respond(&mut scheduler, id, 200);
    }
    assert_eq!(halt(&mut scheduler), Some(Halt::NoProgress));
    scheduler.plan.jobs.push_back(page("/d"));
    assert_eq!(halt(&mut scheduler), Some(Halt::NoProgress), "the end is the end");
}

/// The last attempt that fails halts the operation. What is in flight is waited for.
#[test]
fn attempts_come_to_an_end() {
    let mut scheduler = scheduler([page("/a"), page("/b"), page("/c")], &[]);
    scheduler.settings.policy = RetryPolicy::new().max_attempts(NonZeroU32::MIN);
    let (first, second) = (sent(&mut scheduler), sent(&mut scheduler));
    assert_eq!(scheduler.on_failure(first, Delivery::NotSent.into()), Ok(Event::Ended));
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse), "the third request is not sent");
    assert_eq!(respond(&mut scheduler, second, 200), Event::Page(()));
    let Some(Halt::GaveUp { attempts: 1, may_have_changed: false, .. }) = halt(&mut scheduler) else { panic!() };
    assert_eq!((scheduler.totals().requests, scheduler.totals().pages), (1, 1), "what was not sent does not count");
}

/// A later process learns what an earlier one has left. What may have started runs is settled first. All else is sent again.
#[test]
fn what_an_earlier_process_has_left_is_counted() {
    for (repeat, left, (requests, unconfirmed, retries)) in [
        (Repeat::Harmless, LeftBehind::Nothing, (0, 0, 0)),
        (Repeat::Harmless, LeftBehind::InFlight(7), (1, 1, 1)),
        (Repeat::Harmless, LeftBehind::InDoubt(7), (0, 0, 1)),
        (Repeat::InDoubt, LeftBehind::Nothing, (0, 0, 0)),
        (Repeat::InDoubt, LeftBehind::InFlight(7), (1, 1, 0)),
        (Repeat::InDoubt, LeftBehind::InDoubt(7), (0, 0, 0)),
    ] {
        let mut scheduler = scheduler([], &[]);
        scheduler.resume_lane(OnePage { path: "/a", repeat }, left, false);
        let totals = scheduler.totals();
        assert_eq!((totals.requests, totals.unconfirmed, totals.retries), (requests, unconfirmed, retries), "{left:?}");
        if repeat == Repeat::InDoubt && left != LeftBehind::Nothing {
            let Some(Halt::InDoubt { asked: 7, .. }) = halt(&mut scheduler) else { panic!("{left:?} is not in doubt") };
            scheduler.settle(Settlement::NotApplied).unwrap();
            assert_eq!((scheduler.totals().unconfirmed, scheduler.totals().retries), (0, 1));
        }
        assert_eq!(scheduler.settle(Settlement::NotApplied), Err(InvalidState), "{left:?}");
        sent(&mut scheduler);
    }
    // It may have used up the maximum. Then it is not sent again.
    let mut scheduler = scheduler([], &[]);
    scheduler.plan.budget = Some(7);
    scheduler.resume_lane(OnePage { path: "/a", repeat: Repeat::Harmless }, LeftBehind::InFlight(7), false);
    assert_eq!((halt(&mut scheduler), scheduler.totals().requests, scheduler.totals().retries), (None, 1, 0));
}

/// Requests in flight may use up the maximum, or leave some of it.
#[test]
fn no_more_is_asked_for_than_is_left() {
    let mut scheduler = scheduler([page("/a"), page("/b"), page("/c")], &[]);
    scheduler.plan.budget = Some(15);
    let (first, second) = (sent(&mut scheduler), sent(&mut scheduler));
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse), "all of it is asked for");
    scheduler.cancel_unsent(second).unwrap();
    assert_eq!(scheduler.cancel_unsent(second), Err(InvalidState));
    let second = sent(&mut scheduler);
    respond(&mut scheduler, first, 200);
    assert!(matches!(scheduler.poll(Duration::ZERO), Step::AwaitResponse));
    respond(&mut scheduler, second, 200);
    assert_eq!((halt(&mut scheduler), scheduler.totals().requests), (None, 2));
}

/// What may have been carried out is charged. If nothing is left then, it is not repeated.
#[test]
fn what_is_unknown_is_charged() {
    for (budget, repeats) in [(Some(10), false), (Some(11), true), (None, true)] {
        let mut scheduler = scheduler([page("/a")], &[]);
        scheduler.plan.budget = budget;
        let id = sent(&mut scheduler);
        let event = scheduler.on_failure(id, Delivery::Unknown.into()).unwrap();
        assert_eq!(matches!(event, Event::Retry(_)), repeats, "{event:?}");
        assert_eq!((scheduler.totals().unconfirmed, scheduler.totals().retries), (1, u64::from(repeats)));
        assert_eq!(matches!(scheduler.poll(Duration::ZERO), Step::WaitUntil(_)), repeats);
    }
}

/// Who may repeat a request whose result is unknown, and what counts as unconfirmed, the job says.
#[test]
fn a_job_says_whether_its_request_is_repeated() {
    for (repeat, unconfirmed, repeats) in
        [(Repeat::Reads, 0, true), (Repeat::Harmless, 1, true), (Repeat::InDoubt, 1, false)]
    {
        for failed_by in [500, 502, 0] {
            let mut scheduler = scheduler([Ok(OnePage { path: "/a", repeat })], &[]);
            let id = sent(&mut scheduler);
            let event = match failed_by {
                0 => scheduler.on_failure(id, Delivery::Unknown.into()).unwrap(),
                status => respond(&mut scheduler, id, status),
            };
            assert_eq!(matches!(event, Event::Retry(_)), repeats, "{event:?}");
            assert_eq!(scheduler.totals().unconfirmed, unconfirmed);
            assert_eq!(matches!(scheduler.halted(), Some(Halt::InDoubt { asked: 10, .. })), !repeats);
        }
    }
}

/// A 429 was not carried out, whatever the job is. All lanes wait, and the request goes first afterwards.
#[test]
fn a_request_that_was_not_carried_out_is_repeated() {
    for repeat in [Repeat::Reads, Repeat::Harmless, Repeat::InDoubt] {
        for status in [429, 0] {
            let mut scheduler = scheduler([Ok(OnePage { path: "/a", repeat })], &[]);
            let id = sent(&mut scheduler);
            let event = match status {
                0 => scheduler.on_failure(id, Delivery::NotSent.into()).unwrap(),
                status => respond(&mut scheduler, id, status),
            };
            assert!(matches!(event, Event::Retry(_)), "{event:?}");
            assert_eq!((scheduler.totals().unconfirmed, scheduler.halted()), (0, None));
            let Step::WaitUntil(at) = scheduler.poll(Duration::ZERO) else { panic!() };
            assert!(matches!(scheduler.poll(at), Step::Send(again, _) if again.lane() == id.lane()));
        }
    }
}
