//! Points in time.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Every time in this API has this unit (`format: int64` in the
/// service's OpenAPI description).
///
/// ```
/// use upstash_dlq_core::UnixMillis;
/// assert_eq!(UnixMillis::new(1_752_829_295_505).get(), 1_752_829_295_505);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(i64);

/// The longest time that the service keeps a run (92 days), in milliseconds.
pub(crate) const RETENTION_MS: i64 = 92 * 86_400_000;

impl UnixMillis {
    /// A time from milliseconds since the epoch, negative before it.
    pub const fn new(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
