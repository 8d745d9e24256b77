//! When each process sends: not sooner than it may, and not later than it has a reason for. Time is virtual, so both are exact.

use crate::schedule::{Driving, Item, Property, Schedule, Work};
use http::{Method, Request, Response};
use std::collections::BTreeMap;
use upstash_dlq_core::Delivery;

/// The longest random wait of the clients before their second attempt, in milliseconds.
pub(crate) const BASE_BACKOFF_MS: u64 = 100;

/// The longest random wait of the clients, in milliseconds.
pub(crate) const MAX_BACKOFF_MS: u64 = 2_000;

/// The longest part of a wait that is lost when a future is dropped five times, in milliseconds.
const LOST_MS: u64 = 500;

/// What a process has to wait for. Times are milliseconds of the history.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    last_sent: Option<u64>,
    /// Since when nothing has been in flight.
    idle_since: u64,
    /// There is a reason to wait up to this time.
    may_wait_until: u64,
    /// When a server asked to wait, and until when.
    asked: Option<(u64, u64)>,
    /// A deletion came back oddly, so its runs may still be listed.
    is_behind: bool,
    /// How many attempts at a request have failed since one succeeded.
    failed: BTreeMap<String, u32>,
    /// When the last wait ends of those that a person does not settle, the server's and those before another attempt.
    waits_until: u64,
}

impl Pace {
    /// Has nothing to wait for any more, from now on.
    pub(super) fn begin(&mut self, now: u64) {
        self.idle_since = self.idle_since.max(now);
    }

    /// The process has waited for somebody who looked, and drives on. It does not know how long that took, so what was left of a
    /// wait is still to come.
    pub(super) fn drive_on_later(&mut self, now: u64) {
        let rest = self.waits_until.saturating_sub(self.idle_since);
        self.begin(now);
        self.waits_until = now + rest;
        self.may_wait(self.waits_until);
    }

    /// A wait that had begun may begin anew.
    pub(super) fn drive_on(&mut self, now: u64, schedule: &Schedule) {
        self.may_wait(now + longest_pause(schedule));
    }

    /// Notes that a request is sent. Returns what is wrong with its time. `is_alone`: nothing else is in flight.
    pub(super) fn on_sent(&mut self, now: u64, is_alone: bool, schedule: &Schedule) -> Option<String> {
        let mut wrong = None;
        let last = self.last_sent.replace(now);
        // Listing and starting are operations of their own.
        let rate = schedule.rate().filter(|_| schedule.work() != Work::ResumeListed);
        if let (Some(rate), Some(last)) = (rate, last) {
            if now + 1 < last + 1_000 / u64::from(rate) {
                wrong = Some(format!("a rate is kept: requests at {last} ms and at {now} ms, {rate} a second at most"));
            }
        }
        if let Some((asked, until)) = self.asked.filter(|(asked, until)| now > *asked && now < *until) {
            wrong = Some(format!(
                "a wait is kept: at {asked} ms the server asks to wait until {until} ms, sent at {now} ms"
            ));
        }
        // Whoever drives on does not know how much of the last slice of a wait has passed.
        let slices = u64::from(matches!(schedule.driving(), Driving::Slices { .. })) * LOST_MS;
        let latest = self.idle_since.max(self.may_wait_until) + slices + 1;
        if is_alone && now > latest {
            wrong = Some(format!("no wait is needless: sent at {now} ms, and nothing to wait for since {latest} ms"));
        }
        self.may_wait(now + longest_pause(schedule));
        wrong
    }

    /// Notes that a request has landed, with its response, or with what is known of a lost one.
    pub(super) fn on_landed(
        &mut self,
        now: u64,
        request: &Request<()>,
        result: Result<&Response<Vec<u8>>, Delivery>,
        is_odd: bool,
        schedule: &Schedule,
    ) {
        self.idle_since = now;
        let response = result.ok();
        let has_succeeded = response.is_some_and(|response| response.status().is_success());
        let is_page = has_succeeded && !is_odd;
        let is_final = response.is_some_and(|response| response.status().is_client_error() && response.status() != 429);
        // Its next attempt may ask for another number of runs.
        let query = request.uri().query().unwrap_or_default();
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("count=")).collect();
        let key = format!("{} {} {}", request.method(), request.uri().path(), kept.join("&"));
        if is_page {
            self.failed.remove(&key);
        } else if !is_final {
            let failed = self.failed.entry(key).or_default();
            let longest = BASE_BACKOFF_MS.saturating_mul(2_u64.saturating_pow(*failed)).min(MAX_BACKOFF_MS);
            *failed += 1;
            self.may_wait(now + longest);
            // What may have started runs is not sent again: there is no wait before it.
            let may_have_started = match result {
                Ok(response) => response.status() != 429,
                Err(delivery) => delivery != Delivery::NotSent,
            };
            if request.method() != Method::POST || !may_have_started {
                self.waits_until = self.waits_until.max(now + longest);
            }
        }
        // A listing is asked again after a while if it lags, or if a server has said of a deletion what is not true.
        self.is_behind |= is_odd && request.method() == Method::DELETE;
        let lags = self.is_behind || schedule.has(|property| matches!(property, Property::ListingLag(_)));
        let looks_again =
            schedule.work() == Work::Archive || (schedule.work() == Work::Delete && schedule.is_refined());
        if lags && has_succeeded && request.method() == Method::GET && looks_again {
            self.may_wait(now + MAX_BACKOFF_MS);
        }
        let seconds = response.filter(|response| response.status() == 429).and_then(|response| {
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        });
        if let Some(until) = seconds.map(|seconds| now + seconds * 1_000) {
            self.may_wait(until);
            self.waits_until = self.waits_until.max(until);
            if self.asked.is_none_or(|(_, earlier)| earlier < until) {
                self.asked = Some((now, until));
            }
        }
    }

    fn may_wait(&mut self, until: u64) {
        self.may_wait_until = self.may_wait_until.max(until);
    }
}

/// The longest pause between two requests for the sake of a rate, the caller's or the server's, in milliseconds.
fn longest_pause(schedule: &Schedule) -> u64 {
    let limits = schedule.properties().filter_map(|property| match property {
        Property::RateLimit(per_second) => Some(per_second),
        _ => None,
    });
    let slowest = limits.chain(schedule.rate()).min();
    slowest.map_or(0, |slowest| 1_000 / u64::from(slowest) + 1)
}

impl Schedule {
    /// The most requests that a client sends in a second.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.get(None, |item| if let Item::Rate(rate) = item { Some(Some(*rate)) } else { None })
    }
}
