//! What `check` sends goes through here: GET alone, and no more requests than its bound. Measures what comes back. Knows no
//! question.

use http::{HeaderMap, Method, Request, Response, Version};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use upstash_dlq_core::client::Transport;
use upstash_dlq_core::{Endpoint, TransportFailure};

/// The most requests that one check sends, retries included.
pub(crate) const MOST_REQUESTS: usize = 40;

/// A transport that counts and measures. Clones share what was seen.
#[derive(Clone)]
pub(crate) struct Meter {
    inner: Arc<dyn Transport>,
    endpoint: Endpoint,
    seen: Arc<Mutex<Seen>>,
}

/// What was seen of the requests and responses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    /// Of the responses with a status of success, in no particular order.
    pub(crate) latencies: Vec<Duration>,
    /// The last value of each header about rate limits.
    pub(crate) rate_limits: BTreeMap<String, String>,
    pub(crate) version: Option<Version>,
}

impl Meter {
    pub(crate) fn new(inner: Arc<dyn Transport>, endpoint: Endpoint) -> Self {
        Self { inner, endpoint, seen: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Whether no further request is sent.
    pub(crate) fn is_spent(&self) -> bool {
        self.lock().requests >= MOST_REQUESTS
    }

    /// Counts a request that may be sent.
    fn admit(&self, method: &Method) -> Result<(), TransportFailure> {
        if method != Method::GET {
            return Err(TransportFailure::not_sent("a check sends nothing but GET"));
        }
        let mut seen = self.lock();
        if seen.requests >= MOST_REQUESTS {
            return Err(TransportFailure::not_sent(format!("a check sends at most {MOST_REQUESTS} requests")));
        }
        seen.requests += 1;
        Ok(())
    }
}

impl Transport for Meter {
    fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        self.admit(request.method())?;
        let begun = Instant::now();
        let response = self.inner.send(request)?;
        let elapsed = begun.elapsed();
        let mut seen = self.lock();
        if response.status().is_success() {
            seen.latencies.push(elapsed);
        }
        seen.rate_limits.extend(rate_limits(response.headers(), &self.endpoint));
        seen.version = Some(response.version());
        Ok(response)
    }
}

/// The headers about rate limits, as `RateLimit-Remaining`, `Burst-RateLimit-Reset` or `Retry-After`. A proxy may name the token
/// in one, as what it limits by.
fn rate_limits(headers: &HeaderMap, endpoint: &Endpoint) -> Vec<(String, String)> {
    let about = |name: &str| name.contains("ratelimit") || name == "retry-after";
    let headers = headers.iter().filter(|(name, _)| about(name.as_str()));
    headers
        .map(|(name, value)| (name.to_string(), endpoint.redact(&String::from_utf8_lossy(value.as_bytes()))))
        .collect()
}

/// The least and the median of the latencies.
pub(crate) fn least_and_median(latencies: &[Duration]) -> Option<(Duration, Duration)> {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    Some((*sorted.first()?, *sorted.get(sorted.len() / 2)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use upstash_dlq_core::Token;

    fn endpoint() -> Endpoint {
        Endpoint::new("https://h.invalid", Token::new("t0ken").unwrap()).unwrap()
    }

    #[test]
    fn nothing_but_forty_gets_goes_through() {
        let passed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&passed);
        let transport = move |request: Request<()>| {
            assert_eq!(request.method(), Method::GET);
            count.fetch_add(1, Ordering::SeqCst);
            // A failure counts as a request, too.
            if count.load(Ordering::SeqCst) % 2 == 0 {
                Err(TransportFailure::unknown(""))
            } else {
                let response = Response::builder().header("ratelimit-policy", "60;by=t0ken");
                Ok(response.body(Vec::new()).unwrap())
            }
        };
        let meter = Meter::new(Arc::new(transport), endpoint());
        let send = |method: &Method| meter.send(Request::builder().method(method).uri("/v2").body(()).unwrap());
        for method in [Method::DELETE, Method::POST, Method::PUT, Method::PATCH] {
            assert_eq!(send(&method).unwrap_err().delivery, upstash_dlq_core::Delivery::NotSent);
        }
        let sent = (0..200).filter(|_| send(&Method::GET).is_ok()).count();
        assert_eq!((passed.load(Ordering::SeqCst), sent, meter.seen().latencies.len()), (40, 20, 20));
        assert!(meter.is_spent() && meter.seen().requests == 40);
        assert_eq!(meter.seen().rate_limits["ratelimit-policy"], "60;by=…");
    }

    #[test]
    fn headers_about_limits_are_kept_and_latencies_summed_up() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("burst-ratelimit-limit", "100"), ("RateLimit-Reset", "7"), ("retry-after", "1"), ("date", "x")]
        {
            headers
                .insert(http::HeaderName::from_bytes(name.to_lowercase().as_bytes()).unwrap(), value.parse().unwrap());
        }
        let names: Vec<String> = rate_limits(&headers, &endpoint()).into_iter().map(|(name, _)| name).collect();
        assert!(names.len() == 3 && !names.contains(&"date".to_owned()), "{names:?}");
        let ms = Duration::from_millis;
        assert_eq!(least_and_median(&[ms(9), ms(1), ms(5)]), Some((ms(1), ms(5))));
        assert_eq!(least_and_median(&[]), None);
    }
}
