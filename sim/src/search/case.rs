//! What is searched: each operation with each property of the service, on one and two lanes.

use crate::search::service::Kind;
use std::fmt;

/// One search.
#[derive(Clone, Debug)]
pub struct Case {
    pub(super) operation: Operation,
    pub(crate) runs: usize,
    pub(crate) lanes: usize,
    pub(crate) faults: u8,
    pub(crate) crashes: u8,
    pub(crate) max: Option<u64>,
    pub(crate) by_ids: bool,
    pub(crate) by_filter: bool,
    /// Only what matches a refinement, too.
    pub(crate) refined: bool,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    List,
    Archive,
    Resume,
    Delete,
}

impl Operation {
    const ALL: [Self; 4] = [Self::List, Self::Archive, Self::Resume, Self::Delete];
}

/// How many runs a listing has at least.
const LISTED: usize = 12;

/// What is acted on: ids, what matches a filter, what matches a refinement as well, or everything.
const TARGETS: [(bool, bool, bool); 4] =
    [(true, false, false), (false, true, false), (false, true, true), (false, false, false)];

/// All searches of this size.
pub fn all(runs: usize, faults: u8, crashes: u8) -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in Operation::ALL {
        for lanes in [1, 2] {
            for (by_ids, by_filter, refined) in TARGETS {
                for max in [None, Some(2)] {
                    // Two runs match the refinement.
                    let max = if refined { max.map(|_| 1) } else { max };
                    for bits in 0..8 {
                        let kind = Kind {
                            offset_cursors: bits & 1 != 0,
                            started_runs_stay: bits & 2 != 0,
                            listing_lags: bits & 4 != 0,
                        };
                        // A listing tries windows of time only after eight pages.
                        let has_windows =
                            operation == Operation::List || (operation == Operation::Archive && lanes > 1);
                        let runs = if has_windows && !by_ids { runs.max(LISTED) } else { runs };
                        // Nobody can continue what starts runs by a refinement.
                        let crashes = if refined && operation == Operation::Resume { 0 } else { crashes };
                        let case =
                            Case { operation, runs, lanes, faults, crashes, max, by_ids, by_filter, refined, kind };
                        cases.extend(case.is_different().then_some(case));
                    }
                }
            }
        }
    }
    cases
}

impl Case {
    /// Whether no other case has the same histories.
    fn is_different(&self) -> bool {
        let Self { operation, runs, lanes, max, by_ids, by_filter, refined, kind, .. } = self;
        let has_lanes = match operation {
            Operation::List | Operation::Delete | Operation::Archive => true,
            Operation::Resume => *by_ids || *refined,
        };
        let looks_again = *operation == Operation::Archive || (*operation == Operation::Delete && *refined);
        (*lanes == 1 || has_lanes)
            && (!refined || (*lanes > 1 && *operation != Operation::List))
            && (*operation == Operation::Resume || !kind.started_runs_stay)
            && (looks_again || !kind.listing_lags)
            && !(*by_ids && kind.offset_cursors)
            && !(*operation == Operation::List && (*by_ids || max.is_some()))
            // No runs leave while it lists, so cursors are alike. Those that are offsets are the harder ones: each belongs to its window.
            && (*operation != Operation::List || kind.offset_cursors)
            // Ids are looked up one by one.
            && !(*by_ids && kind.listing_lags)
            // Everything is listed before the first run is started, or no page follows another. A run that stays could be started again.
            && !(*operation == Operation::Resume && (*by_ids || *refined) && !kind.started_runs_stay)
            && !(*operation == Operation::Resume && *refined && kind.offset_cursors)
            // Runs that stay do not move those behind them.
            && !(kind.started_runs_stay && kind.offset_cursors)
            // Two runs are one batch, and if there are four, the first two of everything match the filter, too. They are two pages before
            // any cursor tells.
            && !(max.is_some() && *by_ids && *lanes > 1 && *operation != Operation::Archive)
            && !(max.is_some() && !by_ids && !by_filter && *runs > 3 && (*operation != Operation::Archive || *runs >= LISTED))
            && !(max.is_some() && kind.offset_cursors && *operation == Operation::Resume)
            && !(max.is_some() && kind.offset_cursors && *operation == Operation::Delete && *refined)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, runs, lanes, faults, crashes, max, by_ids, by_filter, refined, kind } = self;
        let by = match (by_ids, by_filter, refined) {
            (true, ..) => "ids",
            (false, _, true) => "a refinement",
            (false, true, false) => "a filter",
            (false, false, false) => "everything",
        };
        write!(f, "{operation:?} by {by}: {runs} runs, {lanes} lanes, {faults} faults, {crashes} crashes")?;
        if let Some(max) = max {
            write!(f, ", at most {max}")?;
        }
        for (is_so, words) in [
            (kind.offset_cursors, ", offset cursors"),
            (kind.started_runs_stay, ", started runs stay"),
            (kind.listing_lags, ", the listing lags"),
        ] {
            f.write_str(if is_so { words } else { "" })?;
        }
        Ok(())
    }
}
