//! The cursor: where the next page begins.

use alloc::string::String;
use alloc::sync::Arc;
use serde::{Deserialize, Serialize};

/// Where the next page begins. It is opaque: only the service makes one, and a client sends it back unchanged. It is never
/// empty: the service's empty cursor means the end, which is `None` here. Cloning is cheap.
///
/// ```
/// use upstash_dlq_core::model::{Cursor, CursorError};
/// assert_eq!(Cursor::try_from("c".to_owned())?.as_str(), "c");
/// assert_eq!(Cursor::try_from(String::new()), Err(CursorError::Empty));
/// # Ok::<(), CursorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(Arc<str>);

/// Why a cursor cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CursorError {
    /// The text is empty, which means the end.
    Empty,
    /// The text is longer than [`Cursor::MAX_LEN`] bytes.
    TooLong,
}

impl core::fmt::Display for CursorError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the cursor is empty",
            Self::TooLong => "the cursor is longer than 4,096 bytes",
        })
    }
}

impl Cursor {
    /// The longest cursor that is accepted, in bytes. A longer one would not fit a request line.
    pub const MAX_LEN: usize = 4_096;

    pub(crate) fn parse(text: &str) -> Result<Self, CursorError> {
        if text.is_empty() {
            Err(CursorError::Empty)
        } else if text.len() > Self::MAX_LEN {
            Err(CursorError::TooLong)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The cursor as the service wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;
    fn try_from(text: String) -> Result<Self, CursorError> {
        Self::parse(&text)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.as_str().into()
    }
}

impl core::error::Error for CursorError {}
