//! A world for the machine to act in: the emulator's model of the service, a network that fails on a plan, and a process
//! that crashes on one. What should be gone is worked out here, by a naive filter that shares no code with either.

pub(crate) mod cases;
pub(crate) mod scenario;

use scenario::{Chaos, Scenario};

use http::{Request, Response};
use std::collections::BTreeSet;
use std::time::Duration;
use upstash_dlq_core::{Bulk, BulkDelete, Checkpoint, Delivery, Event, OutOfTurn, Outcome, Step};
use upstash_dlq_emulator::{Config, CursorKind, Service, Wire, sample};

pub(crate) const NEWEST: i64 = 1_752_829_295_505;
const TOKEN: &str = "token";

/// What came of a scenario.
pub(crate) struct Report {
    /// `None` when it did not come to an end within the bound.
    pub(crate) outcome: Option<Outcome>,
    /// The ids that the independent filter picks.
    pub(crate) matching: BTreeSet<String>,
    /// The ids that are no longer there.
    pub(crate) gone: BTreeSet<String>,
    /// Requests that reached the server or, for all that the client can know, may have.
    pub(crate) may_have_arrived: u64,
    /// Requests that the service really saw.
    pub(crate) arrived: u64,
    /// Every request's pairs but the token's.
    pub(crate) sent: Vec<Vec<(String, String)>>,
    /// What was reported deleted, plus what unconfirmed requests asked for, plus what the next one asks for: the most of it.
    pub(crate) most_asked_for: u64,
    /// Every step, in words.
    pub(crate) trace: Vec<String>,
}

/// Looks at the machine before each poll.
pub(crate) trait Check {
    fn check(&mut self, machine: &Bulk, delete: &BulkDelete, in_flight: bool);
}

impl<F: FnMut(&Bulk, &BulkDelete, bool)> Check for F {
    fn check(&mut self, machine: &Bulk, delete: &BulkDelete, in_flight: bool) {
        self(machine, delete, in_flight);
    }
}

pub(crate) fn run(scenario: &Scenario) -> Report {
    run_checked(scenario, &mut |_: &Bulk, _: &BulkDelete, _: bool| ())
}

struct World {
    service: Service,
    now: i64,
    may_have_arrived: u64,
    /// What unconfirmed requests asked for.
    charged: u64,
}

enum Reply {
    Answer(Response<Vec<u8>>),
    Nothing,
}

impl World {
    fn deliver(&mut self, request: &Request<()>) -> Reply {
        self.may_have_arrived += 1;
        let mut arriving = Request::new(Vec::new());
        *arriving.method_mut() = request.method().clone();
        *arriving.uri_mut() = request.uri().clone();
        *arriving.headers_mut() = request.headers().clone();
        let mut response = self.service.handle(self.now, arriving);
        match response.extensions().get::<Wire>() {
            Some(Wire::CloseBeforeAnswer { .. } | Wire::Endless | Wire::Silent) => Reply::Nothing,
            Some(Wire::CutBody) => {
                let half = response.body().len() / 2;
                response.body_mut().truncate(half);
                Reply::Answer(response)
            }
            Some(Wire::Delay(_)) | None => Reply::Answer(response),
        }
    }
}

pub(crate) fn pairs_of(request: &Request<()>) -> Vec<(String, String)> {
    serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap()
}

fn count_of(request: &Request<()>) -> u64 {
    pairs_of(request).iter().find(|(name, _)| name == "count").map_or(0, |(_, count)| count.parse().unwrap())
}

