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
    use proptest::prelude::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["0s", "-1s", "30", "", "2d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_bounded_duration_or_a_sentence(text in "([0-9]{1,20}(ns|us|ms|s|m|h|d|w|mo|y|ago)? ?){1,3}|.*") {
            if let Ok(duration) = parse_duration(&text) {
                prop_assert!(!duration.is_zero() && duration <= Duration::from_secs(86_400));
                prop_assert_eq!(parse_duration_or_zero(&text), Ok(duration));
            }
        }

        #[test]
        fn a_number_of_a_unit_is_as_long_as_it_says(n in 0..1_000_000_u32, unit in 0..6_usize) {
            let (unit, millis) =
                [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)][unit];
            prop_assert_eq!(parse_span(&format!("{n}{unit}")), Some(Duration::from_millis(u64::from(n) * millis)));
        }
    }
}
