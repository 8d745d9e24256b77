//! Settings that resumed and restarted runs get instead of their own.

use crate::model::field_error::FieldError;
use crate::model::period::Period;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::NonZeroU32;
use http::{HeaderMap, HeaderName, HeaderValue};

const RETRIES: HeaderName = HeaderName::from_static("upstash-retries");
const DELAY: HeaderName = HeaderName::from_static("upstash-delay");
const RETRY_DELAY: HeaderName = HeaderName::from_static("upstash-retry-delay");
const FLOW_CONTROL_KEY: HeaderName = HeaderName::from_static("upstash-flow-control-key");
const FLOW_CONTROL_VALUE: HeaderName = HeaderName::from_static("upstash-flow-control-value");
const LABEL: HeaderName = HeaderName::from_static("upstash-label");
const FAILURE_CALLBACK: HeaderName = HeaderName::from_static("upstash-failure-callback");

/// The longest value that is accepted, in bytes. Servers and proxies limit the length of headers.
const MAX_LEN: usize = 4_096;

/// Settings that resumed and restarted runs get instead of their own. A setting that is not given stays as it was. They are
/// sent as `Upstash-…` headers (the service's OpenAPI description, bulk resume and restart).
///
/// ```
/// use upstash_dlq_core::wire::{FlowControl, Overrides};
/// let overrides = Overrides::builder()
///     .retries(5)
///     .delay("10s".parse()?)
///     .flow_control(FlowControl::key("payments").parallelism(3).rate(10, "1m".parse()?))
///     .label("second try")
///     .build()?;
/// assert!(Overrides::builder().label("a,b").build().is_err());
/// # Ok::<(), upstash_dlq_core::model::FieldError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(HeaderName, HeaderValue)>);

/// Collects [`Overrides`]. [`build`](Self::build) checks them.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct OverridesBuilder {
    retries: Option<u32>,
    delay: Option<Period>,
    retry_delay: Option<String>,
    flow_control: Option<FlowControl>,
    labels: Vec<String>,
    failure_callback: Option<String>,
}

/// A key, and how many steps with this key may run at once or start in a period.
///
/// ```
/// use upstash_dlq_core::wire::{FlowControl, Overrides};
/// let flow_control = FlowControl::key("payments").parallelism(3).rate(10, "1m".parse()?);
/// let overrides = Overrides::builder().flow_control(flow_control).build()?;
/// assert_eq!(
///     overrides.pairs().collect::<Vec<_>>(),
///     [
///         ("upstash-flow-control-key", "payments"),
///         ("upstash-flow-control-value", "parallelism=3, rate=10, period=1m"),
///     ]
/// );
/// assert!(Overrides::builder().flow_control(FlowControl::key("payments")).build().is_err(), "no limit");
/// # Ok::<(), upstash_dlq_core::model::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct FlowControl {
    key: String,
    parallelism: Option<u32>,
    rate: Option<(u32, Option<Period>)>,
}

impl FlowControl {
    /// Starts with a key. [`Self::parallelism`] or [`Self::rate`] has to follow.
    pub fn key(key: impl Into<String>) -> Self {
        Self { key: key.into(), parallelism: None, rate: None }
    }

    /// Sets how many steps may run at once, at least one.
    pub fn parallelism(self, parallelism: u32) -> Self {
        Self { parallelism: Some(parallelism), ..self }
    }

    /// Sets how many steps may start in a period, at least one.
    pub fn rate(self, rate: u32, period: Period) -> Self {
        Self { rate: Some((rate, Some(period))), ..self }
    }

    /// Sets how many steps may start in a second, which is the service's default period.
    pub fn rate_per_second(self, rate: u32) -> Self {
        Self { rate: Some((rate, None)), ..self }
    }

    fn value(&self) -> Result<String, FieldError> {
        let positive = |name, number: u32| {
            NonZeroU32::new(number)
                .ok_or_else(|| FieldError::new(name, "0", "must be at least 1: leave it out for no limit"))
        };
        let mut parts = Vec::new();
        if let Some(parallelism) = self.parallelism {
            parts.push(alloc::format!("parallelism={}", positive("parallelism", parallelism)?));
        }
        if let Some((rate, period)) = &self.rate {
            parts.push(alloc::format!("rate={}", positive("rate", *rate)?));
            parts.extend(period.iter().map(|period| alloc::format!("period={period}")));
        }
        if parts.is_empty() {
            return Err(FieldError::empty("flowControl", "sets no limit: give a parallelism or a rate with its key"));
        }
        Ok(parts.join(", "))
    }
}

impl Overrides {
    /// Starts without any setting.
    pub fn builder() -> OverridesBuilder {
        OverridesBuilder::default()
    }

    /// Whether there is no setting.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the headers, in lower case, and their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.extend(self.0.iter().cloned());
    }
}

impl OverridesBuilder {
    /// Sets how often each of the remaining steps is retried.
    pub fn retries(self, retries: u32) -> Self {
        Self { retries: Some(retries), ..self }
    }

    /// Sets how long the service waits before the next step.
    pub fn delay(self, delay: Period) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// Sets the expression for the wait between retries, in the service's own language.
    pub fn retry_delay(self, expression: impl Into<String>) -> Self {
        Self { retry_delay: Some(expression.into()), ..self }
    }

    /// Sets the flow control of the remaining steps.
    pub fn flow_control(self, flow_control: FlowControl) -> Self {
        Self { flow_control: Some(flow_control), ..self }
    }

    /// Adds a label to the runs. May be given again for several.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Sets the URL that failures are reported to.
    pub fn failure_callback(self, url: impl Into<String>) -> Self {
        Self { failure_callback: Some(url.into()), ..self }
    }

