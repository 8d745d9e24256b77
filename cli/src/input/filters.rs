//! Turns the filters of the command line into the core's [`Filter`].

use crate::cli::Filters;
use crate::input::flag;
use crate::input::time::{self, End, Now};
use crate::output::terminal::escaped;
use upstash_dlq_core::Filter;
use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::selection::FilterBuilder;
use upstash_dlq_core::wire::List;

impl Filters {
    pub(crate) fn is_empty(&self) -> bool {
        self.first_given().is_none()
    }

    /// The name of the first filter that was given, for an error.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        self.as_given().first().map(|(name, _)| *name)
    }

    /// The filters as they were given. A checkpoint is recognised by them.
    pub(crate) fn as_given(&self) -> Vec<(&'static str, &str)> {
        fn many<'a>(name: &'static str, values: &'a [String]) -> Vec<(&'static str, &'a str)> {
            values.iter().map(|value| (name, value.as_str())).collect()
        }
        fn one<'a>(name: &'static str, value: &'a Option<String>) -> Vec<(&'static str, &'a str)> {
            value.iter().map(|value| (name, value.as_str())).collect()
        }
        let Self {
            label,
            workflow_url,
            workflow_run_id,
            workflow_created_at,
            from,
            to,
            failure_function_state,
            caller_ip,
            flow_control_key,
        } = self;
        [
            many("label", label),
            many("workflow-url", workflow_url),
            one("workflow-run-id", workflow_run_id),
            one("workflow-created-at", workflow_created_at),
            one("from", from),
            one("to", to),
            many("failure-function-state", failure_function_state),
            many("caller-ip", caller_ip),
            many("flow-control-key", flow_control_key),
        ]
        .concat()
    }

    /// A note on each state of a failure callback that the service does not document. It may know more of them, so it is asked.
    pub(crate) fn unknown_states(&self) -> Vec<String> {
        use FailureFunctionState::{Canceled, Fail, InProgress, Other, Success};
        let unknown = |state: &&String| matches!(FailureFunctionState::from(state.as_str()), Other(_));
        let known = [InProgress, Success, Fail, Canceled].map(|state| state.as_str().to_owned()).join(", ");
        let note = |state: &String| {
            format!(
                "note: --failure-function-state: {} is not one of {known}; the service is asked all the same",
                escaped(state)
            )
        };
        self.failure_function_state.iter().filter(unknown).map(note).collect()
    }

    /// The error of times that are the wrong way round, with the times as they were given.
    fn swapped(&self) -> String {
        let given = |text: &Option<String>| text.as_deref().map(escaped);
        let from = given(&self.from).unwrap_or_default();
        match given(&self.to) {
            Some(to) => format!("--from {from} is later than --to {to}: give the earlier time as --from"),
            None => format!("--from {from} is later than --to, which is now unless you give it"),
        }
    }

    pub(crate) fn build(&self, now: Now) -> Result<Filter, String> {
        let Self {
            label,
            workflow_url,
            workflow_run_id,
            workflow_created_at,
            from,
            to,
            failure_function_state,
            caller_ip,
            flow_control_key,
        } = self;
        let mut filter = Filter::builder();
        let time = |flag: &str, text: &Option<String>, end| {
            text.as_deref().map(|text| time::parse_time(text, end, now).map_err(|e| format!("{flag}: {e}"))).transpose()
        };
        let from = time("--from", from, End::Lower)?;
        // Fixed at the start, so that runs that fail during the delete are left alone.
        let to = time("--to", to, End::Upper)?.unwrap_or(now.millis());
        if from.is_some_and(|from| from > to) {
            return Err(self.swapped());
        }
        filter = from.into_iter().fold(filter, FilterBuilder::from).to(to);
        if let Some(at) = time("--workflow-created-at", workflow_created_at, End::Lower)? {
            filter = filter.workflow_created_at(at);
        }
        filter = label.iter().fold(filter, FilterBuilder::label);
        filter = workflow_url.iter().fold(filter, FilterBuilder::workflow_url);
        filter = workflow_run_id.iter().fold(filter, FilterBuilder::workflow_run_id);
        filter = failure_function_state.iter().fold(filter, |f, s| f.failure_function_state(&s.as_str().into()));
        filter = caller_ip.iter().fold(filter, FilterBuilder::caller_ip);
        filter = flow_control_key.iter().fold(filter, FilterBuilder::flow_control_key);
        filter.build().map_err(|error| flag::selection(&error))
    }

    /// What to list. Without a filter that is everything, with no end in time.
    pub(crate) fn listing(&self, now: Now) -> Result<List, String> {
        if self.is_empty() { Ok(List::everything()) } else { self.build(now).map(List::matching) }
    }
}
