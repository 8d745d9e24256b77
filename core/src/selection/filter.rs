//! The filter: which runs match, by the fields that the service can filter by.

use crate::bugs::bug;
use crate::model::callback_state::FailureFunctionState;
use crate::model::field_error::FieldError;
use crate::model::time::RETENTION_MS;
use crate::model::time::UnixMillis;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Which runs match. A run matches if it meets all given fields. It meets a field if it has one of the field's values (OR
/// within a field, AND between fields). A filter without a condition cannot be built.
///
/// It is serialised with serde under the API's own field names. Deserialising checks what [`FilterBuilder::build`] checks.
///
/// ```
/// use upstash_dlq_core::{Filter, UnixMillis};
/// let filter = Filter::builder().label("nightly").label("red & white").from(UnixMillis::new(1_752_829_295_505)).build()?;
/// assert!(Filter::builder().build().is_err());
/// assert!(Filter::builder().label("").build().is_err());
/// # Ok::<(), upstash_dlq_core::model::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FilterBuilder", into = "FilterBuilder")]
pub struct Filter(FilterBuilder);

/// Which times of a filter were given relative to the present ("7 days ago"). A later process resolves the same words to
/// later times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelativeTimes {
    /// The lower end, [`FilterBuilder::from`].
    pub from: bool,
    /// The upper end, [`FilterBuilder::to`], also if it is the present itself.
    pub to: bool,
}

/// Collects the conditions of a [`Filter`]. [`build`](Self::build) checks them.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use upstash_dlq_core::model::FailureFunctionState;
/// use upstash_dlq_core::wire::{Call, List};
/// use upstash_dlq_core::{Filter, UnixMillis};
/// let filter = Filter::builder()
///     .from(UnixMillis::new(1_752_224_495_505))
///     .to(UnixMillis::new(1_752_829_295_505))
///     .workflow_url("https://example.com/a")
///     .workflow_url("https://example.com/b")
///     .label("nightly")
///     .failure_function_state(&FailureFunctionState::Fail)
///     .caller_ip("203.0.113.7")
///     .flow_control_key("payments")
///     .build()?;
/// let request = List::matching(filter).to_request(&endpoint)?;
/// assert_eq!(
///     request.uri().query(),
///     Some(
///         "fromDate=1752224495505&toDate=1752829295505\
///          &workflowUrl=https%3A%2F%2Fexample.com%2Fa&workflowUrl=https%3A%2F%2Fexample.com%2Fb&label=nightly\
///          &failureFunctionState=CALLBACK_FAIL&callerIp=203.0.113.7&flowControlKey=payments&count=100"
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[must_use]
pub struct FilterBuilder {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from_date: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_date: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) workflow_url: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow_created_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) label: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failure_function_state: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) caller_ip: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) flow_control_key: Vec<String>,
}

impl Filter {
    /// The longest encoded filter that is accepted, in bytes, with room for both dates. So a request with a cursor stays
    /// within what `http` can hold.
    pub const MAX_ENCODED_LEN: usize = 32_000;

    /// Starts an empty filter. It needs at least one condition to be built.
    pub fn builder() -> FilterBuilder {
        FilterBuilder::default()
    }

    /// Returns the conditions, to change them.
    pub fn into_builder(self) -> FilterBuilder {
        self.0
    }

    pub(crate) fn conditions(&self) -> &FilterBuilder {
        &self.0
    }

    /// The inclusive lower end of the time window.
    pub fn from(&self) -> Option<UnixMillis> {
        self.0.from_date
    }

    /// The inclusive upper end of the time window.
    pub fn to(&self) -> Option<UnixMillis> {
        self.0.to_date
    }

    /// Whether this is what `given` was in an earlier process: the same conditions, with the earlier values of the times that
    /// are relative to the present. An earlier filter never ends after the one that is given now. If both ends are relative,
    /// both have moved by the same time. It is not older than the time that the service keeps runs.
    pub(crate) fn is_an_earlier(&self, given: &Self, relative: RelativeTimes) -> bool {
        let (own, now) = (&self.0, &given.0);
        let rest = FilterBuilder { from_date: now.from_date, to_date: now.to_date, ..own.clone() };
        let moved = |own: Option<UnixMillis>, now: Option<UnixMillis>| match (own, now) {
            (Some(own), Some(now)) => Some(i128::from(now.get()) - i128::from(own.get())),
            (None, None) => Some(0),
            (Some(_), None) | (None, Some(_)) => None,
        };
        let (Some(from), Some(to)) = (moved(own.from_date, now.from_date), moved(own.to_date, now.to_date)) else {
            return false;
        };
        let to_fits = if relative.to { to >= 0 } else { to == 0 };
        let from_fits = match (relative.from, relative.to && own.to_date.is_some()) {
            (false, _) => from == 0,
            (true, false) => from <= i128::from(RETENTION_MS),
            (true, true) => own.from_date.is_none() || (from == to && from <= i128::from(RETENTION_MS)),
        };
        rest == *now && to_fits && from_fits
    }

