//! A thread for each lane.
//!
//! Whoever has nothing to send rests. One thread at most *watches*: it waits until something may be sent, and asks the
//! observer meanwhile. The others wait to be called. A thread that is about to send calls one other, which polls, sends and
//! calls the next, or finds nothing and watches. So a response wakes as many threads as have something to do, and one more.

use crate::Client;
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};
use upstash_dlq_core::{Driven, FleetObserver, FleetStep, Lanes, OutOfTurn};

/// How long a thread waits at most before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// How long no thread is asked for after the system refused one.
const NO_THREADS: Duration = Duration::from_secs(1);

struct Shared<'a, L: Lanes, O> {
    client: &'a Client,
    start: Instant,
    state: Mutex<State<'a, L, O>>,
    /// Where one thread watches.
    watch: Condvar,
    /// Where the others wait to be called.
    bench: Condvar,
    #[cfg(feature = "tracing")]
    context: crate::trace::Context,
}

struct State<'a, L: Lanes, O> {
    fleet: &'a mut L,
    observer: &'a mut O,
    threads: usize,
    /// How many wait to be called.
    benched: usize,
    /// How long the one that watches waits; `None` while nobody watches.
    watched_until: Option<Duration>,
    no_thread_before: Duration,
    stopped: bool,
    /// Whether the observer or the fleet has panicked: neither may be what it should be.
    broken: bool,
    outcome: Option<L::Outcome>,
    /// The first panic.
    panic: Option<Box<dyn Any + Send>>,
}

type Guard<'g, 'a, L, O> = MutexGuard<'g, State<'a, L, O>>;

pub(crate) fn run<L, O>(client: &Client, fleet: &mut L, observer: &mut O) -> Driven<L::Outcome>
where
    L: Lanes<Outcome: Send> + Send,
    O: FleetObserver<L> + Send,
{
    fleet.abandon();
    let state = State {
        fleet,
        observer,
        threads: 1,
        benched: 0,
        watched_until: None,
        no_thread_before: Duration::ZERO,
        stopped: false,
        broken: false,
        outcome: None,
        panic: None,
    };
    let shared = Shared {
        client,
        start: Instant::now(),
        state: Mutex::new(state),
        watch: Condvar::new(),
        bench: Condvar::new(),
        #[cfg(feature = "tracing")]
        context: crate::trace::Context::current(),
    };
    // The first lane runs in the caller's thread: a delete of one page starts no other.
    std::thread::scope(|scope| shared.work(scope));
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(panic) = state.panic {
        resume_unwind(panic);
    }
    state.outcome.map_or(Driven::Stopped, Driven::Done)
}

impl<'a, L, O> Shared<'a, L, O>
where
    L: Lanes<Outcome: Send> + Send,
    O: FleetObserver<L> + Send,
{
    /// A panic ends here: it is kept for the caller, and the other threads learn of it.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.drive(scope))) {
            let mut state = self.lock();
            state.panic.get_or_insert(panic);
            self.stop(&mut state);
        }
    }

    fn drive<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut state = self.lock();
        while !state.has_ended() {
            let now = self.start.elapsed();
            let (lane, request) = match state.fleet.poll(now) {
                FleetStep::Done(outcome) => {
                    state.outcome = Some(outcome);
                    self.stop(&mut state);
                    return;
                }
                FleetStep::WaitUntil(until) => {
                    state = self.rest(state, now, until);
                    continue;
                }
                FleetStep::Idle => {
                    state = self.rest(state, now, Duration::MAX);
                    continue;
                }
                FleetStep::Send(lane, request) => (lane, request),
            };
            let State { fleet, observer, .. } = &mut *state;
            let verdict = catch_unwind(AssertUnwindSafe(|| observer.before_send(fleet)));
            if !matches!(verdict, Ok(ControlFlow::Continue(()))) {
                // Cannot be out of turn: poll has just handed the request out.
                let _ = state.fleet.withdraw(lane);
                self.stop(&mut state);
                if let Err(panic) = verdict {
                    resume_unwind(panic);
                }
                return;
            }
            self.call_another(scope, &mut state, now);
            drop(state);
            let answer = self.client.send(request);
            state = self.lock();
            let State { fleet, observer, broken, .. } = &mut *state;
            let event = match answer {
                Ok(response) => fleet.on_response(lane, &response),
                Err(failure) => fleet.on_failure(lane, failure),
            };
            let stop = match event {
                Ok(event) => !*broken && observer.after(fleet, &event).is_break(),
                // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
                Err(OutOfTurn) => true,
            };
            if stop {
                self.stop(&mut state);
            }
        }
    }

    /// Somebody else looks whether there is more to send.
    fn call_another<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        state: &mut State<'a, L, O>,
        now: Duration,
    ) {
        if state.watched_until.is_some() {
            self.watch.notify_one();
        } else if state.benched > 0 {
            self.bench.notify_one();
        } else if state.threads < state.fleet.lanes().min(state.fleet.limit()) && now >= state.no_thread_before {
            let work = move || {
                #[cfg(feature = "tracing")]
                self.context.run(|| self.work(scope));
                #[cfg(not(feature = "tracing"))]
                self.work(scope);
            };
            match Builder::new().spawn_scoped(scope, work) {
                Ok(_) => state.threads += 1,
                // The system has no more: the threads there are serve all lanes in turn.
                Err(_) => state.no_thread_before = now.saturating_add(NO_THREADS),
            }
        }
    }

    /// Until there may be something to send.
    fn rest<'g>(&'g self, mut state: Guard<'g, 'a, L, O>, now: Duration, until: Duration) -> Guard<'g, 'a, L, O> {
        let until = until.min(now.saturating_add(SLICE));
        if let Some(watched_until) = state.watched_until {
            if until < watched_until {
                // It looks again, and then waits no longer than that.
                self.watch.notify_one();
            }
            state.benched += 1;
            let mut state = self.bench.wait(state).unwrap_or_else(|poisoned| broken(poisoned.into_inner()));
            state.benched -= 1;
            return state;
        }
        state.watched_until = Some(until);
        let waited = self.watch.wait_timeout(state, until.saturating_sub(now));
        let (mut state, timeout) = waited.unwrap_or_else(|poisoned| {
            let (state, timeout) = poisoned.into_inner();
            (broken(state), timeout)
        });
        state.watched_until = None;
        if timeout.timed_out() && !state.has_ended() && state.observer.waiting().is_break() {
            self.stop(&mut state);
        }
        state
    }

    /// Nothing more is sent; whoever rests goes home.
    fn stop(&self, state: &mut State<'a, L, O>) {
        state.stopped = true;
        self.watch.notify_all();
        self.bench.notify_all();
    }

    fn lock(&self) -> Guard<'_, 'a, L, O> {
        self.state.lock().unwrap_or_else(|poisoned| broken(poisoned.into_inner()))
    }
}

impl<L: Lanes, O> State<'_, L, O> {
    fn has_ended(&self) -> bool {
        self.stopped || self.outcome.is_some()
    }
}

/// Somebody panicked who held the state, and may not have come to say so yet.
fn broken<'g, 'a, L: Lanes, O>(mut state: Guard<'g, 'a, L, O>) -> Guard<'g, 'a, L, O> {
    state.stopped = true;
    state.broken = true;
    state
}
