//! Deliberate bugs: each has to be found. Exists only in builds with `--cfg upstash_dlq_bugs`.

use crate::history::run;
use crate::many::run_many;
use crate::schedule::Schedule;
use crate::search;
use std::collections::BTreeSet;
use std::ops::Range;
pub use upstash_dlq_core::bugs::Bug;

/// The schedules that a bug has to be found in.
const SEEDS: Range<u64> = 0..200_000;

/// The most states that each search visits.
const STATES: u64 = 20_000;

/// What found each bug the last time: its name, and a seed or the word `search`. This is tried first, because some bugs show in
/// one of fifty thousand schedules.
const KNOWN: &str = include_str!("bugs.txt");

/// What has found a bug.
#[derive(Clone, Debug)]
pub struct FoundBug {
    /// The seed or the search.
    pub by: String,
    /// The promises that the bug breaks, between semicolons.
    pub promises: String,
    /// The line that `bugs.txt` should have for it, if it has another one.
    pub new_line: Option<String>,
}

/// Switches a bug on, and looks for a schedule or a search that breaks a promise. Who looks blindly does not try first what found it
/// the last time.
pub fn find(bug: Bug, is_blind: bool) -> Option<FoundBug> {
    Bug::choose(Some(bug));
    let known = known(bug).filter(|_| !is_blind);
    let found = match known {
        Some("search") => by_search().or_else(|| by_schedule(bug, SEEDS)),
        _ => {
            let seed = known.and_then(|seed| seed.parse::<u64>().ok());
            let again = seed.and_then(|seed| by_schedule(bug, seed..seed.saturating_add(1)));
            again.or_else(|| by_schedule(bug, SEEDS)).or_else(by_search)
        }
    };
    Bug::choose(None);
    let (what, mut found) = found?;
    found.new_line = (!is_blind && known != Some(what.as_str())).then(|| format!("{bug:?} {what}"));
    Some(found)
}

fn known(bug: Bug) -> Option<&'static str> {
    let name = format!("{bug:?}");
    KNOWN.lines().filter_map(|line| line.split_once(' ')).find(|(bug, _)| *bug == name).map(|(_, what)| what)
}

fn names<'a>(violations: impl IntoIterator<Item = &'a String>) -> String {
    let name = |violation: &'a String| violation.split([':', '\n']).next().unwrap_or_default();
    let names: BTreeSet<&str> = violations.into_iter().map(name).collect();
    names.into_iter().collect::<Vec<_>>().join("; ")
}

fn by_schedule(bug: Bug, seeds: Range<u64>) -> Option<(String, FoundBug)> {
    let (seed, violations) = run_many(seeds, 1, |_| {}).failures.into_iter().next()?;
    // It is the bug that breaks the promise, and not the schedule.
    Bug::choose(None);
    let is_kept = run(&Schedule::from_seed(seed), false).violations.is_empty();
    Bug::choose(Some(bug));
    is_kept.then(|| {
        (seed.to_string(), FoundBug { by: format!("seed {seed}"), promises: names(&violations), new_line: None })
    })
}

fn by_search() -> Option<(String, FoundBug)> {
    search::all(3, 1, 1).into_iter().find_map(|case| {
        let violation = case.search(STATES).violation?;
        let found = FoundBug { by: format!("search: {case}"), promises: names([&violation]), new_line: None };
        Some(("search".to_owned(), found))
    })
}
