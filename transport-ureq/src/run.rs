//! Drives an operation: a thread for each request in flight.
//!
//! A thread that has nothing to send waits. At most one of them *watches*: it wakes when something may be sent, and asks the
//! observer from time to time. The others are on *standby* until another thread wakes them. A thread that is about to send
//! wakes one other, which polls, sends and wakes the next, or finds nothing and watches. So a response wakes as many threads
//! as have something to do, and one more.

use crate::budget::OperationNumber;
use crate::client::Client;
use crate::trace::{Context, OperationSpan};
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};
use upstash_dlq_core::drive::{NextStep, next_step, report};
use upstash_dlq_core::{Driven, Halt, Observer, Operation};

/// The longest wait of a thread before the observer is asked whether to go on.
const SLICE: Duration = Duration::from_millis(100);

/// How long no further thread is started after the system refused one.
const NO_THREADS: Duration = Duration::from_secs(1);

struct Shared<'a, O: Operation, W> {
    client: &'a Client,
    /// For the budget of response bytes.
    number: OperationNumber,
    start: Instant,
    state: Mutex<State<'a, O, W>>,
    /// Wakes the thread that watches.
    watch: Condvar,
    /// Wakes a thread on standby.
    standby: Condvar,
    /// How many threads have a response, and wait to report it.
    arrived: AtomicUsize,
    context: Context,
}

struct State<'a, O: Operation, W> {
    operation: &'a mut O,
    observer: &'a mut W,
    threads: usize,
    /// How many threads are on standby.
    on_standby: usize,
    /// Until when the watching thread waits. `None` if no thread watches.
    watched_until: Option<Duration>,
    no_thread_before: Duration,
    /// Whether the observer or the operation has panicked, and may be in a bad state.
    broken: bool,
    /// How it ended. Requests that are still in flight are awaited.
    ended: Option<Driven<O::Outcome>>,
    /// The first panic.
    panic: Option<Box<dyn Any + Send>>,
    span: &'a mut OperationSpan,
}

type Guard<'g, 'a, O, W> = MutexGuard<'g, State<'a, O, W>>;

impl Client {
    /// Drives an operation to its end, or until the observer stops it. Each lane may have one request in flight, in a thread
    /// of its own. Waits block. If the system refuses more threads, fewer threads serve all lanes.
    ///
    /// # Panics
    /// Panics if the observer or the transport panics: nothing more is sent, the requests in flight are awaited, and then the first
    /// panic is passed on. An observer that has panicked is not called again.
    pub fn run<O>(&self, operation: &mut O, observer: &mut (impl Observer<O> + Send)) -> Driven<O::Outcome>
    where
        O: Operation<Outcome: Send> + Send,
    {
        let mut span = OperationSpan::new(operation);
        let driven = self.drive(operation, observer, &mut span);
        span.end(operation, matches!(driven, Driven::Stopped).then_some(&Halt::Stopped));
        driven
    }

    /// Drives within a span that the caller has, and ends.
    pub(crate) fn drive<O>(
        &self,
        operation: &mut O,
        observer: &mut (impl Observer<O> + Send),
        span: &mut OperationSpan,
    ) -> Driven<O::Outcome>
    where
        O: Operation<Outcome: Send> + Send,
    {
        operation.connection_lost();
        let context = span.context();
        let state = State {
            span,
            operation,
            observer,
            threads: 1,
            on_standby: 0,
            watched_until: None,
            no_thread_before: Duration::ZERO,
            broken: false,
            ended: None,
            panic: None,
        };
        let shared = Shared {
            client: self,
            number: OperationNumber::new(),
            start: Instant::now(),
            state: Mutex::new(state),
            watch: Condvar::new(),
            standby: Condvar::new(),
            arrived: AtomicUsize::new(0),
            context,
        };
        // The first lane runs in the caller's thread: a delete of one page starts no other.
        std::thread::scope(|scope| shared.work_in_context(scope));
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
    /// Works within the operation's span, which a thread does not inherit.
    fn work_in_context<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        self.context.run(|| self.work(scope));
    }

