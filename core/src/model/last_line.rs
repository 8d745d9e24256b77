//! How an archive ends.

use crate::model::message::DlqMessage;

/// How an archive ends: one message a line (NDJSON), of which a crash may have left the last one unfinished.
///
/// ```
/// use upstash_dlq_core::LastLine;
/// assert_eq!(LastLine::of(b""), LastLine::Whole);
/// assert_eq!(LastLine::of(br#"{"dlqId":"a"#), LastLine::Torn);
/// assert_eq!(LastLine::of(br#"{"dlqId":"a"}"#), LastLine::Unterminated);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLine {
    /// The file is empty or ends in a newline: append.
    Whole,
    /// A whole message that lacks its newline: write that first.
    Unterminated,
    /// Part of a message. Nothing was deleted on its account: cut it off.
    Torn,
}

impl LastLine {
    /// What follows the file's last newline, or the whole file where it has none.
    pub fn of(after_last_newline: &[u8]) -> Self {
        if after_last_newline.is_empty() {
            return Self::Whole;
        }
        match core::str::from_utf8(after_last_newline).map(DlqMessage::parse) {
            Ok(Ok(_)) => Self::Unterminated,
            _ => Self::Torn,
        }
    }
}
