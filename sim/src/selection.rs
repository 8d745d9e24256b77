//! What a client of the simulation acts on: in the library's words, and read naively, as an oracle.

use crate::population::{BASE, Population, RunIndex};
use crate::schedule::{Field, LONGEST_CLOCK_STEP, Refine, Target};
use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::selection::{Ids, Refined};
use upstash_dlq_core::{Filter, Selection, UnixMillis};

impl Field {
    /// The name of the first condition in a query.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WorkflowUrl | Self::TwoUrls => "workflowUrl",
            Self::WorkflowRunId => "workflowRunId",
            Self::WorkflowCreatedAt => "workflowCreatedAt",
            Self::TwoLabels => "label",
            Self::State => "failureFunctionState",
            Self::CallerIp | Self::Several => "callerIp",
            Self::FlowControlKey => "flowControlKey",
        }
    }

    /// The conditions, as names and values of a query. The values of one name are alternatives.
    fn conditions(self, of: Population) -> Vec<(&'static str, String)> {
        let label = ("label", of.red().to_owned());
        match self {
            Self::WorkflowUrl => vec![("workflowUrl", of.url(1))],
            Self::TwoUrls => vec![("workflowUrl", of.url(0)), ("workflowUrl", of.url(2))],
            Self::WorkflowRunId => vec![("workflowRunId", of.workflow_run_id(1))],
            Self::WorkflowCreatedAt => vec![("workflowCreatedAt", of.workflow_created_at(1).to_string())],
            Self::TwoLabels => vec![label, ("label", "night".to_owned())],
            Self::State => vec![("failureFunctionState", Population::state(1).to_owned())],
            Self::CallerIp => vec![("callerIp", of.caller_ip(1))],
            Self::FlowControlKey => vec![("flowControlKey", of.flow_control_key(0))],
            Self::Several => vec![label, ("callerIp", of.caller_ip(0)), ("flowControlKey", of.flow_control_key(0))],
        }
    }
}

impl Target {
    /// Another one of the same kind: with as many ids, if it has ids.
    pub(crate) fn other(&self) -> Self {
        match self {
            Self::Ids(runs) => {
                let last = runs.iter().max().map_or(0, |last| last + 1);
                Self::Ids(runs.iter().skip(1).copied().chain([last]).collect())
            }
            Self::Everything => Self::Red,
            // Its filter stays, and what is held against the runs is another.
            Self::Refined(within, Refine::Status) => Self::Refined(within.clone(), Refine::Text),
            Self::Refined(within, _) => Self::Refined(within.clone(), Refine::Status),
            _ => Self::Everything,
        }
    }

    /// The conditions besides the dates.
    fn conditions(&self, of: Population) -> Vec<(&'static str, String)> {
        match self {
            Self::Red | Self::RedUntilNow => vec![("label", of.red().to_owned())],
            Self::Having(field) => field.conditions(of),
            Self::Refined(within, _) => within.conditions(of),
            Self::Everything | Self::Between { .. } | Self::Since(_) | Self::Until(_) | Self::Ids(_) => Vec::new(),
        }
    }

    /// The dates, if it is written down at `now`.
    fn dates(&self, of: Population, now: i64) -> (Option<i64>, Option<i64>) {
        match self {
            Self::RedUntilNow => (None, Some(now)),
            Self::Between { oldest, newest } => (Some(of.created_at(*oldest)), Some(of.created_at(*newest))),
            Self::Since(oldest) => (Some(of.created_at(*oldest)), None),
            Self::Until(newest) => (None, Some(of.created_at(*newest))),
            Self::Refined(within, _) => within.dates(of, now),
            Self::Everything | Self::Red | Self::Having(_) | Self::Ids(_) => (None, None),
        }
    }

