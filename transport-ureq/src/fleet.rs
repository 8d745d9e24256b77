//! A thread for each lane.

use crate::Client;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};
use upstash_dlq_core::{Driven, FleetObserver, FleetStep, Lanes, OutOfTurn};

/// How long a thread waits at most before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

struct Shared<'a, L: Lanes, O> {
    client: &'a Client,
    start: Instant,
    state: Mutex<State<'a, L, O>>,
    changed: Condvar,
}

struct State<'a, L: Lanes, O> {
    fleet: &'a mut L,
    observer: &'a mut O,
    threads: usize,
    stopped: bool,
    outcome: Option<L::Outcome>,
}

pub(crate) fn run<L, O>(client: &Client, fleet: &mut L, observer: &mut O) -> Driven<L::Outcome>
where
    L: Lanes<Outcome: Send> + Send,
    O: FleetObserver<L> + Send,
{
    fleet.abandon();
    let state = State { fleet, observer, threads: 1, stopped: false, outcome: None };
    let shared = Shared { client, start: Instant::now(), state: Mutex::new(state), changed: Condvar::new() };
    // The first lane runs in the caller's thread: a delete of one page starts no other.
    std::thread::scope(|scope| work(scope, &shared));
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.outcome.map_or(Driven::Stopped, Driven::Done)
}

fn work<'scope, L, O>(scope: &'scope Scope<'scope, '_>, shared: &'scope Shared<'_, L, O>)
where
    L: Lanes<Outcome: Send> + Send,
    O: FleetObserver<L> + Send,
{
    let lock = || -> MutexGuard<'_, _> { shared.state.lock().unwrap_or_else(PoisonError::into_inner) };
    let mut state = lock();
    while !state.stopped && state.outcome.is_none() {
        let now = shared.start.elapsed();
        let State { fleet, observer, .. } = &mut *state;
        match fleet.poll(now) {
            FleetStep::Done(outcome) => {
                state.outcome = Some(outcome);
                shared.changed.notify_all();
            }
            FleetStep::Send(lane, request) => {
                if observer.before_send(fleet).is_break() {
                    // Cannot be out of turn: poll has just handed the request out.
                    let _ = fleet.withdraw(lane);
                    state.stopped = true;
                    shared.changed.notify_all();
                    break;
                }
                drop(state);
                let answer = shared.client.send(request);
                state = lock();
                let State { fleet, observer, .. } = &mut *state;
                let event = match answer {
                    Ok(response) => fleet.on_response(lane, &response),
                    Err(failure) => fleet.on_failure(lane, failure),
                };
                let stop = match event {
                    Ok(event) => observer.after(fleet, &event).is_break(),
                    // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
                    Err(OutOfTurn) => true,
                };
                state.stopped |= stop;
                while state.threads < state.fleet.lanes().min(state.fleet.limit()) {
                    state.threads += 1;
                    scope.spawn(move || work(scope, shared));
                }
                shared.changed.notify_all();
            }
            FleetStep::WaitUntil(until) => state = wait(shared, state, until.saturating_sub(now).min(SLICE)),
            FleetStep::Idle => state = wait(shared, state, SLICE),
        }
    }
}

fn wait<'a, 'b, L: Lanes, O: FleetObserver<L>>(
    shared: &'a Shared<'b, L, O>,
    state: MutexGuard<'a, State<'b, L, O>>,
    timeout: Duration,
) -> MutexGuard<'a, State<'b, L, O>> {
    let (mut state, _) = shared.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
    if state.observer.waiting().is_break() {
        state.stopped = true;
        shared.changed.notify_all();
    }
    state
}
