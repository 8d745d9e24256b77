//! One of N parts of a window of time, for one of N processes.

use crate::model::field_error::FieldError;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::window::Window;
use core::fmt;
use core::num::NonZeroU32;

/// One of N equal parts of a window of time, to spread one operation over several machines: `3/8` is the third of eight.
///
/// ```
/// use upstash_dlq_core::{Filter, UnixMillis, selection::Shard};
/// let window = Filter::builder().from(UnixMillis::new(0)).to(UnixMillis::new(99)).build()?;
/// let part = "2/4".parse::<Shard>()?.of(window)?;
/// assert_eq!((part.from(), part.to()), (Some(UnixMillis::new(25)), Some(UnixMillis::new(49))));
/// assert!("0/4".parse::<Shard>().is_err() && "5/4".parse::<Shard>().is_err());
/// # Ok::<(), upstash_dlq_core::model::FieldError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: NonZeroU32,
    of: NonZeroU32,
}

impl Shard {
    /// Returns this part of a filter's window. The filter needs both ends, because the clocks of machines differ.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if the filter has no `from` or no `to`, or if its window has fewer milliseconds than shards.
    pub fn of(&self, filter: Filter) -> Result<Filter, FieldError> {
        let (Some(from), Some(to)) = (filter.from(), filter.to()) else {
            return Err(FieldError::empty(
                "shard",
                "needs a window with both ends: give from and to as absolute times",
            ));
        };
        let window = Window { lo: from.get(), hi: to.get(), open_below: false, open_above: false };
        let parts = window.split(usize::try_from(self.of.get()).unwrap_or(usize::MAX));
        let number = usize::try_from(self.number.get()).unwrap_or(usize::MAX);
        match parts.get(number - 1) {
            Some(part) if u32::try_from(parts.len()) == Ok(self.of.get()) => {
                filter.into_builder().from(UnixMillis::new(part.lo)).to(UnixMillis::new(part.hi)).build()
            }
            _ => Err(FieldError::empty("shard", "has more parts than the window has milliseconds: take fewer")),
        }
    }
}

impl core::str::FromStr for Shard {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
            Some(Self { number: digits(number)?, of: digits(of)? })
        });
        match parsed {
            Some(shard) if shard.number <= shard.of && shard.of.get() <= 100_000 => Ok(shard),
            _ => Err(FieldError::new("shard", text, "is not one of N parts: give I/N with I from 1 to N, such as 3/8")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}
