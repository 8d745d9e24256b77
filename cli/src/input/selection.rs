//! From the words of the command line to a selection.

use crate::cli::SelectionArgs;
use crate::input::ids::IdList;
use crate::input::time;
use crate::input::time::Age;
use std::path::Path;
use upstash_dlq_core::{Endpoint, Fingerprint, RelativeTimes, Selection, SelectionError, UnixMillis};

/// What a command acts on.
pub(crate) enum Resolved {
    Ids(IdList),
    /// A filter, or everything.
    Matching(Selection),
}

impl Resolved {
    /// Where ids were given, none of which is known to be missing yet.
    pub(crate) fn missing(&self) -> Option<u64> {
        matches!(self, Self::Ids(_)).then_some(0)
    }

    /// The resolved times, which the result repeats.
    pub(crate) fn window(&self) -> (Option<UnixMillis>, Option<UnixMillis>) {
        match self {
            Self::Ids(_) => (None, None),
            Self::Matching(selection) => window(selection),
        }
    }
}

impl SelectionArgs {
    /// The selection with its times resolved, and ids checked.
    pub(crate) fn resolve(&self, now: Age) -> Result<Resolved, String> {
        let ids_given = !self.ids.is_empty() || self.ids_from.is_some();
        let ids_flag = if self.ids.is_empty() { "--ids-from" } else { "ids" };
        match (ids_given, self.filters.first_given(), self.all) {
            (true, Some(flag), _) => Err(format!(
                "{ids_flag} and {flag} cannot be combined: the service would ignore the filter; give one of them"
            )),
            (true, None, true) => Err(format!("{ids_flag} and --all cannot be combined: give one of them")),
            (false, Some(flag), true) => {
                Err(format!("--all and {flag} cannot be combined: leave out --all for what matches"))
            }
            (false, None, false) => {
                Err("nothing is selected: give ids, a filter such as --label, or --all for every run".into())
            }
            (true, None, false) => IdList::check(&self.ids, self.ids_from.as_deref()).map(Resolved::Ids),
            (false, Some(_), false) => {
                self.filters.build(now).map(|filter| Resolved::Matching(Selection::Filter(filter)))
            }
            (false, None, true) => {
                let all = Selection::Everything.until(now.now()).map_err(|e| in_words_of_the_command(&e))?;
                Ok(Resolved::Matching(all))
            }
        }
    }

    /// Whether standard input holds ids, so that nobody can be asked there.
    pub(crate) fn reads_standard_input(&self) -> bool {
        self.ids_from.as_deref() == Some(Path::new("-"))
    }

    /// Which times the words say relative to now.
    pub(crate) fn relative_times(&self) -> RelativeTimes {
        let age = |text: &String| time::is_age(text);
        RelativeTimes {
            from: self.filters.from.as_ref().is_some_and(age),
            to: self.filters.to.as_ref().is_none_or(age),
        }
    }

    /// Of the words as they were given: "7d" stays "7d" tomorrow.
    pub(crate) fn fingerprint(&self, endpoint: &Endpoint, selection: &Selection) -> Fingerprint {
        match selection {
            Selection::Ids(_) => Fingerprint::of(endpoint, selection),
            _ if self.filters.is_empty() => Fingerprint::of(endpoint, &Selection::Everything),
            _ => Fingerprint::of_pairs(endpoint, self.filters.words()),
        }
    }
}

/// The same sentence, with the flag's name instead of the field's.
pub(crate) fn in_words_of_the_command(error: &SelectionError) -> String {
    let flag = match error.field() {
        "dlqIds" => "id",
        "fromDate" => "--from",
        "toDate" => "--to",
        "workflowUrl" => "--workflow-url",
        "workflowRunId" => "--workflow-run-id",
        "workflowCreatedAt" => "--workflow-created-at",
        "label" => "--label",
        "failureFunctionState" => "--failure-function-state",
        "callerIp" => "--caller-ip",
        "flowControlKey" => "--flow-control-key",
        other => other,
    };
    with_flag(error, flag).replace("lies after toDate", "lies after --to (now, unless it is given)")
}

pub(crate) fn with_flag(error: &SelectionError, flag: &str) -> String {
    let sentence = error.to_string();
    format!("{flag}{}", sentence.strip_prefix(error.field()).unwrap_or(&sentence))
}

/// The resolved times, which the result repeats.
pub(crate) fn window(selection: &Selection) -> (Option<UnixMillis>, Option<UnixMillis>) {
    match selection {
        Selection::Filter(filter) => (filter.from(), filter.to()),
        Selection::Ids(_) | Selection::Everything => (None, None),
    }
}