    /// Checks the settings and builds the overrides.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if
    /// - a value is empty or blank, begins or ends with white space, or is longer than 4,096 bytes,
    /// - a value contains a control character or anything but ASCII, which no header can carry,
    /// - a label contains a comma (the service would split it),
    /// - the failure callback is not an `http` or `https` URL, or
    /// - the flow control sets no limit, or a limit of zero.
    pub fn build(self) -> Result<Overrides, FieldError> {
        let mut headers = Vec::new();
        let mut push = |field: &'static str, name: HeaderName, value: &str| {
            headers.push((name, header_value(field, value)?));
            Ok::<(), FieldError>(())
        };
        if let Some(retries) = self.retries {
            push("retries", RETRIES, &retries.to_string())?;
        }
        if let Some(delay) = &self.delay {
            push("delay", DELAY, delay.as_str())?;
        }
        if let Some(expression) = &self.retry_delay {
            push("retryDelay", RETRY_DELAY, expression)?;
        }
        if let Some(flow_control) = &self.flow_control {
            push("flowControlKey", FLOW_CONTROL_KEY, &flow_control.key)?;
            push("flowControl", FLOW_CONTROL_VALUE, &flow_control.value()?)?;
        }
        for label in &self.labels {
            header_value("label", label)?;
            if label.contains(',') {
                return Err(FieldError::new(
                    "label",
                    label,
                    "holds a comma, at which the service would split it into two labels: give each label by itself",
                ));
            }
        }
        if !self.labels.is_empty() {
            push("label", LABEL, &self.labels.join(","))?;
        }
        if let Some(url) = &self.failure_callback {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
            if rest.is_empty() || rest.contains(' ') {
                return Err(FieldError::new("failureCallback", url, "is not an http or https URL: give it whole"));
            }
            push("failureCallback", FAILURE_CALLBACK, url)?;
        }
        Ok(Overrides(headers))
    }
}

fn header_value(field: &'static str, value: &str) -> Result<HeaderValue, FieldError> {
    if value.trim().is_empty() {
        return Err(FieldError::new(field, value, "is empty: leave it out or give a value"));
    }
    if value.trim() != value {
        return Err(FieldError::new(field, value, "has white space around it, which a header loses: give it without"));
    }
    if value.len() > MAX_LEN {
        return Err(FieldError::empty(field, "is longer than 4,096 bytes, which no header should be"));
    }
    let carried = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let problem = "holds a character that no HTTP header can carry: use ASCII";
    match HeaderValue::from_str(value) {
        Ok(header) if carried => Ok(header),
        _ => Err(FieldError::new(field, value, problem)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(builder: OverridesBuilder) -> Vec<(String, String)> {
        builder.build().unwrap().pairs().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn as_the_contract_writes_them() {
        let flow = FlowControl::key("k 1").rate(10, "1m".parse().unwrap()).parallelism(3);
        let all = Overrides::builder()
            .retries(0)
            .delay("10s".parse().unwrap())
            .retry_delay("pow(2, retried) * 1000")
            .flow_control(flow)
            .label("a b")
            .label("c")
            .failure_callback("https://x.example/f?a=1,2");
        let expected = [
            ("upstash-retries", "0"),
            ("upstash-delay", "10s"),
            ("upstash-retry-delay", "pow(2, retried) * 1000"),
            ("upstash-flow-control-key", "k 1"),
            ("upstash-flow-control-value", "parallelism=3, rate=10, period=1m"),
            ("upstash-label", "a b,c"),
            ("upstash-failure-callback", "https://x.example/f?a=1,2"),
        ];
        let expected: Vec<(String, String)> = expected.map(|(n, v)| (n.to_string(), v.to_string())).into();
        assert_eq!(pairs(all), expected);
        let rate = pairs(Overrides::builder().flow_control(FlowControl::key("k").rate_per_second(2)));
        assert_eq!(rate.last().unwrap().1, "rate=2");
        assert!(pairs(Overrides::builder()).is_empty());
    }

    #[test]
    fn what_is_refused() {
        let new = Overrides::builder;
        let refused = [
            new().label(""),
            new().label("a,b"),
            new().label("a\r\nX-Injected: 1"),
            new().label("größe"),
            new().label(" a"),
            new().retry_delay(" "),
            new().failure_callback("ftp://x"),
            new().failure_callback("https://"),
            new().failure_callback("https://a b"),
            new().failure_callback("https://größe.example"),
            new().failure_callback(alloc::format!("https://{}", "x".repeat(4_089))),
            new().flow_control(FlowControl::key("k")),
            new().flow_control(FlowControl::key("").parallelism(1)),
            new().flow_control(FlowControl::key("k").parallelism(0)),
            new().flow_control(FlowControl::key("k").rate_per_second(0)),
            new().retry_delay("x".repeat(4_097)),
        ];
        for builder in refused {
            assert!(builder.clone().build().is_err(), "{builder:?}");
        }
        assert!(new().failure_callback(alloc::format!("https://{}", "x".repeat(4_088))).build().is_ok());
    }

    /// The labels are one header, and have its length together.
    #[test]
    fn labels_have_one_length_together() {
        let labels = |last: usize| {
            let long = (0..3).fold(Overrides::builder(), |builder, _| builder.label("x".repeat(1_023)));
            long.label("x".repeat(last)).build()
        };
        assert_eq!(labels(1_024).unwrap().pairs().map(|(_, value)| value.len()).sum::<usize>(), 4_096);
        let error = labels(1_025).unwrap_err();
        assert_eq!(error.to_string(), "label: is longer than 4,096 bytes, which no header should be");
    }
}
