//! Parses times as people write them.

use crate::cli::span::parse_span;
use jiff::Timestamp;
use jiff::civil::Date;
use upstash_dlq_core::UnixMillis;
use upstash_dlq_core::model::Escaped;

/// The present moment, which ages count back from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now(i64);

impl Now {
    pub(crate) fn from_clock() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    pub(crate) fn millis(self) -> UnixMillis {
        UnixMillis::new(self.0)
    }
}

/// Which end of a window a time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Lower,
    Upper,
}

/// The first millisecond of this century, and a bound that milliseconds reach in the year 5138. Numbers outside are taken for
/// seconds, microseconds or nanoseconds.
const CENTURY: i64 = 946_684_800_000;
const MICROSECONDS: i64 = 100_000_000_000_000;
const DAY: i64 = 86_400_000;

pub(crate) fn parse_time(text: &str, end: End, now: Now) -> Result<UnixMillis, String> {
    let shown = Escaped(text);
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        let hint = "give milliseconds since 1970, or a date such as 2026-11-24";
        return match text.parse::<i64>() {
            // No moment that anybody means, in no unit.
            Ok(0..100_000) => Err(format!(
                "\"{shown}\" has no unit: give an age such as 7d or 12h, a date such as 2026-11-24, or milliseconds since 1970"
            )),
            Ok(millis) if millis < CENTURY => {
                Err(format!("\"{shown}\" is too small for milliseconds in this century and looks like seconds: {hint}"))
            }
            Ok(millis) if millis < MICROSECONDS => Ok(UnixMillis::new(millis)),
            _ => Err(format!("\"{shown}\" is too large for milliseconds and looks like micro- or nanoseconds: {hint}")),
        };
    }
    // Only a plain date: the library would also accept a local time here, and drop its time of day.
    if text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        if let Ok(date) = text.parse::<Date>() {
            let start = date
                .to_zoned_datetime(jiff::tz::TimeZone::UTC)
                .map_err(|e| format!("\"{shown}\": {e}"))?
                .timestamp()
                .as_millisecond();
            return Ok(UnixMillis::new(if end == End::Upper { start + DAY - 1 } else { start }));
        }
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(UnixMillis::new(at.as_millisecond()));
    }
    if let Some(age) = parse_span(text) {
        return i64::try_from(age.as_millis())
            .ok()
            .and_then(|age| now.0.checked_sub(age))
            .map(UnixMillis::new)
            .ok_or_else(|| format!("\"{shown}\" is too long ago"));
    }
    Err(format!(
        "\"{shown}\" is not a time: give RFC 3339 with an offset (2026-11-24T08:30:00Z), a date (2026-11-24), milliseconds since 1970, or an age (7d, 12h)"
    ))
}

/// Whether a time is relative to now.
pub(crate) fn is_age(text: &str) -> bool {
    parse_span(text).is_some() && !text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Now = Now(1_764_000_000_000);

    fn millis(text: &str, end: End) -> Result<i64, String> {
        parse_time(text, end, NOW).map(UnixMillis::get)
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("2025-07-18T09:01:35.505Z", 1_752_829_295_505),
            ("2025-07-18T11:01:35.505+02:00", 1_752_829_295_505),
            ("1752829295505", 1_752_829_295_505),
            ("2000-01-01", CENTURY),
            ("7d", NOW.0 - 7 * DAY),
            ("12h", NOW.0 - DAY / 2),
            ("1h30m", NOW.0 - 5_400_000),
            ("2w", NOW.0 - 14 * DAY),
            ("0s", NOW.0),
        ] {
            assert_eq!(millis(text, End::Lower), Ok(expected), "{text}");
        }
        assert_eq!(millis("2000-01-01", End::Upper), Ok(CENTURY + DAY - 1));
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "1752829295",
            "-5",
            "0",
            "1752829295505000",
            "9223372036854775808",
            "yesterday",
            "2025-07-18T11:01:35",
            "2025-02-30",
            "7",
            "-7d",
            "7d ago",
            "NaN",
            "1y",
            "1mo",
            "99999999999999d",
            "2025-07-18 ",
        ] {
            assert!(millis(text, End::Lower).is_err(), "{text}");
        }
        assert!(millis("1752829295", End::Lower).unwrap_err().contains("seconds"));
        for text in ["7", "0", "99999"] {
            assert!(millis(text, End::Lower).unwrap_err().contains("has no unit"), "{text}");
        }
    }

    /// Pieces of times, right and wrong, in any order; and any text at all.
    fn text() -> impl Strategy<Value = String> {
        let pieces = [
            "7",
            "d",
            "h",
            "m",
            "s",
            "w",
            "ms",
            "ns",
            "y",
            "mo",
            "ago",
            "P",
            "T",
            "Z",
            "-",
            "+",
            ":",
            ".",
            ",",
            " ",
            "0",
            "1",
            "2026",
            "-11-24",
            "T08:30:00",
            "+02:00",
            "[UTC]",
            "1752829295505",
            "99999999999",
            "9223372036854775807",
            "\u{0}",
        ];
        prop_oneof![
            proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..7)
                .prop_map(|pieces| pieces.concat()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn any_text_is_one_time_or_a_sentence(text in text(), later in 1..100_000_i64) {
            let (lower, upper) = (millis(&text, End::Lower), millis(&text, End::Upper));
            let then = parse_time(&text, End::Lower, Now(NOW.0 + later)).map(UnixMillis::get);
            match &lower {
                Ok(at) => {
                    let day = upper.map(|upper| upper - at);
                    prop_assert!(day == Ok(0) || (day == Ok(DAY - 1) && text.len() == 10 && at % DAY == 0), "{text:?}: {day:?}");
                    // A checkpoint says which times were relative: those that move with the clock, and no others.
                    prop_assert_eq!(then, Ok(at + if is_age(&text) { later } else { 0 }), "{:?}", text);
                    prop_assert!(!is_age(&text) || *at <= NOW.0, "{text:?} lies ahead");
                }
                Err(sentence) => {
                    prop_assert!(upper.is_err() && then.is_err());
                    prop_assert!(!sentence.contains(char::is_control) && sentence.len() < 8_000, "{sentence:?}");
                }
            }
        }

        #[test]
        fn a_time_that_is_shown_is_read_as_itself(at in CENTURY..MICROSECONDS) {
            prop_assert_eq!(millis(&at.to_string(), End::Lower), Ok(at));
            prop_assert_eq!(millis(&Timestamp::from_millisecond(at).unwrap().to_string(), End::Upper), Ok(at));
        }
    }
}
