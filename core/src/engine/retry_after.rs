//! How long the server asks to wait, by the headers of one response. A date is compared with the response's own `Date`, so no
//! clock is needed.

use crate::bugs::bug;
use core::time::Duration;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// The longest wait, in seconds. A longer one is cut to it, so that sums do not overflow.
const LONGEST: u64 = 366 * 86_400;

/// Returns the wait that the headers ask for. `None` if they ask for none, or for no time.
pub(crate) fn requested_wait(headers: &HeaderMap, rate_limited: bool) -> Option<Duration> {
    if bug!(RetryAfterIgnored) {
        return None;
    }
    let seconds = retry_after(headers).or_else(|| if rate_limited { reset(headers) } else { None })?;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST)))
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().unwrap_or(LONGEST));
    }
    until(parse_http_date(value)?, headers)
}

/// The wait until a limit is reset. Both limits may be reported. The longer wait of those that are used up counts.
fn reset(headers: &HeaderMap) -> Option<u64> {
    let limit = |remaining: &str, reset: &str| {
        let left = headers.get(remaining).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<u64>().ok());
        if left.is_some_and(|left| left > 0) {
            return None;
        }
        let at: i64 = headers.get(reset)?.to_str().ok()?.trim().parse().ok()?;
        // The service sends seconds. A number this large can only be milliseconds.
        until(if at > 100_000_000_000 { at / 1_000 } else { at }, headers)
    };
    let burst = limit("burst-ratelimit-remaining", "burst-ratelimit-reset");
    let daily = limit("ratelimit-remaining", "ratelimit-reset");
    burst.max(daily)
}

