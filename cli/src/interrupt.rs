//! Ctrl-C: the first asks to stop after the requests in flight, and says how many these are. The second ends the process at
//! once, unless it comes within a second of the first, and says what it leaves in doubt. While a question waits nothing is in
//! flight, so that the first ends the process at once, too.

use crate::exit::ExitStatus;
use crate::output::progress_bar;
use crate::output::terminal::Terminal;
use crate::output::text::requests;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// What to tidy up when the process ends while a question waits.
static ASKING: Mutex<Option<fn()>> = Mutex::new(None);
/// How many requests are in flight.
static IN_FLIGHT: AtomicU64 = AtomicU64::new(0);
/// What to say of them if they are left.
static IF_LEFT: Mutex<Option<String>> = Mutex::new(None);
static FIRST: OnceLock<Instant> = OnceLock::new();
static GATE: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Signals this close together count as one: `timeout` sends one to the process and one to its group.
const ONE_INTERRUPT: Duration = Duration::from_secs(1);

/// Installs the handler. If that fails, the system's default stays, which ends the process: safe, if less polite.
pub(crate) fn install(terminal: Terminal) {
    let _ = ctrlc::set_handler(move || {
        let asking = asking();
        if let Some(tidy) = *asking {
            // Ends the line of the question. If standard error is gone, there is nobody left to tell.
            let _ = writeln!(std::io::stderr());
            tidy();
            leave_nothing_behind();
            // The question is still asked: a yes that comes now waits for the lock, and does nothing.
            std::process::exit(i32::from(ExitStatus::Interrupted.code()));
        }
        drop(asking);
        let is_first = FIRST.get().is_none();
        let since = *FIRST.get_or_init(Instant::now);
        if is_first {
            say_what_is_finished(terminal);
        }
        let again = INTERRUPTED.swap(true, Ordering::SeqCst);
        if again && since.elapsed() >= ONE_INTERRUPT {
            leave_nothing_behind();
            std::process::exit(i32::from(ExitStatus::Interrupted.code()));
        }
        let _gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        CHANGED.notify_all();
    });
}

/// Says what the process waits for, before it learns of the interrupt: what it says at its end comes later.
fn say_what_is_finished(terminal: Terminal) {
    let in_flight = IN_FLIGHT.load(Ordering::SeqCst);
    if in_flight > 0 {
        let sentence = format!("Finishing {} in flight. Press Ctrl-C again to end at once.", requests(in_flight));
        unless_stuck(move || terminal.note(&sentence));
    }
}

/// Does something with standard error, but does not wait long if that is stuck or another thread holds the bar: the next
/// interrupt has to be heard.
fn unless_stuck(act: impl FnOnce() + Send + 'static) {
    let (done, was_done) = std::sync::mpsc::channel();
    let act = move || {
        act();
        let _ = done.send(());
    };
    if std::thread::Builder::new().spawn(act).is_ok() {
        let _ = was_done.recv_timeout(Duration::from_millis(200));
    }
}

/// Clears the progress bar. Says what is left in flight.
fn leave_nothing_behind() {
    unless_stuck(progress_bar::clear);
    let in_flight = IN_FLIGHT.load(Ordering::SeqCst);
    if let (1.., Some(sentence)) = (in_flight, &*if_left()) {
        let line = format!("interrupted with {} in flight; {sentence}", requests(in_flight));
        unless_stuck(move || {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }
}

fn asking() -> MutexGuard<'static, Option<fn()>> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn if_left() -> MutexGuard<'static, Option<String>> {
    IF_LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a second interrupt says if it leaves requests in flight.
pub(crate) fn say_if_left(sentence: String) {
    *if_left() = Some(sentence);
}

/// Says how many requests are in flight now.
pub(crate) fn set_in_flight(requests: usize) {
    IN_FLIGHT.store(u64::try_from(requests).unwrap_or(u64::MAX), Ordering::SeqCst);
}

/// Runs `question`. An interrupt meanwhile calls `tidy` and ends the process.
pub(crate) fn while_asking<T>(tidy: fn(), question: impl FnOnce() -> T) -> T {
    *asking() = Some(tidy);
    let response = question();
    *asking() = None;
    response
}

pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// `Break` once an interrupt was requested.
pub(crate) fn unless_requested() -> ControlFlow<()> {
    if requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Sleeps until the time has passed or an interrupt comes.
pub(crate) fn sleep(wait: Duration) {
    let gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = CHANGED.wait_timeout_while(gate, wait, |()| !requested());
}
