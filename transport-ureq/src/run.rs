//! Drives an operation: a thread for each request in flight.
//!
//! Whoever has nothing to send rests. One thread at most *watches*: it waits until something may be sent, and asks the
//! observer meanwhile. The others wait to be called. A thread that is about to send calls one other, which polls, sends and
//! calls the next, or finds nothing and watches. So a response wakes as many threads as have something to do, and one more.

use crate::client::Client;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};
use upstash_dlq_core::drive::{NextStep, next_step, report};
use upstash_dlq_core::{Driven, Observer, Operation};

/// How long a thread waits at most before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// How long no thread is asked for after the system refused one.
const NO_THREADS: Duration = Duration::from_secs(1);

struct Shared<'a, O: Operation, W> {
    client: &'a Client,
    start: Instant,
    state: Mutex<State<'a, O, W>>,
    /// Where one thread watches.
    watch: Condvar,
    /// Where the others wait to be called.
    bench: Condvar,
    #[cfg(feature = "tracing")]
    context: crate::trace::Context,
}

struct State<'a, O: Operation, W> {
    operation: &'a mut O,
    observer: &'a mut W,
    threads: usize,
    /// How many wait to be called.
    benched: usize,
    /// How long the one that watches waits; `None` while nobody watches.
    watched_until: Option<Duration>,
    no_thread_before: Duration,
    /// Whether the observer or the operation has panicked: neither may be what it should be.
    broken: bool,
    /// How it ended. Requests that are in flight then come to their end.
    ended: Option<Driven<O::Outcome>>,
    /// The first panic.
    panic: Option<Box<dyn Any + Send>>,
}

type Guard<'g, 'a, O, W> = MutexGuard<'g, State<'a, O, W>>;

impl Client {
    /// Drives an operation to its end, or until the observer stops it: as many requests at once as it has lanes, each in a
    /// thread of its own. Waits block. Where the system has no more threads, fewer of them serve all lanes.
    ///
    /// # Panics
    /// If the observer or the agent panics: nothing more is sent, requests that are in flight come to their end, and then the
    /// first panic is passed on. An observer that has panicked is not called again.
    pub fn run<O>(&self, operation: &mut O, observer: &mut (impl Observer<O> + Send)) -> Driven<O::Outcome>
    where
        O: Operation<Outcome: Send> + Send,
    {
        operation.connection_lost();
        let state = State {
            operation,
            observer,
            threads: 1,
            benched: 0,
            watched_until: None,
            no_thread_before: Duration::ZERO,
            broken: false,
            ended: None,
            panic: None,
        };
        let shared = Shared {
            client: self,
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
        state.ended.unwrap_or(Driven::Stopped)
    }
}

impl<'a, O, W> Shared<'a, O, W>
where
    O: Operation<Outcome: Send> + Send,
    W: Observer<O> + Send,
{
    /// A panic ends here: it is kept for the caller, and the other threads learn of it.
    fn work<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.drive(scope))) {
            let mut state = self.lock();
            state.panic.get_or_insert(panic);
            self.end(&mut state, Driven::Stopped);
        }
    }

    fn drive<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut state = self.lock();
        while state.ended.is_none() {
            let now = self.start.elapsed();
            let State { operation, observer, .. } = &mut *state;
            let (id, request) = match next_step(*operation, now, *observer) {
                NextStep::End(driven) => {
                    self.end(&mut state, driven);
                    return;
                }
                NextStep::Wait(until) => {
                    state = self.rest(state, now, until.unwrap_or(Duration::MAX));
                    continue;
                }
                NextStep::Send(id, request) => (id, request),
            };
            self.call_another(scope, &mut state, now);
            drop(state);
            let result = self.client.send(request);
            state = self.lock();
            let State { operation, observer, broken, .. } = &mut *state;
            let go_on = if *broken {
                report(*operation, id, result, &mut Nobody)
            } else {
                report(*operation, id, result, *observer)
            };
            if go_on.is_break() {
                self.end(&mut state, Driven::Stopped);
            }
        }
    }

    /// Somebody else looks whether there is more to send.
    fn call_another<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        state: &mut State<'a, O, W>,
        now: Duration,
    ) {
        if state.watched_until.is_some() {
            self.watch.notify_one();
        } else if state.benched > 0 {
            self.bench.notify_one();
        } else if state.threads < state.operation.concurrency() && now >= state.no_thread_before {
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
    fn rest<'g>(&'g self, mut state: Guard<'g, 'a, O, W>, now: Duration, until: Duration) -> Guard<'g, 'a, O, W> {
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
        if timeout.timed_out() && state.ended.is_none() && state.observer.while_waiting().is_break() {
            self.end(&mut state, Driven::Stopped);
        }
        state
    }

    /// Nothing more is sent, and all threads that rest end.
    fn end(&self, state: &mut State<'a, O, W>, driven: Driven<O::Outcome>) {
        state.ended.get_or_insert(driven);
        self.watch.notify_all();
        self.bench.notify_all();
    }

    fn lock(&self) -> Guard<'_, 'a, O, W> {
        self.state.lock().unwrap_or_else(|poisoned| broken(poisoned.into_inner()))
    }
}

/// Looks on where the observer has panicked.
struct Nobody;

impl<O: Operation> Observer<O> for Nobody {}

/// Somebody panicked who held the state, and may not have come to say so yet.
fn broken<'g, 'a, O: Operation, W>(mut state: Guard<'g, 'a, O, W>) -> Guard<'g, 'a, O, W> {
    state.ended.get_or_insert(Driven::Stopped);
    state.broken = true;
    state
}
