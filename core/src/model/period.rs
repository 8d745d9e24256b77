//! Spans of time in the service's notation.

use crate::model::field_error::FieldError;
use alloc::string::{String, ToString};
use core::fmt;

/// A span of time in the service's notation: a whole number and a unit, `s`, `m`, `h` or `d`, such as `10s` or `5m`. It is
/// sent as it was given.
///
/// ```
/// use upstash_dlq_core::model::Period;
/// assert_eq!("5m".parse::<Period>()?.as_str(), "5m");
/// assert!("90".parse::<Period>().is_err() && "0s".parse::<Period>().is_err() && "1.5h".parse::<Period>().is_err());
/// # Ok::<(), upstash_dlq_core::model::FieldError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period(String);

impl Period {
    /// A period of this many seconds.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if `seconds` is zero.
    pub fn from_secs(seconds: u32) -> Result<Self, FieldError> {
        alloc::format!("{seconds}s").parse()
    }

    /// The text that is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::str::FromStr for Period {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let number = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        if digits && number.parse::<u32>().is_ok_and(|number| number > 0) {
            return Ok(Self(text.to_string()));
        }
        Err(FieldError::new("period", text, "is not a span of time: give a whole number and s, m, h or d, such as 10s"))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
