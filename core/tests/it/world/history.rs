//! A delete's whole history in one lane: a network that fails on a plan, and a process that crashes on one.

use super::scenario::{Chaos, Scenario};
use super::{NOW, TOKEN, World};
use crate::one_lane::{One, OneDelete, OneStep, resume};
use http::{Request, Response};
use std::collections::BTreeSet;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{Delivery, Outcome};
use upstash_dlq_emulator::{Config, CursorKind, Service, sample};

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

/// Looks at the operation before each poll.
pub(crate) trait Check {
    fn check(&mut self, operation: &OneDelete, delete: &BulkBuilder<Delete>, in_flight: bool);
}

impl<F: FnMut(&OneDelete, &BulkBuilder<Delete>, bool)> Check for F {
    fn check(&mut self, operation: &OneDelete, delete: &BulkBuilder<Delete>, in_flight: bool) {
        self(operation, delete, in_flight);
    }
}

pub(crate) fn run(scenario: &Scenario) -> Report {
    run_checked(scenario, &mut |_: &OneDelete, _: &BulkBuilder<Delete>, _: bool| ())
}

pub(crate) fn pairs_of(request: &Request<()>) -> Vec<(String, String)> {
    serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap()
}

fn count_of(request: &Request<()>) -> u64 {
    pairs_of(request).iter().find(|(name, _)| name == "count").map_or(0, |(_, count)| count.parse().unwrap())
}

/// The world, and what the client has to assume of it.
struct Past {
    world: World,
    may_have_arrived: u64,
    /// What unconfirmed requests asked for.
    charged: u64,
}

impl Past {
    fn deliver(&mut self, request: &Request<()>) -> Option<Response<Vec<u8>>> {
        self.may_have_arrived += 1;
        self.world.serve(request)
    }
}

pub(crate) fn run_checked(scenario: &Scenario, check: &mut impl Check) -> Report {
    let mut service = Service::new(
        Config::default()
            .token(TOKEN)
            .cursors(if scenario.offset_cursors { CursorKind::Offset } else { CursorKind::Key })
            .faults(scenario.faults())
            .newest_first(scenario.seed % 2 == 0)
            .bound_cursors(scenario.seed % 3 == 0),
    );
    let runs = sample::runs(scenario.runs, scenario.seed, NOW);
    let before: BTreeSet<String> = runs.iter().map(|run| run.dlq_id.clone()).collect();
    let matching = runs.iter().filter(|run| scenario.target.wants(run)).map(|run| run.dlq_id.clone()).collect();
    runs.into_iter().for_each(|run| service.insert(run));

    let delete = scenario.delete(TOKEN);
    let mut operation = delete.clone().one();
    let mut past = Past { world: World::new(service, scenario.seed), may_have_arrived: 0, charged: 0 };
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
        check.check(&operation, &delete, false);
        let unconfirmed = operation.totals().unconfirmed;
        let step = operation.poll();
        report.trace.push(format!("{step:?}"));
        let request = match step {
            OneStep::Done(outcome) => {
                report.outcome = Some(outcome);
                break;
            }
            OneStep::Wait(wait) => {
                past.world.clock += wait;
                if std::mem::take(&mut crash_while_waiting) {
                    operation = resume(&operation, &delete);
                }
                continue;
            }
            OneStep::Send(request) => request,
        };
        check.check(&operation, &delete, true);
        let asked = count_of(&request);
        report.most_asked_for = report.most_asked_for.max(operation.totals().affected + past.charged + asked);
        let what = chaos.next().unwrap_or(Chaos::Deliver);
        if what != Chaos::CancelUnsent {
            report.sent.push(pairs_of(&request));
        }
        assert_eq!(operation.totals().unconfirmed, unconfirmed + 1, "what is in flight is not counted");
        act(what, &mut operation, &delete, &mut past, &request);
        crash_while_waiting |= what == Chaos::CrashWaiting;
        let unconfirmed_now = operation.totals().unconfirmed - unconfirmed;
        assert!(unconfirmed_now <= 1);
        past.charged += unconfirmed_now * asked;
    }
    report.gone = before.into_iter().filter(|id| !past.world.service.contains(id)).collect();
    report.may_have_arrived = past.may_have_arrived;
    report.arrived = past.world.service.requests_total();
    report
}

fn act(what: Chaos, operation: &mut OneDelete, delete: &BulkBuilder<Delete>, past: &mut Past, request: &Request<()>) {
    // A second poll while a request is out stands for a future that was dropped. It may hand out the next request at once,
    // or end: a clone is polled, and the operation itself gets the same calls.
    let dropped = |operation: &mut OneDelete| {
        let mut twin = operation.clone();
        let twin_step = format!("{:?}", twin.poll());
        operation.on_failure(Delivery::Unknown).unwrap();
        let step = format!("{:?}", operation.clone().poll());
        assert_eq!(twin_step, step, "a second poll is not the same as an unknown result");
        assert_eq!(twin.totals(), operation.totals());
    };
    match what {
        Chaos::NotSent => {
            operation.on_failure(Delivery::NotSent).unwrap();
        }
        Chaos::CancelUnsent => operation.cancel_unsent().unwrap(),
        Chaos::DropBefore => {
            past.may_have_arrived += 1;
            dropped(operation);
        }
        Chaos::DropAfter => {
            past.deliver(request);
            dropped(operation);
        }
        Chaos::CrashBefore => {
            past.may_have_arrived += 1;
            *operation = resume(operation, delete);
        }
        Chaos::CrashAfter => {
            past.deliver(request);
            *operation = resume(operation, delete);
        }
        Chaos::Deliver | Chaos::CrashAfterResponse | Chaos::CrashWaiting => {
            match past.deliver(request) {
                Some(response) => drop(operation.on_response(&response).unwrap()),
                None => drop(operation.on_failure(Delivery::Unknown).unwrap()),
            }
            if what == Chaos::CrashAfterResponse && !is_done(operation) {
                *operation = resume(operation, delete);
            }
        }
    }
}

/// Polling a clone is the only way to know from outside.
fn is_done(operation: &OneDelete) -> bool {
    matches!(operation.clone().poll(), OneStep::Done(_))
}