    /// The selection, as a caller writes it down at `now` (milliseconds since the epoch). `None` if it is empty.
    pub(crate) fn selection(&self, of: Population, now: i64) -> Option<Selection> {
        match self {
            Self::Everything => return Some(Selection::Everything),
            Self::Ids(runs) => return Ids::parse(runs.iter().map(|run| of.id_of(*run))).ok().map(Selection::Ids),
            Self::Refined(within, refine) => {
                let filter = match within.selection(of, now)? {
                    Selection::Filter(filter) => Some(filter),
                    _ => None,
                };
                return Some(Selection::Refined(Refined::new(filter, refine.refinement(of)?)));
            }
            _ => {}
        }
        let (from, to) = self.dates(of, now);
        let mut filter = Filter::builder();
        filter = from.into_iter().fold(filter, |filter, from| filter.from(UnixMillis::new(from)));
        filter = to.into_iter().fold(filter, |filter, to| filter.to(UnixMillis::new(to)));
        for (name, value) in self.conditions(of) {
            filter = match name {
                "label" => filter.label(value),
                "workflowUrl" => filter.workflow_url(value),
                "workflowRunId" => filter.workflow_run_id(value),
                "workflowCreatedAt" => filter.workflow_created_at(UnixMillis::new(value.parse().ok()?)),
                "failureFunctionState" => filter.failure_function_state(&FailureFunctionState::from(value.as_str())),
                "callerIp" => filter.caller_ip(value),
                _ => filter.flow_control_key(value),
            };
        }
        filter.build().ok().map(Selection::Filter)
    }

    /// Whether the run may be acted on by some process.
    pub(crate) fn wants(&self, of: Population, index: RunIndex) -> bool {
        self.wants_at(of, index, BASE + LONGEST_CLOCK_STEP)
    }

    /// Whether the run may be acted on if "until now" was resolved at `now`.
    pub(crate) fn wants_at(&self, of: Population, index: RunIndex, now: i64) -> bool {
        match self {
            Self::Ids(runs) => return runs.contains(&index),
            Self::Refined(within, refine) => return refine.wants(index) && within.wants_at(of, index, now),
            _ => {}
        }
        let has = |(name, value): &(&'static str, String)| match *name {
            "label" => of.labels(index).contains(value),
            "workflowUrl" => of.url(index) == *value,
            "workflowRunId" => of.workflow_run_id(index).starts_with(value.as_str()),
            "workflowCreatedAt" => of.workflow_created_at(index).to_string() == *value,
            "failureFunctionState" => Population::state(index) == value,
            "callerIp" => of.caller_ip(index) == *value,
            _ => of.flow_control_key(index) == *value,
        };
        let conditions = self.conditions(of);
        let is_met = |name: &str| conditions.iter().filter(|(other, _)| *other == name).any(has);
        let (from, to) = self.dates(of, now);
        let at = of.created_at(index);
        // Nothing says which of its times the dates mean. Where the server ignores them, a run that was created before "now" counts
        // as one up to now, even if it failed after it.
        let earliest = if self.is_until_now() { at.min(of.workflow_created_at(index)) } else { at };
        conditions.iter().all(|(name, _)| is_met(name))
            && from.is_none_or(|from| from <= at)
            && to.is_none_or(|to| earliest <= to)
    }

    /// Whether it ends at the present of the process that resolves it.
    pub(crate) fn is_until_now(&self) -> bool {
        match self {
            Self::Refined(within, _) => within.is_until_now(),
            _ => *self == Self::RedUntilNow,
        }
    }

    /// What is wrong with a request that asks for runs by filter with this query, if anything is. `now`: when "until now" was
    /// resolved.
    pub(crate) fn objection(&self, of: Population, now: i64, query: &[(String, String)]) -> Option<String> {
        let is_condition = |name: &str| !matches!(name, "fromDate" | "toDate" | "count" | "cursor");
        let mut asked: Vec<(&str, &str)> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| is_condition(name))
            .collect();
        let conditions = self.conditions(of);
        let mut wanted: Vec<(&str, &str)> = conditions.iter().map(|(name, value)| (*name, value.as_str())).collect();
        asked.sort_unstable();
        wanted.sort_unstable();
        let date = |wanted: &str| {
            query.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.parse::<i64>().ok())
        };
        let (oldest, newest) = self.dates(of, now);
        let is_right = !matches!(self, Self::Ids(_))
            && asked == wanted
            && oldest.is_none_or(|oldest| date("fromDate").is_some_and(|from| from >= oldest))
            && newest.is_none_or(|newest| date("toDate").is_some_and(|to| to <= newest));
        (!is_right).then(|| format!("nothing outside: a request asks for runs outside {self:?}: {query:?}"))
    }
}
