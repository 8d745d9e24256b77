//! The name of a failed run in the DLQ.

use crate::model::field_error::FieldError;
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The id of one entry of the DLQ, an opaque text such as `1752829295505-0` or `dlq-…`.
///
/// ```
/// use upstash_dlq_core::DlqId;
/// assert!(DlqId::new("1752829295505-0").is_ok());
/// assert!(DlqId::new("").is_err() && DlqId::new("a,b").is_err() && DlqId::new("..").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DlqId(String);

impl DlqId {
    /// The longest id that is accepted, in bytes. So every id fits a request.
    pub const MAX_LEN: usize = 1_024;

    /// Checks an id.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if the id
    /// - is empty, or longer than [`Self::MAX_LEN`] bytes,
    /// - contains white space, a control character, or a comma (at which the service would split it),
    /// - begins with `#`, `{`, `[` or `"` (a comment, or JSON that was not parsed), or
    /// - is a dot segment (`.`, `..`, `%2e`), which would address another operation.
    pub fn new(id: impl Into<String>) -> Result<Self, FieldError> {
        let id = id.into();
        let bad = |problem| Err(FieldError::new("dlqIds", &id, problem));
        if id.is_empty() {
            return bad("is empty: leave it out or give the id of a run");
        }
        let first = match id.chars().next() {
            Some('#') => Some("begins with #: comments are not taken"),
            Some('{' | '[') => Some("begins with { or [, as no id does: give the id as the service lists it"),
            Some('"') => Some("begins with a quotation mark: with jq, use jq -r"),
            _ => None,
        };
        if let Some(problem) = first {
            return bad(problem);
        }
        // Most ids have none of these, so they are looked at once. The message is about the worst.
        if id.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control()) {
            return bad(if id.trim() != id {
                "has white space around it: give the id alone"
            } else if id.contains(char::is_whitespace) {
                "holds white space: give each id by itself"
            } else if id.contains(',') {
                "holds a comma, at which the service would split it: give each id by itself"
            } else {
                "holds a control character: give the id as the service lists it"
            });
        }
        if is_dot_segment(&id) {
            return bad("is a dot segment, which would address another operation: give the id as the service lists it");
        }
        if id.len() > Self::MAX_LEN {
            return bad("is longer than 1,024 bytes: give the id as the service lists it");
        }
        Ok(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether it is `.` or `..`, with each dot as it is or percent-encoded.
fn is_dot_segment(id: &str) -> bool {
    // `%2e%2E` is the longest.
    id.len() <= 6 && matches!(id.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

impl fmt::Display for DlqId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DlqId {
    type Error = FieldError;
    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id)
    }
}

impl core::str::FromStr for DlqId {
    type Err = FieldError;
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::new(id.to_string())
    }
}

impl From<DlqId> for String {
    fn from(id: DlqId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_are_refused() {
        for id in
            ["", " ", "a ", "\ta", "a,b", ",", ".", "..", "%2e", "%2E.", ".%2e", "a\nb", "a\u{7f}", &"x".repeat(1_025)]
        {
            assert!(DlqId::new(id).is_err(), "{id:?}");
        }
        for id in ["a b", "a\u{a0}b", "a\u{2003}b", "#a", "#", "{", "{\"dlqId\":\"a\"}", "[a]", "\"a\"", "\""] {
            assert!(DlqId::new(id).is_err(), "{id:?}");
        }
        for id in ["1752829295505-0", "dlq-x", "...", "a/b", "a%2eb", "äb", "a.b", "a#b", "a{b", "a[b", "a\"b"] {
            assert!(DlqId::new(id).is_ok(), "{id:?}");
        }
    }
}
