//! Whether a listed run is one that a filter asks for: what the server says is held against what it was asked.

use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;

/// What a message says of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It meets every condition.
    Yes,
    /// It does not meet the condition on this field, by the field's name in the API.
    No(&'static str),
    /// It meets every condition that it can be held against; it does not carry this field.
    Unknown(&'static str),
}

impl Filter {
    /// Whether a message meets this filter.
    ///
    /// A message without the label, the workflow URL or the run id that is asked for does not meet it. One without
    /// `callerIP`, `flowControlKey` or a failure function state may. A run id is met by what begins with it, since older
    /// documents of the service call it a prefix. Which of its times the service holds against `fromDate` and `toDate`
    /// is not promised: a message meets them if any time that it carries lies within.
    ///
    /// ```
    /// use upstash_dlq_core::{DlqMessage, Filter, selection::Match};
    /// let filter = Filter::builder().label("nightly").flow_control_key("k").build()?;
    /// assert_eq!(filter.matches(&DlqMessage::parse(r#"{"labels":["weekly"]}"#)?), Match::No("label"));
    /// assert_eq!(filter.matches(&DlqMessage::parse(r#"{"labels":["nightly"]}"#)?), Match::Unknown("flowControlKey"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn matches(&self, message: &DlqMessage) -> Match {
        let conditions = self.conditions();
        let one_of = |wanted: &[alloc::string::String], has: &str| wanted.iter().any(|wanted| wanted == has);
        let mut unknown = None;
        let mut hold = |field: &'static str, holds: Option<bool>| match holds {
            Some(true) => true,
            Some(false) => false,
            None => {
                unknown.get_or_insert(field);
                true
            }
        };
        let labels = message.labels();
        if !conditions.label.is_empty() && !labels.iter().any(|label| one_of(&conditions.label, label)) {
            return Match::No("label");
        }
        let url = message.workflow_url();
        if !conditions.workflow_url.is_empty() && !url.is_some_and(|url| one_of(&conditions.workflow_url, &url)) {
            return Match::No("workflowUrl");
        }
        if let Some(prefix) = &conditions.workflow_run_id {
            if !message.workflow_run_id().is_some_and(|id| id.starts_with(prefix.as_str())) {
                return Match::No("workflowRunId");
            }
        }
        if let Some(at) = conditions.workflow_created_at {
            if !hold("workflowCreatedAt", message.workflow_created_at().map(|created| created == at)) {
                return Match::No("workflowCreatedAt");
            }
        }
        let times = [message.created_at(), message.workflow_created_at(), message.not_before()];
        for (field, met) in [
            ("fromDate", conditions.from_date.map(|from| any(times, |time| time >= from))),
            ("toDate", conditions.to_date.map(|to| any(times, |time| time <= to))),
        ] {
            if let Some(met) = met {
                if !hold(field, met) {
                    return Match::No(field);
                }
            }
        }
        if let (Some(from), Some(to)) = (conditions.from_date, conditions.to_date) {
            // Each end is met by some time; one and the same has to meet both.
            if any(times, |time| time >= from && time <= to) == Some(false) {
                return Match::No("fromDate");
            }
        }
        let state = message.failure_function_state();
        let (ip, key) = (message.caller_ip(), message.flow_control_key());
        let others = [
            ("failureFunctionState", &conditions.failure_function_state, state.as_ref().map(|state| state.as_str())),
            ("callerIp", &conditions.caller_ip, ip.as_deref()),
            ("flowControlKey", &conditions.flow_control_key, key.as_deref()),
        ];
        for (field, wanted, has) in others {
            if !wanted.is_empty() && !hold(field, has.map(|has| one_of(wanted, has))) {
                return Match::No(field);
            }
        }
        unknown.map_or(Match::Yes, Match::Unknown)
    }
}

/// `None` where the message carries no time.
fn any(times: [Option<UnixMillis>; 3], met: impl Fn(UnixMillis) -> bool) -> Option<bool> {
    let mut carried = times.into_iter().flatten().peekable();
    carried.peek()?;
    Some(carried.any(met))
}
