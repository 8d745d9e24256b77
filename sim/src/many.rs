//! Runs many schedules, on all cores.

use crate::history::{Report, run};
use crate::schedule::Schedule;
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The seed that this thread runs, for whoever tells of a panic.
pub fn current_seed() -> Option<u64> {
    SEED.get()
}

/// What came of many schedules.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many schedules were run.
    pub schedules: u64,
    /// How many requests were sent in all of them.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
    /// The seeds that broke a promise, and which: in the order of the seeds.
    pub failures: Vec<(u64, Vec<String>)>,
}

/// Does the work of each number, on all cores, until one says that it is enough.
pub(crate) fn on_all_cores(numbers: Range<u64>, work: impl Fn(u64) -> ControlFlow<()> + Sync) {
    let next = AtomicU64::new(numbers.start);
    let is_over = AtomicBool::new(false);
    let worker = || {
        while !is_over.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return;
            }
            is_over.fetch_or(work(number).is_break(), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(worker);
        }
    });
}

/// Runs the schedules of these seeds. After `most` failures it stops.
pub fn run_many(seeds: Range<u64>, most: usize, progress: impl Fn(u64) + Sync) -> Summary {
    let begin = Instant::now();
    let (schedules, requests) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    on_all_cores(seeds, |seed| {
        SEED.set(Some(seed));
        let Report { violations, requests: sent, .. } = run(&Schedule::from_seed(seed), false);
        requests.fetch_add(sent as u64, Ordering::Relaxed);
        progress(schedules.fetch_add(1, Ordering::Relaxed) + 1);
        if violations.is_empty() {
            return ControlFlow::Continue(());
        }
        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push((seed, violations));
        if failures.len() >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    let (schedules, requests) = (schedules.into_inner(), requests.into_inner());
    Summary { schedules, requests, took: begin.elapsed(), failures }
}
