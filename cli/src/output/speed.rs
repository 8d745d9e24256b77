//! How fast runs are done, and how long the rest takes. Knows numbers and times, no clock.

use crate::output::text::thousands;
use indicatif::HumanDuration;
use std::time::Duration;

/// Runs per second. `None` as long as nothing is known about it.
pub(crate) fn per_second(runs: u64, elapsed: Duration) -> Option<f64> {
    let seconds = elapsed.as_secs_f64();
    // Close enough for a display.
    #[allow(clippy::cast_precision_loss, reason = "shown with two digits or more, never all")]
    (runs > 0 && seconds > 0.0).then(|| runs as f64 / seconds)
}

/// `250/s`; what is slow, with one decimal.
pub(crate) fn shown_rate(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}/s");
    }
    // A number that does not fit is shown as the largest that does.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and not negative")]
    let whole = rate.round() as u64;
    format!("{}/s", thousands(whole))
}

/// `2 minutes left`. `None` if nothing is left to do.
pub(crate) fn time_left(runs: u64, rate: f64) -> Option<String> {
    #[allow(clippy::cast_precision_loss, reason = "shown in whole seconds")]
    let left = (runs > 0).then(|| Duration::try_from_secs_f64(runs as f64 / rate).unwrap_or(Duration::MAX));
    left.map(|left| format!("{} left", HumanDuration(left)))
}

/// A line about what is done so far: `1,234 deleted so far, 250/s, 2 minutes left`. `earlier` is how many of the runs an earlier
/// process did, `expected` how many there are, if that is known.
pub(crate) fn so_far(runs: u64, done: &str, earlier: u64, expected: Option<u64>, elapsed: Duration) -> String {
    let mut line = format!("{} {done} so far", thousands(runs));
    if let Some(rate) = per_second(runs.saturating_sub(earlier), elapsed) {
        line += &format!(", {}", shown_rate(rate));
        let left = expected.and_then(|expected| time_left(expected.saturating_sub(runs), rate));
        left.iter().for_each(|left| line += &format!(", {left}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_known() {
        let ten = Duration::from_secs(10);
        for (runs, earlier, expected, elapsed, line) in [
            (2_500, 0, None, ten, "2,500 deleted so far, 250/s"),
            (2_500, 0, Some(32_500), ten, "2,500 deleted so far, 250/s, 2 minutes left"),
            (2_500, 2_480, Some(2_520), ten, "2,500 deleted so far, 2.0/s, 10 seconds left"),
            // There were more than the preview had counted.
            (2_500, 0, Some(2_000), ten, "2,500 deleted so far, 250/s"),
            (2_500, 2_500, Some(9_000), ten, "2,500 deleted so far"),
            (5, 0, Some(9), Duration::ZERO, "5 deleted so far"),
        ] {
            assert_eq!(so_far(runs, "deleted", earlier, expected, elapsed), line);
        }
        let extremes = [0.04, 9.94, 10.0, 999.6, f64::MAX].map(shown_rate);
        assert_eq!(extremes[..4], ["0.0/s", "9.9/s", "10/s", "1,000/s"]);
        assert_eq!(time_left(u64::MAX, f64::MIN_POSITIVE).map(|left| left.ends_with(" left")), Some(true));
    }
}
