//! Texts for people in a buffer that has an end: it gets the beginning, and whoever writes learns that this is not all.

use crate::results::halts;
use std::fmt::{self, Display, Write};
use upstash_dlq_core::checkpoint::CheckpointError;
use upstash_dlq_core::engine::Oversized;
use upstash_dlq_core::model::{Cursor, Escaped, Period};
use upstash_dlq_core::selection::Shard;
use upstash_dlq_core::{DlqId, DlqMessage, Halt, Outcome, Totals, UnixMillis};

/// A buffer for so many bytes.
struct Buffer {
    text: String,
    room: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.text.len() + part.len() > self.room {
            return Err(fmt::Error);
        }
        self.text.push_str(part);
        Ok(())
    }
}

/// Whatever the room is, the buffer has the beginning of the text, and only the whole text is a success.
fn ends_anywhere(shown: &dyn Display) {
    let whole = shown.to_string();
    for room in 0..=whole.len() {
        let mut buffer = Buffer { text: String::new(), room };
        let written = write!(buffer, "{shown}");
        assert_eq!(written.is_ok(), room == whole.len(), "{room} bytes for {whole}");
        assert!(whole.starts_with(&buffer.text), "{} of {whole}", buffer.text);
    }
}

fn listed(number: u64, after: Option<&str>, from: Option<i64>, to: Option<i64>) -> Oversized {
    let after = after.map(|after| serde_json::from_value::<Cursor>(after.into()).unwrap());
    let json = serde_json::json!({ "kind": "listed", "number": number, "after": after, "from": from, "to": to });
    serde_json::from_value(json).unwrap()
}

#[test]
fn a_text_that_does_not_fit_is_an_error_of_its_writer() {
    halts().iter().for_each(|halt| ends_anywhere(halt));
    for (affected, unconfirmed) in [(0, 0), (0, 1), (1, 0), (2, 3)] {
        let error = Outcome::halted(Totals::from_counts(affected, unconfirmed), Halt::Stopped).into_result();
        ends_anywhere(&error.unwrap_err());
    }
    for (from, to) in [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))] {
        ends_anywhere(&listed(8, Some("c"), from, to));
    }
    let reasons = [CheckpointError::Damaged("x".into()), CheckpointError::Version(4), CheckpointError::NotResumable];
    reasons.iter().for_each(|reason| ends_anywhere(reason));
    ends_anywhere(&DlqId::new("a,b").unwrap_err());
    ends_anywhere(&Escaped("a\u{1b}[31m\u{202e}ä"));
    ends_anywhere(&Escaped(&"ä".repeat(Escaped::LIMIT + 1)));
    ends_anywhere(&DlqMessage::parse("[]").unwrap_err());
    ends_anywhere(&DlqMessage::parse("{}").unwrap().signature());
    ends_anywhere(&UnixMillis::new(1_764_000_000_000));
    ends_anywhere(&Period::from_secs(90).unwrap());
    ends_anywhere(&"3/8".parse::<Shard>().unwrap());
}

/// A value in a file that cannot be used damages the file. The reason says which value it is.
#[test]
fn a_value_that_cannot_be_used_damages_a_checkpoint() {
    let value = DlqId::new("a,b").unwrap_err();
    let reason = CheckpointError::from(value.clone());
    assert_eq!(reason, CheckpointError::Damaged(value.to_string()));
    let sentence = format!("the checkpoint cannot be read ({value}): give another one, or none to start over");
    assert_eq!(reason.to_string(), sentence);
}

/// Whoever looks for the message that is too large is told where it stands, in whichever window.
#[test]
fn a_message_that_is_too_large_is_found_by_its_sentence() {
    for (after, from, to, sentence) in [
        (None, None, None, "message 3 of the listing"),
        (None, Some(5), None, "message 3 of the listing from 5 on (milliseconds since 1970)"),
        (None, None, Some(6), "message 3 of the listing up to 6 (milliseconds since 1970)"),
        (
            Some("c\u{1b}"),
            Some(5),
            Some(6),
            "message 3 of the listing from 5 to 6 (milliseconds since 1970), after the cursor c\\u{1b}",
        ),
    ] {
        assert_eq!(listed(3, after, from, to).to_string(), sentence);
    }
    // A cursor is shown up to a bound, at which nothing is cut yet.
    for (length, end) in [(80, "ä"), (81, "ä…")] {
        let shown = listed(3, Some(&"ä".repeat(length)), None, None).to_string();
        let cursor = shown.strip_prefix("message 3 of the listing, after the cursor ").unwrap();
        assert!(cursor.starts_with(&"ä".repeat(80)) && cursor.ends_with(end) && cursor.len() <= 163, "{shown}");
    }
}
