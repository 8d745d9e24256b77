//! Which runs match, by the fields that the service can filter by.

use crate::model::callback_state::FailureFunctionState;
use crate::model::field_error::FieldError;
use crate::model::time::RETENTION_MS;
use crate::model::time::UnixMillis;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Which runs match: the values of one field are alternatives, and all given fields must hold (OR within a field, AND
/// between fields). A filter without a condition cannot be built.
///
/// It reads and writes with serde under the API's own field names; reading checks what [`FilterBuilder::build`] checks.
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

/// Which times of a filter were given relative to the present ("7 days ago"), so that a later process resolves the same
/// words to later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelativeTimes {
    /// The lower end, [`FilterBuilder::from`].
    pub from: bool,
    /// The upper end, [`FilterBuilder::to`], also where it is the present itself.
    pub to: bool,
}

/// Collects conditions; [`build`](Self::build) checks them.
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
    /// How long the encoded filter may be with both of its dates, in bytes, so that a request with a cursor stays within what
    /// `http` can hold.
    pub const MAX_ENCODED_LEN: usize = 32_000;

    /// Starts an empty filter, which will not build before it has a condition.
    pub fn builder() -> FilterBuilder {
        FilterBuilder::default()
    }

    /// The conditions again, to change them.
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

    /// Whether this is what `given` was in an earlier process: the same conditions, with the times that were given relative
    /// to the present as they were then. It never reaches beyond the upper end that is given now, where both ends are
    /// relative both have moved by the same time, and no file is older than the service keeps runs.
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

    /// How long the encoded filter is with the longest dates there can be, in bytes: a window of it has both, whether or not
    /// they were given.
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

    /// The query's pairs in the order of the service's OpenAPI description.
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
        f.caller_ip.iter().for_each(|v| pair("callerIp", v));
        f.flow_control_key.iter().for_each(|v| pair("flowControlKey", v));
    }
}

impl FilterBuilder {
    /// Failed at or after this time (`fromDate`, inclusive).
    pub fn from(mut self, from: UnixMillis) -> Self {
        self.from_date = Some(from);
        self
    }

    /// Failed at or before this time (`toDate`, inclusive).
    pub fn to(mut self, to: UnixMillis) -> Self {
        self.to_date = Some(to);
        self
    }

    /// Of this workflow; repeatable.
    pub fn workflow_url(mut self, url: impl Into<String>) -> Self {
        self.workflow_url.push(url.into());
        self
    }

    /// Of this run. Older documents of the service call it a prefix match.
    pub fn workflow_run_id(mut self, id: impl Into<String>) -> Self {
        self.workflow_run_id = Some(id.into());
        self
    }

    /// Of the run that was created at exactly this time (`workflowCreatedAt`).
    pub fn workflow_created_at(mut self, at: UnixMillis) -> Self {
        self.workflow_created_at = Some(at);
        self
    }

    /// With this label; repeatable.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label.push(label.into());
        self
    }

    /// Whose failure function is in this state; repeatable.
    pub fn failure_function_state(mut self, state: &FailureFunctionState) -> Self {
        self.failure_function_state.push(state.as_str().to_string());
        self
    }

    /// Published from this address; repeatable.
    pub fn caller_ip(mut self, ip: impl Into<String>) -> Self {
        self.caller_ip.push(ip.into());
        self
    }

    /// With this flow control key; repeatable.
    pub fn flow_control_key(mut self, key: impl Into<String>) -> Self {
        self.flow_control_key.push(key.into());
        self
    }

    /// # Errors
    /// No condition at all; a value that is empty or blank (the service would drop it and match more); a comma in a value
    /// (the service would split it); a window that ends before it begins; a filter longer than
    /// [`Filter::MAX_ENCODED_LEN`] bytes.
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
                "no condition is given: give at least one, or choose everything in so many words",
            ));
        }
        if let (Some(from), Some(to)) = (filter.from(), filter.to()) {
            if from > to {
                return Err(FieldError::new(
                    "fromDate",
                    &from.to_string(),
                    "lies after toDate: swap them, both are inclusive",
                ));
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
            "is empty, which the service takes for no filter at all: leave it out or give a value",
        ));
    }
    if value.contains(',') {
        return Err(FieldError::new(
            field,
            value,
            "holds a comma, at which the service splits values, so that more would match than was asked: give each value by itself",
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
