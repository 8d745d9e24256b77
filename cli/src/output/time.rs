//! Times and spans as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use upstash_dlq_core::UnixMillis;

/// The time zone in which times are shown. Times that are given are not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Utc,
    /// That of this machine, by `TZ` or its settings.
    Local,
}

impl Zone {
    /// The zone of this machine, unless it has none that can be found out.
    pub(crate) fn local() -> Option<Self> {
        TimeZone::try_system().is_ok().then_some(Self::Local)
    }

    /// RFC 3339, with the offset of the zone at that time.
    pub(crate) fn moment(self, at: UnixMillis) -> String {
        match (Timestamp::from_millisecond(at.get()), self) {
            (Ok(at), Self::Utc) => at.to_string(),
            (Ok(at), Self::Local) => at.display_with_offset(TimeZone::system().to_offset(at)).to_string(),
            (Err(_), _) => format!("{} ms", at.get()),
        }
    }

    /// To the minute, without the offset.
    pub(crate) fn minute(self, at: UnixMillis) -> String {
        let shown = self.moment(at);
        // A year of more than four digits has a sign.
        match shown.get(..16) {
            Some(minute) if shown.len() >= 20 && minute.as_bytes().get(10) == Some(&b'T') => minute.replace('T', " "),
            _ => shown,
        }
    }

    /// What it is called in a title.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utc => "UTC",
            Self::Local => "local time, rows as in UTC",
        }
    }
}

/// A whole number of minutes as people say it.
pub(crate) fn length(millis: i64) -> String {
    let minutes = millis / 60_000;
    let (n, unit) = match minutes {
        _ if minutes % 10_080 == 0 => (minutes / 10_080, "week"),
        _ if minutes % 1_440 == 0 => (minutes / 1_440, "day"),
        _ if minutes % 60 == 0 => (minutes / 60, "hour"),
        _ => (minutes, "minute"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// How long ago, in the largest unit that is not zero.
pub(crate) fn age(at: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.get().saturating_sub(at.get()) / 1_000;
    match seconds {
        ..0 => "0s".into(),
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_000_000_000;

    #[test]
    fn ages() {
        let now = UnixMillis::new(NOW);
        let ago = |seconds: i64| age(UnixMillis::new(NOW - seconds * 1_000), now);
        assert_eq!(
            [-5, 0, 59, 60, 3_599, 3_600, 86_399, 86_400].map(ago),
            ["0s", "0s", "59s", "1m", "59m", "1h", "23h", "1d"]
        );
        assert_eq!(age(UnixMillis::new(i64::MAX), now), "0s");
        assert!(age(UnixMillis::new(i64::MIN), now).ends_with('d'));
    }
}
