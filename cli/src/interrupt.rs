//! Ctrl-C: the first asks to stop after the request in flight, the second ends at once,
//! unless it comes within a second of the first. While a question waits for its
//! answer nothing is in flight, and the first ends at once, too.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static ASKING: AtomicBool = AtomicBool::new(false);
static FIRST: OnceLock<Instant> = OnceLock::new();
static GATE: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Signals that follow each other so fast are one interruption: `timeout` sends one to the process and one to its group.
const ONE: Duration = Duration::from_secs(1);

pub(crate) const EXIT_STATUS: u8 = 130;

/// Failing to install the handler leaves the system's default, which ends the process: safe, if less polite.
pub(crate) fn install() {
    let _ = ctrlc::set_handler(|| {
        let asking = ASKING.load(Ordering::SeqCst);
        if asking {
            // The question stands without an end of its line; nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr());
            crate::bulk::checkpoint_file::tidy();
        }
        let since = *FIRST.get_or_init(Instant::now);
        let again = INTERRUPTED.swap(true, Ordering::SeqCst);
        if asking || (again && since.elapsed() >= ONE) {
            leave_nothing_behind();
            std::process::exit(i32::from(EXIT_STATUS));
        }
        let _gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        CHANGED.notify_all();
    });
}

/// Takes the progress off the terminal, unless whoever holds it cannot be waited for.
fn leave_nothing_behind() {
    let (done, cleared) = std::sync::mpsc::channel();
    let clear = move || {
        crate::output::progress::clear();
        let _ = done.send(());
    };
    if std::thread::Builder::new().spawn(clear).is_ok() {
        let _ = cleared.recv_timeout(Duration::from_millis(200));
    }
}

/// Runs `question` so that an interrupt ends the process.
pub(crate) fn while_asking<T>(question: impl FnOnce() -> T) -> T {
    ASKING.store(true, Ordering::SeqCst);
    let answer = question();
    ASKING.store(false, Ordering::SeqCst);
    answer
}

pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Sleeps, unless interrupted.
pub(crate) fn sleep(wait: Duration) {
    let gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = CHANGED.wait_timeout_while(gate, wait, |()| !requested());
}
