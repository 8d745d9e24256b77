//! Deliberate bugs: each has to be found. Exists only in builds with `--cfg upstash_dlq_bugs`.

use crate::history::run;
use crate::many::run_many;
use crate::schedule::Schedule;
use crate::search;
use std::ops::Range;
pub use upstash_dlq_core::bugs::Bug;

/// The schedules that a bug has to be found in.
const SEEDS: Range<u64> = 0..100_000;

/// The most states that each search visits.
const STATES: u64 = 20_000;

/// What has found a bug.
#[derive(Clone, Debug)]
pub struct FoundBug {
    /// The seed or the search.
    pub by: String,
    /// The promise that the bug breaks.
    pub promise: String,
}

/// Switches a bug on, and looks for a schedule or a search that breaks a promise.
pub fn find(bug: Bug) -> Option<FoundBug> {
    Bug::choose(Some(bug));
    let found = by_schedule(bug).or_else(by_search);
    Bug::choose(None);
    found
}

fn name(violation: &str) -> String {
    violation.split([':', '\n']).next().unwrap_or_default().to_owned()
}

fn by_schedule(bug: Bug) -> Option<FoundBug> {
    let (seed, violations) = run_many(SEEDS, 1, |_| {}).failures.into_iter().next()?;
    // It is the bug that breaks the promise, and not the schedule.
    Bug::choose(None);
    let is_kept = run(&Schedule::from_seed(seed), false).violations.is_empty();
    Bug::choose(Some(bug));
    is_kept.then(|| FoundBug {
        by: format!("seed {seed}"),
        promise: violations.first().map(|violation| name(violation)).unwrap_or_default(),
    })
}

fn by_search() -> Option<FoundBug> {
    search::all(3, 1, 1).into_iter().find_map(|case| {
        let violation = case.search(STATES).violation?;
        Some(FoundBug { by: format!("search: {case}"), promise: name(&violation) })
    })
}
