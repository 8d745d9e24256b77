//! When a request is sent again.

use crate::engine::retry_after::requested_wait;
use crate::wire::error::ResponseError;
use core::num::NonZeroU32;
use core::time::Duration;
use http::{Response, StatusCode};

/// How often one request is sent, and how long to wait in between. The wait before a further attempt is random, between zero and
/// `base · 2ⁿ`, at most `max_backoff` (exponential backoff with full jitter). A wait that the server asks for replaces it.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use upstash_dlq_core::RetryPolicy;
/// let patient = RetryPolicy::default().max_attempts(NonZeroU32::new(12).unwrap()).max_wait(Duration::from_secs(300));
/// assert_eq!(patient.base, RetryPolicy::default().base);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The most times that one request is sent.
    pub max_attempts: NonZeroU32,
    /// The upper bound of the first wait.
    pub base: Duration,
    /// The upper bound of every random wait.
    pub max_backoff: Duration,
    /// The longest wait that the server may ask for. A longer one (a daily quota) halts the operation instead.
    pub max_wait: Duration,
}

impl RetryPolicy {
    /// 6 attempts, a `base` of 500 ms, a `max_backoff` of 20 s and a `max_wait` of 60 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: NonZeroU32::MIN.saturating_add(5),
            base: Duration::from_millis(500),
            max_backoff: Duration::from_secs(20),
            max_wait: Duration::from_secs(60),
        }
    }

    /// Sets the most times that one request is sent.
    #[must_use]
    pub const fn max_attempts(self, max_attempts: NonZeroU32) -> Self {
        Self { max_attempts, ..self }
    }

    /// Sets the upper bound of the first wait.
    #[must_use]
    pub const fn base(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// Sets the upper bound of every random wait.
    #[must_use]
    pub const fn max_backoff(self, max_backoff: Duration) -> Self {
        Self { max_backoff, ..self }
    }

    /// Sets the longest wait that the server may ask for. A longer one halts the operation instead.
    #[must_use]
    pub const fn max_wait(self, max_wait: Duration) -> Self {
        Self { max_wait, ..self }
    }
}

impl Default for RetryPolicy {
    /// The same as [`RetryPolicy::new`].
    fn default() -> Self {
        Self::new()
    }
}

/// What a response or a failure says about repeating its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryClass {
    /// The request was not carried out, and may be sent again.
    NotDone,
    /// The same, because too many requests were sent: a 429. All lanes wait.
    RateLimited { wait: Option<Duration> },
    /// The request may have been carried out.
    Unknown { wait: Option<Duration> },
    /// The response is final.
    Final,
}

pub(crate) fn classify<B>(response: &Response<B>, error: &ResponseError) -> RetryClass {
    match error {
        ResponseError::Status { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
            RetryClass::RateLimited { wait: requested_wait(response.headers(), true) }
        }
        ResponseError::Status { status, .. } if !status.is_client_error() => {
            RetryClass::Unknown { wait: requested_wait(response.headers(), false) }
        }
        ResponseError::Unreadable { .. } => RetryClass::Unknown { wait: None },
        ResponseError::Status { .. } | ResponseError::Redirect { .. } | ResponseError::OtherRun { .. } => {
            RetryClass::Final
        }
    }
}

/// The attempts at one request.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    random: SplitMix64,
    made: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    Exhausted { attempts: u32 },
    TooLong { wait: Duration },
}

impl Attempts {
    pub(crate) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, random: SplitMix64(seed), made: 0 }
    }

    pub(crate) fn reset(&mut self) {
        self.made = 0;
    }

    /// Whether the request was not tried yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.made == 0
    }

    /// Whether no attempt is left after the present one.
    pub(crate) fn is_last(&self) -> bool {
        self.made.saturating_add(1) >= self.policy.max_attempts.get()
    }

    pub(crate) fn fail(&mut self, wait: Option<Duration>) -> Result<Duration, GiveUp> {
        let doublings = self.made;
        self.made += 1;
        if let Some(wait) = wait.filter(|wait| *wait > self.policy.max_wait) {
            return Err(GiveUp::TooLong { wait });
        }
        if self.made >= self.policy.max_attempts.get() {
            return Err(GiveUp::Exhausted { attempts: self.made });
        }
        Ok(wait.unwrap_or_else(|| {
            let bound = self.policy.base.saturating_mul(2_u32.saturating_pow(doublings)).min(self.policy.max_backoff);
            let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(self.random.up_to(micros))
        }))
    }
}

/// A small, well-known generator, good enough for jitter. The same seed gives the same waits on every platform.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `max`, both included.
    fn up_to(&mut self, max: u64) -> u64 {
        let wide = u128::from(self.next()) * (u128::from(max) + 1);
        u64::try_from(wide >> 64).unwrap_or(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn waits_grow_jitter_and_end() {
        let policy = RetryPolicy { max_attempts: NonZeroU32::new(40).unwrap(), ..RetryPolicy::default() };
        let mut attempts = Attempts::new(policy, 7);
        for n in 0..39_u32 {
            let bound = policy.base.saturating_mul(2_u32.saturating_pow(n)).min(policy.max_backoff);
            assert!(attempts.fail(None).unwrap() <= bound);
        }
        assert_eq!(attempts.fail(None), Err(GiveUp::Exhausted { attempts: 40 }));
    }

    #[test]
    fn the_server_wins_unless_it_asks_for_too_much() {
        let mut attempts = Attempts::new(RetryPolicy::default(), 0);
        assert_eq!(attempts.fail(Some(Duration::from_secs(60))), Ok(Duration::from_secs(60)));
        let wait = Duration::from_secs(61);
        assert_eq!(attempts.fail(Some(wait)), Err(GiveUp::TooLong { wait }));
    }

    #[test]
    fn each_bound_is_set_by_itself() {
        let seconds = Duration::from_secs;
        let policy = RetryPolicy::new().max_attempts(NonZeroU32::MAX).base(seconds(2)).max_backoff(seconds(3));
        let policy = policy.max_wait(seconds(10));
        assert_eq!((policy.base, policy.max_backoff, policy.max_wait), (seconds(2), seconds(3), seconds(10)));
        let mut attempts = Attempts::new(policy, 7);
        let waits: Vec<Duration> = (0..200).map(|_| attempts.fail(None).unwrap()).collect();
        assert!(waits[0] <= seconds(2) && waits.iter().all(|wait| *wait <= seconds(3)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait > seconds(2)), "{waits:?}");
        assert_eq!(attempts.fail(Some(seconds(10))), Ok(seconds(10)));
        let wait = seconds(10) + Duration::from_nanos(1);
        assert_eq!(attempts.fail(Some(wait)), Err(GiveUp::TooLong { wait }));
    }

    /// The first numbers of the seed 1234567, as published with the generator.
    #[test]
    fn the_generator_is_the_known_one() {
        let mut random = SplitMix64(1_234_567);
        for expected in [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(random.next(), expected);
        }
    }

    #[test]
    fn a_random_number_reaches_both_ends() {
        let mut random = SplitMix64(1);
        let numbers: Vec<u64> = (0..100).map(|_| random.up_to(2)).collect();
        assert!([0, 1, 2].iter().all(|n| numbers.contains(n)) && numbers.iter().all(|n| *n <= 2), "{numbers:?}");
        assert_eq!(random.up_to(0), 0);
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut attempts = Attempts::new(RetryPolicy::default(), seed);
            [attempts.fail(None), attempts.fail(None), attempts.fail(None)]
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
