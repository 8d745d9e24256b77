//! Turns ids, filters or `--all` into a selection.

use crate::cli::SelectionArgs;
use crate::input::flag;
use crate::input::ids::IdList;
use crate::input::time::{self, Now};
use std::path::Path;
use upstash_dlq_core::checkpoint::Fingerprint;
use upstash_dlq_core::selection::{Refined, RelativeTimes};
use upstash_dlq_core::{Endpoint, Selection, UnixMillis};

/// The ends of a window of time, if it has any.
pub(crate) type Window = (Option<UnixMillis>, Option<UnixMillis>);

/// What a command acts on.
pub(crate) enum Resolved {
    Ids(IdList),
    /// A filter, a refinement, or everything.
    Matching(Selection),
}

impl Resolved {
    /// 0 if ids were given: none is known to be missing yet.
    pub(crate) fn missing(&self) -> Option<u64> {
        matches!(self, Self::Ids(_)).then_some(0)
    }

    /// The resolved times.
    pub(crate) fn window(&self) -> Window {
        match self {
            Self::Ids(_) => (None, None),
            Self::Matching(selection) => window(selection),
        }
    }
}

impl SelectionArgs {
    /// The selection with its times resolved, and ids checked.
    pub(crate) fn resolve(&self, now: Now) -> Result<Resolved, String> {
        let ids_given = !self.ids.is_empty() || self.ids_from.is_some();
        let ids_flag = if self.ids.is_empty() { "--ids-from" } else { "ids" };
        let refinement = self.refinements.build()?;
        match (ids_given, self.filters.first_given(), self.refinements.first_given(), self.all) {
            (true, Some(flag), _, _) => Err(format!(
                "{ids_flag} and --{flag} cannot be combined: the service would ignore the filter; give one of them"
            )),
            (true, None, Some(flag), _) => {
                Err(format!("{ids_flag} and --{flag} cannot be combined: all given ids are acted on; give one of them"))
            }
            (true, None, None, true) => Err(format!("{ids_flag} and --all cannot be combined: give one of them")),
            (false, Some(flag), _, true) | (false, None, Some(flag), true) => Err(format!(
                "--all and --{flag} cannot be combined: leave out --all: --{flag} alone selects what matches"
            )),
            (false, None, None, false) => {
                Err("nothing is selected: give ids, a filter such as --label, or --all for every run".into())
            }
            (true, None, None, false) => IdList::check(&self.ids, self.ids_from.as_deref()).map(Resolved::Ids),
            (false, Some(_), _, false) => {
                let filter = self.filters.build(now)?;
                Ok(Resolved::Matching(match refinement {
                    Some(refinement) => Selection::Refined(Refined::new(Some(filter), refinement)),
                    None => Selection::Filter(filter),
                }))
            }
            (false, None, Some(_), false) | (false, None, None, true) => {
                let all = refinement
                    .map_or(Selection::Everything, |refinement| Selection::Refined(Refined::new(None, refinement)));
                Ok(Resolved::Matching(all.until(now.millis()).map_err(|e| flag::selection(&e))?))
            }
        }
    }

    /// Whether standard input holds ids. Then it cannot take the response to a question.
    pub(crate) fn reads_standard_input(&self) -> bool {
        self.ids_from.as_deref() == Some(Path::new("-"))
    }

    /// Which times were given relative to now.
    pub(crate) fn relative_times(&self) -> RelativeTimes {
        let age = |text: &String| time::is_age(text);
        RelativeTimes {
            from: self.filters.from.as_ref().is_some_and(age),
            to: self.filters.to.as_ref().is_none_or(age),
        }
    }

    /// The fingerprint of the filters as they were given: "7d" stays "7d" tomorrow.
    pub(crate) fn fingerprint(&self, endpoint: &Endpoint, selection: &Selection) -> Fingerprint {
        match selection {
            Selection::Ids(_) => Fingerprint::from_selection(endpoint, selection),
            Selection::Filter(_) | Selection::Everything if self.filters.is_empty() => {
                Fingerprint::from_selection(endpoint, &Selection::Everything)
            }
            Selection::Filter(_) | Selection::Refined(_) | Selection::Everything => {
                let refinements = self.refinements.as_given();
                let refinements = refinements.iter().map(|(name, value)| (*name, value.as_str()));
                Fingerprint::from_pairs(endpoint, self.filters.as_given().into_iter().chain(refinements))
            }
        }
    }
}

/// The resolved times of a selection.
pub(crate) fn window(selection: &Selection) -> Window {
    selection.filter().map_or((None, None), |filter| (filter.from(), filter.to()))
}