    /// Drives until the end. A panic is kept for the caller, and ends the other threads.
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
            let mut observer = Unhurried { observer: *observer, arrived: &self.arrived };
            let (id, mut request) = match next_step(*operation, now, &mut observer) {
                NextStep::End(driven) => {
                    self.end(&mut state, driven);
                    return;
                }
                NextStep::Wait(until) => {
                    state = self.wait(state, now, until.unwrap_or(Duration::MAX));
                    continue;
                }
                NextStep::Send(id, request) => (id, request),
            };
            self.wake_another(scope, &mut state, now);
            drop(state);
            request.extensions_mut().insert(self.number);
            let result = self.client.send_held(request);
            self.arrived.fetch_add(1, Ordering::Relaxed);
            state = self.lock();
            self.arrived.fetch_sub(1, Ordering::Relaxed);
            let State { operation, observer, broken, span, .. } = &mut *state;
            let go_on = if *broken {
                report(*operation, id, result, &mut ())
            } else {
                report(*operation, id, result, &mut span.observe(&mut **observer))
            };
            if go_on.is_break() {
                self.end(&mut state, Driven::Stopped);
            }
        }
    }

    /// Wakes or starts one thread, which looks for more to send.
    fn wake_another<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        state: &mut State<'a, O, W>,
        now: Duration,
    ) {
        if state.watched_until.is_some() {
            self.watch.notify_one();
        } else if state.on_standby > 0 {
            self.standby.notify_one();
        } else if state.threads < state.operation.concurrency() && now >= state.no_thread_before {
            match Builder::new().spawn_scoped(scope, move || self.work_in_context(scope)) {
                Ok(_) => state.threads += 1,
                // The system refuses more threads. Those that run serve all lanes in turn.
                Err(_) => state.no_thread_before = now.saturating_add(NO_THREADS),
            }
        }
    }

    /// Waits until there may be something to send.
    fn wait<'g>(&'g self, mut state: Guard<'g, 'a, O, W>, now: Duration, until: Duration) -> Guard<'g, 'a, O, W> {
        let until = until.min(now.saturating_add(SLICE));
        if let Some(watched_until) = state.watched_until {
            if until < watched_until {
                // The watching thread looks again, and then waits no longer than that.
                self.watch.notify_one();
            }
            state.on_standby += 1;
            let mut state = self.standby.wait(state).unwrap_or_else(|poisoned| broken(poisoned.into_inner()));
            state.on_standby -= 1;
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

    /// Ends the loop: nothing more is sent, and all waiting threads end.
    fn end(&self, state: &mut State<'a, O, W>, driven: Driven<O::Outcome>) {
        state.ended.get_or_insert(driven);
        self.watch.notify_all();
        self.standby.notify_all();
    }

    fn lock(&self) -> Guard<'_, 'a, O, W> {
        self.state.lock().unwrap_or_else(|poisoned| broken(poisoned.into_inner()))
    }
}

/// Asks the observer to store what responses have brought only once no further response waits to be reported.
struct Unhurried<'a, W: ?Sized> {
    observer: &'a mut W,
    arrived: &'a AtomicUsize,
}

impl<O: Operation, W: Observer<O> + ?Sized> Observer<O> for Unhurried<'_, W> {
    fn before_send(&mut self, operation: &O) -> ControlFlow<()> {
        self.observer.before_send(operation)
    }

    fn before_wait(&mut self, operation: &mut O) -> ControlFlow<(), bool> {
        // The thread that reports the last of them asks. Until then it has not left the flight.
        if self.arrived.load(Ordering::Relaxed) > 0 {
            return ControlFlow::Continue(false);
        }
        self.observer.before_wait(operation)
    }
}

/// Marks the state as broken: a thread panicked while it held the lock.
fn broken<'g, 'a, O: Operation, W>(mut state: Guard<'g, 'a, O, W>) -> Guard<'g, 'a, O, W> {
    state.ended.get_or_insert(Driven::Stopped);
    state.broken = true;
    state
}