/// As a later process would do it: through the file.
pub(crate) fn resume(machine: &Bulk, delete: &BulkDelete) -> Bulk {
    let file = machine.checkpoint().to_json();
    delete.clone().restore(Checkpoint::from_json(file.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn run_checked(scenario: &Scenario, check: &mut impl Check) -> Report {
    let mut service = Service::new(Config {
        token: TOKEN.into(),
        cursors: if scenario.offset_cursors { CursorKind::Offset } else { CursorKind::Key },
        faults: scenario.faults(),
        // No order is promised, and a cursor may be good for nothing but its own query.
        newest_first: scenario.seed % 2 == 0,
        bound_cursors: scenario.seed % 3 == 0,
        ..Config::default()
    });
    let runs = sample::runs(scenario.runs, scenario.seed, NEWEST);
    let before: BTreeSet<String> = runs.iter().map(|run| run.dlq_id.clone()).collect();
    let matching = runs.iter().filter(|run| scenario.target.wants(run)).map(|run| run.dlq_id.clone()).collect();
    runs.into_iter().for_each(|run| service.insert(run));

    let delete = scenario.delete(TOKEN);
    let mut machine = delete.clone().build();
    let mut world = World { service, now: NEWEST, may_have_arrived: 0, charged: 0 };
    let mut report = Report {
        outcome: None,
        matching,
        gone: BTreeSet::new(),
        may_have_arrived: 0,
        arrived: 0,
        sent: Vec::new(),
        most_asked_for: 0,
        trace: Vec::new(),
    };
    let mut chaos = scenario.chaos.iter().copied();
    let mut crash_while_waiting = false;
    for _ in 0..200_000 {
        check.check(&machine, &delete, false);
        let unconfirmed = machine.totals().unconfirmed;
        let step = machine.poll();
        report.trace.push(format!("{step:?}"));
        let request = match step {
            Step::Done(outcome) => {
                report.outcome = Some(outcome);
                break;
            }
            Step::Wait(wait) => {
                world.now += i64::try_from(wait.as_millis()).unwrap();
                if std::mem::take(&mut crash_while_waiting) {
                    machine = resume(&machine, &delete);
                }
                continue;
            }
            Step::Send(request) => request,
        };
        check.check(&machine, &delete, true);
        let asked = count_of(&request);
        report.most_asked_for = report.most_asked_for.max(machine.totals().runs + world.charged + asked);
        let what = chaos.next().unwrap_or(Chaos::Deliver);
        if what != Chaos::Withdraw {
            report.sent.push(pairs_of(&request));
        }
        assert_eq!(machine.totals().unconfirmed, unconfirmed + 1, "what is in flight is not counted");
        act(what, &mut machine, &delete, &mut world, &request);
        crash_while_waiting |= what == Chaos::CrashWaiting;
        let unconfirmed_now = machine.totals().unconfirmed - unconfirmed;
        assert!(unconfirmed_now <= 1);
        world.charged += unconfirmed_now * asked;
    }
    report.gone = before.into_iter().filter(|id| !world.service.contains(id)).collect();
    report.may_have_arrived = world.may_have_arrived;
    report.arrived = world.service.requests_total();
    report
}

fn act(what: Chaos, machine: &mut Bulk, delete: &BulkDelete, world: &mut World, request: &Request<()>) {
    // A second poll while a request is out stands for a future that was dropped. It may hand out the next request at once,
    // or end: a clone is polled, and what it did is told with the same words to the machine itself.
    let dropped = |machine: &mut Bulk| {
        let mut twin = machine.clone();
        let twin_step = format!("{:?}", twin.poll());
        machine.on_failure(Delivery::Unknown).unwrap();
        let step = format!("{:?}", machine.clone().poll());
        assert_eq!(twin_step, step, "a second poll is not the same as an unknown answer");
        assert_eq!(twin.totals(), machine.totals());
    };
    match what {
        Chaos::NotSent => {
            machine.on_failure(Delivery::NotSent).unwrap();
        }
        Chaos::Withdraw => machine.withdraw().unwrap(),
        Chaos::DropBefore => {
            world.may_have_arrived += 1;
            dropped(machine);
        }
        Chaos::DropAfter => {
            world.deliver(request);
            dropped(machine);
        }
        Chaos::CrashBefore => {
            world.may_have_arrived += 1;
            *machine = resume(machine, delete);
        }
        Chaos::CrashAfter => {
            world.deliver(request);
            *machine = resume(machine, delete);
        }
        Chaos::Deliver | Chaos::CrashAnswered | Chaos::CrashWaiting => {
            match world.deliver(request) {
                Reply::Answer(response) => drop(machine.on_response(&response).unwrap()),
                Reply::Nothing => drop(machine.on_failure(Delivery::Unknown).unwrap()),
            }
            if what == Chaos::CrashAnswered && !is_done(machine) {
                *machine = resume(machine, delete);
            }
        }
    }
}

/// Polling a clone is the only way to know from outside.
pub(crate) fn is_done(machine: &Bulk) -> bool {
    matches!(machine.clone().poll(), Step::Done(_))
}

/// The next request, waits passed over.
pub(crate) fn next_request(machine: &mut Bulk) -> Result<String, Outcome> {
    loop {
        match machine.poll() {
            Step::Send(request) => {
                return Ok(format!("{} {} {:?}", request.method(), request.uri(), request.headers()));
            }
            Step::Wait(_) => {}
            Step::Done(outcome) => return Err(outcome),
        }
    }
}

/// An answer in the fewest words.
pub(crate) fn answer(status: u16, body: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(body.as_bytes().to_vec());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    response
}

/// Polls, expects a request, gives the answer, and returns the request's query.
pub(crate) fn exchange(machine: &mut Bulk, status: u16, body: &str) -> String {
    let Step::Send(request) = machine.poll() else { panic!("a request was expected") };
    machine.on_response(&answer(status, body)).unwrap();
    request.uri().query().unwrap_or_default().to_owned()
}

pub(crate) fn wait(machine: &mut Bulk) -> Duration {
    match machine.poll() {
        Step::Wait(wait) => wait,
        other => panic!("a wait was expected, not {other:?}"),
    }
}

pub(crate) fn end(machine: &mut Bulk) -> Outcome {
    match machine.poll() {
        Step::Done(outcome) => outcome,
        other => panic!("the end was expected, not {other:?}"),
    }
}

/// That nothing is in flight: whatever is told is out of turn and leaves no trace.
pub(crate) fn nothing_can_be_told(machine: &Bulk) {
    let mut told = machine.clone();
    let before = format!("{told:?}");
    let is_error = |result: Result<Event<_>, OutOfTurn>| result == Err(OutOfTurn);
    assert!(is_error(told.on_response(&answer(200, "{\"deleted\":5,\"cursor\":\"x\"}"))));
    assert!(is_error(told.on_response(&answer(401, ""))));
    assert!(is_error(told.on_failure(Delivery::Unknown)));
    assert!(is_error(told.on_failure(Delivery::NotSent)));
    assert_eq!(told.withdraw(), Err(OutOfTurn));
    assert_eq!(format!("{told:?}"), before);
}
