//! Which response was larger than its bound.

use crate::model::cursor::Cursor;
use crate::model::dlq_id::DlqId;
use crate::model::text::Escaped;
use crate::model::time::UnixMillis;
use core::fmt;
use serde::{Deserialize, Serialize};

/// How much of a cursor is shown, in characters.
const SHOWN: usize = 80;

/// Which response was larger than its bound. `Display` completes the sentence "… is larger than 64 MiB".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Oversized {
    /// The message of the run that was asked for by its id.
    Run {
        /// The id of the run in the DLQ.
        id: DlqId,
    },
    /// The page of a listing that was asked to hold one message alone.
    Listed {
        /// Which message of the listing it is, or of the window if the listing has several. The first is 1.
        number: u64,
        /// The cursor that it comes after. `None` on the first page.
        after: Option<Cursor>,
        /// Where the window begins, in milliseconds since 1970. `None` if it has no beginning.
        from: Option<UnixMillis>,
        /// Where the window ends, in milliseconds since 1970, included. `None` if it has no end.
        to: Option<UnixMillis>,
    },
    /// Any other response.
    Response,
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { id } => write!(f, "the message of the run {}", Escaped(id.as_str())),
            Self::Listed { number, after, from, to } => {
                write!(f, "message {number} of the listing")?;
                match (from, to) {
                    (None, None) => {}
                    (Some(from), None) => write!(f, " from {from} on (milliseconds since 1970)")?,
                    (None, Some(to)) => write!(f, " up to {to} (milliseconds since 1970)")?,
                    (Some(from), Some(to)) => write!(f, " from {from} to {to} (milliseconds since 1970)")?,
                }
                if let Some(cursor) = after {
                    let end = cursor.as_str().char_indices().nth(SHOWN).map(|(at, _)| at);
                    let shown = end.and_then(|end| cursor.as_str().get(..end)).unwrap_or(cursor.as_str());
                    write!(f, ", after the cursor {}{}", Escaped(shown), if end.is_some() { "…" } else { "" })?;
                }
                Ok(())
            }
            Self::Response => f.write_str("the response"),
        }
    }
}
