//! How an archive's bytes end, and whether they are an archive at all. Touches no disk.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use upstash_dlq_core::model::{DlqId, DlqMessage};

/// How an archive ends: one message per line (NDJSON), of which a crash may have left the last one unfinished.
///
/// ```
/// use upstash_dlq_store::ArchiveTail;
/// assert_eq!(ArchiveTail::from_bytes(b""), ArchiveTail::Whole);
/// assert_eq!(ArchiveTail::from_bytes(br#"{"dlqId":"a"}"#), ArchiveTail::Unterminated);
/// assert_eq!(ArchiveTail::from_bytes(br#"{"dlqId":"a"#), ArchiveTail::Torn);
/// assert_eq!(ArchiveTail::from_bytes(b"{\"dlqId\":\"a\"}\0"), ArchiveTail::Torn);
/// assert_eq!(ArchiveTail::from_bytes(b"notes"), ArchiveTail::Foreign);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveTail {
    /// The file is empty or ends in a newline: append.
    Whole,
    /// A whole message that lacks its newline: write that first.
    Unterminated,
    /// The beginning of a message, or what has zeros in it, which a loss of power leaves. Its run was not deleted: cut it off.
    Torn,
    /// Neither a message nor the beginning of one: the file is not an archive.
    Foreign,
}

impl ArchiveTail {
    /// Takes what follows the file's last newline, or the whole file if it has none.
    pub fn from_bytes(after_last_newline: &[u8]) -> Self {
        if after_last_newline.is_empty() {
            return Self::Whole;
        }
        match std::str::from_utf8(after_last_newline).map(DlqMessage::parse) {
            Ok(Ok(_)) => Self::Unterminated,
            // No message has zeros. A loss of power leaves them where something did not come to the disk.
            _ if after_last_newline.contains(&0) || is_unfinished(after_last_newline) => Self::Torn,
            _ => Self::Foreign,
        }
    }
}

/// Whether more could follow and make it an object.
fn is_unfinished(part: &[u8]) -> bool {
    let lacks_its_end = |part: &[u8]| serde_json::from_slice::<IgnoredAny>(part).is_err_and(|error| error.is_eof());
    // A number may be cut after its sign, its point or its e.
    part.is_empty() || (part.starts_with(b"{") && (lacks_its_end(part) || lacks_its_end(&[part, b"0"].concat())))
}

/// Whether a line is a message whose id can be used.
pub(crate) fn has_id(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| DlqMessage::parse(line).is_ok_and(|message| message.dlq_id().is_some()))
}

/// How a message begins, as the service sends it.
const BEGINNING: &[u8] = b"{\"dlqId\":\"";

/// Whether a file of these bytes alone can only be a first line that was torn before its id ended: nothing but zeros, or the
/// beginning of a message, with zeros behind it or not. Such a file holds nothing that anybody could miss.
pub(crate) fn is_torn_before_its_id(part: &[u8]) -> bool {
    let end = part.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let part = part.get(..end).unwrap_or_default();
    match part.strip_prefix(BEGINNING) {
        Some(id) => {
            id.is_empty() || std::str::from_utf8(id).is_ok_and(|id| DlqId::new(id).is_ok() && !id.contains(['"', '\\']))
        }
        None => BEGINNING.starts_with(part),
    }
}

/// Whether part of a message has a usable id in it.
pub(crate) fn part_has_id(part: &[u8]) -> bool {
    struct Id<'a>(&'a mut bool);
    impl<'de> DeserializeSeed<'de> for Id<'_> {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_map(self)
        }
    }
    impl<'de> Visitor<'de> for Id<'_> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                if name == "dlqId" {
                    *self.0 = DlqId::new(map.next_value::<String>()?).is_ok();
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(())
        }
    }
    let mut has_id = false;
    // It always ends in an error, because the text is cut.
    let _ = Id(&mut has_id).deserialize(&mut serde_json::Deserializer::from_slice(part));
    has_id
}