fn until(at: i64, headers: &HeaderMap) -> Option<u64> {
    let now = parse_http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// Reads an HTTP date in any of its three forms (RFC 9110, 5.6.7). Returns seconds since the epoch.
pub(crate) fn parse_http_date(text: &str) -> Option<i64> {
    let mut words = text.split([' ', '-']).filter(|word| !word.is_empty());
    let weekday = words.next()?;
    let (day, month, year, time) = if weekday.ends_with(',') {
        let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if words.next()? != "GMT" {
            return None;
        }
        (day, month, year, time)
    } else {
        let (month, day, time, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (day, month, year, time)
    };
    if words.next().is_some() {
        return None;
    }
    let two_digits = year.len() == 2;
    let year = match number(year, 4)? {
        // RFC 850's two digits: the century that is not far in the future.
        y if two_digits => y + if y < 70 { 2_000 } else { 1_900 },
        y => y,
    };
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        .iter()
        .position(|m| *m == month)?;
    let month = i64::try_from(month).ok()? + 1;
    let day = number(day, 2)?;
    let mut clock = time.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if clock.next().is_some() || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (!text.is_empty() && text.len() <= digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    proptest! {
        /// Years have four digits at most, so no date is beyond these bounds, whatever the text.
        #[test]
        fn a_date_is_within_four_digits_of_years(text in prop_oneof![".*", nearly_a_date()]) {
            if let Some(at) = parse_http_date(&text) {
                prop_assert!((-62_200_000_000..253_500_000_000).contains(&at), "{at}");
            }
        }
    }

    fn nearly_a_date() -> impl Strategy<Value = String> {
        prop_oneof![
            "Sun, [0-9]{1,2}[ -](Jan|Feb|Nov|Dec)[ -][0-9]{1,5} [0-2]?[0-9]:[0-9]{1,2}:[0-6]?[0-9] GMT",
            "Sun (Jan|Feb|Nov|Dec) +[0-9]{1,2} [0-2]?[0-9]:[0-9]{1,2}:[0-6]?[0-9] [0-9]{1,5}",
        ]
    }

    fn wait(pairs: &[(&'static str, &'static str)], rate_limited: bool) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        requested_wait(&headers, rate_limited).map(|d| d.as_secs())
    }

    #[test]
    fn dates() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse_http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        // The last moments of a day, the second one a leap second, and the ends of two digits' hundred years.
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 23:59:59 GMT"), Some(86_399));
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 23:59:60 GMT"), Some(86_400));
        assert_eq!(parse_http_date("Thursday, 01-Jan-70 00:00:00 GMT"), Some(0));
        assert_eq!(parse_http_date("Tuesday, 01-Jan-69 00:00:00 GMT"), Some(3_124_224_000));
        assert_eq!(parse_http_date("Saturday, 01-Jan-00 00:00:00 GMT"), Some(946_684_800));
        for text in [
            "",
            "GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, x6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov year 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 1994 08 GMT",
            "Sun, 06 Nov",
            "Sun, 06 Nov 1994",
            "Sun, 06",
            "Sun,",
            "Sun Nov",
            "Sun",
            "Sun Nov 6",
            "Sun Nov 6 08:49:37",
            "Sun, 06 Nov 1994 x8:49:37 GMT",
            "Sun, 06 Nov 1994 08:x9:37 GMT",
            "Sun, 06 Nov 1994 08:49:x7 GMT",
            "Sun, 06 Nov 1994 08:49: GMT",
            "Sun Nov  6 1994 08:49:37",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "x, 1 Jan 99999 0:0:0 GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn waits() {
        const NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[("retry-after", "7")], false), Some(7));
        assert_eq!(wait(&[("retry-after", "0")], false), None);
        assert_eq!(wait(&[("retry-after", "99999999999999999999999")], false), Some(LONGEST));
        assert_eq!(wait(&[("retry-after", "-1")], false), None);
        assert_eq!(wait(&[NOW, ("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], false), Some(60));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], false), None, "no Date to count from");
        assert_eq!(wait(&[NOW, ("burst-ratelimit-reset", "784111780")], true), Some(3));
        assert_eq!(wait(&[NOW, ("burst-ratelimit-reset", "784111780")], false), None, "only a 429 speaks of limits");
        assert_eq!(wait(&[NOW, ("burst-ratelimit-reset", "784111780000")], true), Some(3));
        // The largest number that is seconds lies beyond any wait. The next one is milliseconds, and past.
        assert_eq!(wait(&[NOW, ("burst-ratelimit-reset", "100000000000")], true), Some(LONGEST));
        assert_eq!(wait(&[NOW, ("burst-ratelimit-reset", "100000000001")], true), None);
        let used_up = [NOW, ("ratelimit-remaining", "0"), ("ratelimit-reset", "784111780")];
        assert_eq!(wait(&used_up, true), Some(3));
        let both = [
            NOW,
            ("burst-ratelimit-reset", "784111780"),
            ("ratelimit-reset", "784119999"),
            ("ratelimit-remaining", "5"),
        ];
        assert_eq!(wait(&both, true), Some(3), "the daily quota is not used up");
        assert_eq!(wait(&[NOW, ("retry-after", "2"), ("ratelimit-reset", "784119999")], true), Some(2));
        assert_eq!(wait(&[NOW, ("ratelimit-reset", "-9223372036854775808")], true), None);
    }

    /// A header that cannot be read asks for no wait, and hides none that another one asks for.
    #[test]
    fn headers_that_cannot_be_read() {
        const NOW: (&str, &[u8]) = ("date", b"Sun, 06 Nov 1994 08:49:37 GMT");
        const RESET: (&str, &[u8]) = ("ratelimit-reset", b"784111780");
        let wait = |pairs: &[(&'static str, &[u8])]| {
            let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value));
            let headers = pairs.map(|(name, value)| (name, HeaderValue::from_bytes(value).unwrap())).collect();
            requested_wait(&headers, true).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&[NOW, RESET]), Some(3));
        for unreadable in [&b"\xff7"[..], b"", b" ", b"soon", b"1.5"] {
            assert_eq!(wait(&[NOW, ("retry-after", unreadable)]), None, "{unreadable:?}");
            assert_eq!(wait(&[NOW, RESET, ("retry-after", unreadable)]), Some(3), "{unreadable:?}");
            assert_eq!(wait(&[NOW, ("ratelimit-reset", unreadable)]), None, "{unreadable:?}");
            assert_eq!(wait(&[NOW, RESET, ("burst-ratelimit-reset", unreadable)]), Some(3), "{unreadable:?}");
            // Nobody knows how much is left, so the limit may be used up.
            assert_eq!(wait(&[NOW, RESET, ("ratelimit-remaining", unreadable)]), Some(3), "{unreadable:?}");
            // Without the server's own time, a time says nothing.
            assert_eq!(wait(&[("date", unreadable), RESET]), None, "{unreadable:?}");
        }
    }
}
