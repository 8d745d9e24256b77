//! Header lines that say how long to wait.

use super::given::endpoint;
use super::wire::response;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Event, Operation, RetryPolicy, Selection, Step};

/// Header lines: a wait is never zero and never endless. Each line is a date to wait for, too.
pub fn retry_after(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n') {
        if let Ok(date) = HeaderValue::from_bytes(line) {
            let epoch = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
            assert_bounded(&HeaderMap::from_iter([(RETRY_AFTER, date.clone()), (DATE, epoch.clone())]));
            assert_bounded(&HeaderMap::from_iter([(RETRY_AFTER, epoch), (DATE, date)]));
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    assert_bounded(&headers);
}

/// A policy that waits for as long as the server wants, and not at all for itself.
const OBEDIENT: RetryPolicy = RetryPolicy::new()
    .max_attempts(std::num::NonZeroU32::MAX)
    .base(Duration::ZERO)
    .max_backoff(Duration::ZERO)
    .max_wait(Duration::MAX);

/// After a 429 and after a 503: no wait, or one between a second and 366 days.
fn assert_bounded(headers: &HeaderMap) {
    for status in [429, 503] {
        let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(OBEDIENT, 0).build();
        let Step::Send(id, _) = delete.poll(Duration::ZERO) else { unreachable!("the first step is a request") };
        let mut response = response(status, &b""[..]);
        response.headers_mut().clone_from(headers);
        let Ok(Event::Retry(retried)) = delete.on_response(id, response) else {
            unreachable!("{status} is tried again")
        };
        let wait = retried.after;
        assert!(wait.is_zero() || (1..=366 * 86_400).contains(&wait.as_secs()), "{wait:?}");
    }
}
