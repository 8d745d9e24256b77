//! A number of bytes, as people read it.

use core::fmt;

/// Shows a number of bytes in the largest unit of which it is a whole number: `16 MiB`, `20000 bytes`.
///
/// ```
/// use upstash_dlq_core::model::ByteSize;
/// assert_eq!(ByteSize(64 * 1024 * 1024).to_string(), "64 MiB");
/// assert_eq!(ByteSize(1_000).to_string(), "1000 bytes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 2] = [(1024 * 1024, "MiB"), (1024, "KiB")];
        let whole = UNITS.into_iter().find(|(size, _)| self.0 >= *size && self.0 % size == 0);
        let (size, unit) = whole.unwrap_or((1, if self.0 == 1 { "byte" } else { "bytes" }));
        write!(f, "{} {unit}", self.0 / size)
    }
}
