//! Parses spans of time as people write them: durations, and the ages that times may be given as.

use jiff::{Span, SpanRelativeTo, Unit};
use std::time::Duration;

/// A span with units, never negative. A day has 24 hours.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains("ago") {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let nanos = span.total((Unit::Nanosecond, SpanRelativeTo::days_are_24_hours())).ok()?;
    (nanos >= 0.0)
        .then(|| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())?
        .and_then(|d| Duration::try_from(d).ok())
}

pub(crate) fn parse_duration_or_zero(text: &str) -> Result<Duration, String> {
    match parse_span(text) {
        Some(duration) if duration <= Duration::from_secs(86_400) => Ok(duration),
        Some(_) => Err("is longer than a day".into()),
        None => Err("is not a duration: give one such as 30s, 500ms or 2m".into()),
    }
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    match parse_duration_or_zero(text)? {
        Duration::ZERO => Err("must be more than 0".into()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["0s", "-1s", "30", "", "2d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