    /// How long the encoded filter is with the longest possible dates, in bytes. A window of it has both dates, even if the
    /// filter has none.
    fn longest_encoded_len(&self) -> usize {
        const LONGEST_DATES: usize = "fromDate=&toDate=&".len() + 2 * "-9223372036854775808".len();
        let mut len = LONGEST_DATES;
        self.for_each_pair(|name, value| {
            if !matches!(name, "fromDate" | "toDate") {
                let value: usize = form_urlencoded::byte_serialize(value.as_bytes()).map(str::len).sum();
                len += name.len() + "=&".len() + value;
            }
        });
        len
    }

    /// Visits the pairs of the query, in the order of the service's OpenAPI description.
    pub(crate) fn for_each_pair(&self, mut pair: impl FnMut(&'static str, &str)) {
        let f = &self.0;
        let time = |name, value: Option<UnixMillis>, pair: &mut dyn FnMut(&'static str, &str)| {
            if let Some(value) = value {
                pair(name, &value.to_string());
            }
        };
        time("fromDate", f.from_date, &mut pair);
        time("toDate", f.to_date, &mut pair);
        f.workflow_url.iter().for_each(|v| pair("workflowUrl", v));
        f.workflow_run_id.iter().for_each(|v| pair("workflowRunId", v));
        time("workflowCreatedAt", f.workflow_created_at, &mut pair);
        f.label.iter().for_each(|v| pair("label", v));
        f.failure_function_state.iter().for_each(|v| pair("failureFunctionState", v));
        let addresses = f.caller_ip.iter().filter(|_| !bug!(FieldNotSent) || f.label.is_empty());
        addresses.for_each(|v| pair("callerIp", v));
        f.flow_control_key.iter().for_each(|v| pair("flowControlKey", v));
    }
}

impl FilterBuilder {
    /// Runs that failed at or after this time (`fromDate`).
    pub fn from(mut self, from: UnixMillis) -> Self {
        self.from_date = Some(from);
        self
    }

    /// Runs that failed at or before this time (`toDate`).
    pub fn to(mut self, to: UnixMillis) -> Self {
        self.to_date = Some(to);
        self
    }

    /// Runs of this workflow (`workflowUrl`). May be given again for alternatives.
    pub fn workflow_url(mut self, url: impl Into<String>) -> Self {
        self.workflow_url.push(url.into());
        self
    }

    /// The run with this id (`workflowRunId`). Older documents of the service call it a prefix match.
    pub fn workflow_run_id(mut self, id: impl Into<String>) -> Self {
        self.workflow_run_id = Some(id.into());
        self
    }

    /// Runs that were created at exactly this time (`workflowCreatedAt`).
    pub fn workflow_created_at(mut self, at: UnixMillis) -> Self {
        self.workflow_created_at = Some(at);
        self
    }

    /// Runs with this label (`label`). May be given again for alternatives.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label.push(label.into());
        self
    }

    /// Runs whose failure callback is in this state (`failureFunctionState`). May be given again for alternatives.
    pub fn failure_function_state(mut self, state: &FailureFunctionState) -> Self {
        self.failure_function_state.push(state.as_str().to_string());
        self
    }

    /// Runs that were published from this address (`callerIp`). May be given again for alternatives.
    pub fn caller_ip(mut self, ip: impl Into<String>) -> Self {
        self.caller_ip.push(ip.into());
        self
    }

    /// Runs with this flow control key (`flowControlKey`). May be given again for alternatives.
    pub fn flow_control_key(mut self, key: impl Into<String>) -> Self {
        self.flow_control_key.push(key.into());
        self
    }

    /// Checks the conditions and builds the filter.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if
    /// - there is no condition,
    /// - a value is empty or blank (the service would drop it and match more),
    /// - a value contains a comma (the service would split it),
    /// - `from` lies after `to`, or
    /// - the filter is longer than [`Filter::MAX_ENCODED_LEN`] bytes.
    pub fn build(self) -> Result<Filter, FieldError> {
        let filter = Filter(self);
        let mut pairs = 0_usize;
        let mut problem = None;
        filter.for_each_pair(|field, value| {
            pairs += 1;
            if problem.is_none() {
                problem = check_value(field, value).err();
            }
        });
        if let Some(problem) = problem {
            return Err(problem);
        }
        if pairs == 0 {
            return Err(FieldError::empty(
                "filter",
                "no condition is given: give at least one, or select everything explicitly",
            ));
        }
        if let (Some(from), Some(to)) = (filter.from(), filter.to()) {
            if from > to {
                return Err(FieldError::new("fromDate", &from.to_string(), "lies after toDate: swap them"));
            }
        }
        if filter.longest_encoded_len() > Filter::MAX_ENCODED_LEN {
            return Err(FieldError::empty(
                "filter",
                "is longer than 32,000 bytes once encoded: split it into several operations",
            ));
        }
        Ok(filter)
    }
}

fn check_value(field: &'static str, value: &str) -> Result<(), FieldError> {
    if value.trim().is_empty() {
        return Err(FieldError::new(
            field,
            value,
            "is empty, which the service treats as no filter at all: leave it out or give a value",
        ));
    }
    if value.contains(',') {
        return Err(FieldError::new(
            field,
            value,
            "holds a comma, at which the service splits values, so more runs would match: give each value by itself",
        ));
    }
    Ok(())
}

impl TryFrom<FilterBuilder> for Filter {
    type Error = FieldError;
    fn try_from(builder: FilterBuilder) -> Result<Self, Self::Error> {
        builder.build()
    }
}

impl core::convert::From<Filter> for FilterBuilder {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}
