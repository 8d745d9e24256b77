//! How fast all lanes together may go.

use core::time::Duration;
use http::{HeaderMap, HeaderName};

const LIMIT: HeaderName = HeaderName::from_static("burst-ratelimit-limit");

/// Requests a second, as somebody wants it or the server's headers say it, and how many may be out at once: a 429 halves
/// that for all lanes together, and pages let it grow again.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// The earliest time for the next request.
    next: Duration,
    /// A wait that a server asked for, not yet turned into a time.
    wait: Option<Duration>,
    most: usize,
    room: usize,
    pages: usize,
}

/// The clock of whoever drives the lanes. Whoever drives them next may have another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    last: Duration,
    anew: bool,
}

impl Clock {
    pub(crate) fn begin_anew(&mut self) {
        self.anew = true;
    }

    /// The last time of an earlier clock, where this is the first of another one.
    pub(crate) fn told(&mut self, now: Duration) -> Option<Duration> {
        let old = core::mem::replace(&mut self.last, now);
        core::mem::take(&mut self.anew).then_some(old)
    }
}

/// As far from `now` as `time` was from `old`.
pub(crate) fn rebased(time: Duration, old: Duration, now: Duration) -> Duration {
    now.saturating_add(time.saturating_sub(old))
}

impl Pace {
    pub(crate) fn new(most: usize) -> Self {
        Self { interval: Duration::ZERO, next: Duration::ZERO, wait: None, most, room: most, pages: 0 }
    }

    /// At most so many requests a second; the lowest limit counts.
    pub(crate) fn limit(&mut self, per_second: u32) {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or(Duration::from_secs(1));
        self.interval = self.interval.max(interval);
    }

    pub(crate) fn heard(&mut self, headers: &HeaderMap) {
        let limit =
            headers.get(LIMIT).and_then(|value| value.to_str().ok()).and_then(|value| value.trim().parse().ok());
        if let Some(limit) = limit.filter(|limit| *limit > 0) {
            self.limit(limit);
        }
    }

    pub(crate) fn rebase(&mut self, old: Duration, now: Duration) {
        self.next = rebased(self.next, old, now);
    }

    /// When the next request may go.
    pub(crate) fn gate(&mut self, now: Duration) -> Duration {
        if let Some(wait) = self.wait.take() {
            self.next = self.next.max(now.saturating_add(wait));
        }
        self.next
    }

    pub(crate) fn has_room(&self, in_flight: usize) -> bool {
        in_flight < self.room
    }

    pub(crate) fn sent(&mut self, now: Duration) {
        self.next = self.next.max(now).saturating_add(self.interval);
    }

    pub(crate) fn page(&mut self) {
        self.pages += 1;
        if self.pages >= self.room && self.room < self.most {
            self.room += 1;
            self.pages = 0;
        }
    }

    pub(crate) fn refused(&mut self, after: Duration) {
        self.room = (self.room / 2).max(1);
        self.pages = 0;
        self.wait = Some(self.wait.map_or(after, |wait| wait.max(after)));
    }
}
