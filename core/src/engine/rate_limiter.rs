//! How fast all lanes together may send, and how many requests may be in flight at once.

use crate::bugs::bug;
use crate::engine::clock::Change;
use core::num::NonZeroU32;
use core::time::Duration;
use http::{HeaderMap, HeaderName};

const LIMIT: HeaderName = HeaderName::from_static("burst-ratelimit-limit");

/// Limits the requests in a second, by what the caller sets and what the server's headers say. Limits how many requests may be
/// in flight at once: a burst of 429s halves that number for all lanes together, and pages let it grow again.
#[derive(Clone, Debug)]
pub(crate) struct RateLimiter {
    interval: Duration,
    /// The earliest time for the next request.
    next: Duration,
    /// A wait that the server asked for. The next [`begin_wait`](Self::begin_wait) turns it into a time.
    wait: Option<Duration>,
    limit: usize,
    concurrency: usize,
    /// Pages since the concurrency changed.
    pages: usize,
    /// 429s to requests below this serial number belong to a burst that has been counted.
    counted_below: u64,
}

impl RateLimiter {
    pub(crate) fn new(limit: usize, per_second: Option<NonZeroU32>) -> Self {
        let mut limiter = Self {
            interval: Duration::ZERO,
            next: Duration::ZERO,
            wait: None,
            limit,
            concurrency: limit,
            pages: 0,
            counted_below: 0,
        };
        if let Some(per_second) = per_second {
            limiter.limit_to(per_second);
        }
        limiter
    }

    /// Allows at most so many requests a second. The lowest limit counts.
    fn limit_to(&mut self, per_second: NonZeroU32) {
        // Rounded up: otherwise one more would fit into a second.
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(per_second.get())));
        self.interval = self.interval.max(interval);
    }

    /// Reads the limit that the server sends.
    pub(crate) fn on_headers(&mut self, headers: &HeaderMap) {
        let limit =
            headers.get(LIMIT).and_then(|value| value.to_str().ok()).and_then(|value| value.trim().parse().ok());
        if let Some(limit) = limit.and_then(NonZeroU32::new) {
            self.limit_to(limit);
        }
    }

    pub(crate) fn on_clock_change(&mut self, change: Change) {
        if !bug!(ClockChangeForgotten) {
            self.next = if bug!(WaitForgottenByNextDriver) { Duration::ZERO } else { change.translate(self.next) };
        }
    }

    /// A wait that was asked for begins now.
    pub(crate) fn begin_wait(&mut self, now: Duration) {
        if let Some(wait) = self.wait.take() {
            self.next = self.next.max(now.saturating_add(wait));
        }
    }

    /// When the next request may be sent.
    pub(crate) fn earliest(&self) -> Duration {
        self.next
    }

    pub(crate) fn has_room(&self, in_flight: usize) -> bool {
        in_flight < self.concurrency + usize::from(bug!(TooManyLanes))
    }

    pub(crate) fn on_sent(&mut self, now: Duration) {
        if !bug!(RateNotKept) {
            self.next = self.next.max(now).saturating_add(self.interval);
        }
    }

    pub(crate) fn on_page(&mut self) {
        self.pages = self.pages.saturating_add(1);
        if self.pages >= self.concurrency && self.concurrency < self.limit {
            self.concurrency += 1;
            self.pages = 0;
        }
    }

    /// Takes a 429: all lanes wait. A burst counts once. Requests that were in flight at its first 429 do not cut the concurrency
    /// again; `sent` is the number of requests sent so far.
    pub(crate) fn on_rate_limited(&mut self, serial: u64, sent: u64, after: Duration) {
        if serial >= self.counted_below {
            self.concurrency = (self.concurrency / 2).max(1);
            self.pages = 0;
            self.counted_below = sent;
        }
        self.wait = Some(self.wait.map_or(after, |wait| wait.max(after)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_requests_is_not_saved_up() {
        let mut limiter = RateLimiter::new(1, NonZeroU32::new(2));
        let mut now = Duration::from_secs(60);
        for _ in 0..3 {
            assert!(limiter.earliest() <= now);
            limiter.on_sent(now);
            now += Duration::from_millis(500);
            assert_eq!(limiter.earliest(), now);
        }
    }
}
