//! Checks listed runs against the filter that was sent, and says what may be done with one.

use crate::bugs::bug;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use alloc::string::String;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Whether a message matches a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The message meets every condition.
    Yes,
    /// The message does not meet the condition on this field. The name is the one in the API.
    No(&'static str),
    /// The message does not have this field, so its condition cannot be checked. The message meets all other conditions.
    Unknown(&'static str),
}

/// What may be done with a run that a listing shows. See [`Selection::check_listed`](crate::Selection::check_listed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The run is selected, so it may be acted on.
    Selected {
        /// The message lacks a field that the filter names: the service alone has compared it.
        is_unchecked: bool,
    },
    /// The run is not selected: its message does not match the refinement. The service was right to list it, since it does not
    /// know the refinement.
    LeftOut,
    /// The service should not have listed the run: its message does not match the filter in this field. So the service does not
    /// keep to the filter, and nothing that it lists may be acted on.
    Mismatch(&'static str),
}

impl Filter {
    /// Whether a message matches this filter.
    ///
    /// A message without a label, workflow URL or run id does not match a filter for one. A message without `callerIP`,
    /// `flowControlKey` or a failure callback state may match. A run id matches every id that begins with it, because older
    /// documents of the service call it a prefix. The service does not document which time it compares with `fromDate` and
    /// `toDate`: a message matches if any of its times lies between them.
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
        let one_of = |wanted: &[String], has: &str| wanted.iter().any(|wanted| wanted == has);
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
        let is_checked = !conditions.workflow_url.is_empty() && !bug!(FieldNotChecked);
        if is_checked && !url.is_some_and(|url| one_of(&conditions.workflow_url, &url)) {
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
            (
                "fromDate",
                conditions.from_date.filter(|_| !bug!(LowerEndNotChecked)).map(|from| any(times, |time| time >= from)),
            ),
            ("toDate", conditions.to_date.map(|to| any(times, |time| time <= to))),
        ] {
            if let Some(met) = met {
                if !hold(field, met) {
                    return Match::No(field);
                }
            }
        }
        if let (Some(from), Some(to)) = (conditions.from_date, conditions.to_date) {
            // Each end is met by some time. One and the same time has to meet both.
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

/// A name of its own, because serde would borrow a `&str` from what it reads.
pub(crate) type FieldName = &'static str;

/// The fields of a filter, which a mismatch names.
const FIELDS: [&str; 9] = [
    "label",
    "workflowUrl",
    "workflowRunId",
    "workflowCreatedAt",
    "fromDate",
    "toDate",
    "failureFunctionState",
    "callerIp",
    "flowControlKey",
];

/// Reads the name of a field, for serde.
pub(crate) fn field_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
    let name = String::deserialize(deserializer)?;
    FIELDS.into_iter().find(|field| *field == name).ok_or_else(|| D::Error::unknown_variant(&name, &FIELDS))
}

/// Whether any of the times meets the condition. `None` if the message has no time.
fn any(times: [Option<UnixMillis>; 3], met: impl Fn(UnixMillis) -> bool) -> Option<bool> {
    let mut carried = times.into_iter().flatten().peekable();
    carried.peek()?;
    Some(carried.any(met))
}
