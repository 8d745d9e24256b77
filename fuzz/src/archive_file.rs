//! An archive whose last line may be torn.

use upstash_dlq_store::ArchiveTail;
use upstash_dlq_store::core::model::DlqMessage;

/// An archive cut off anywhere: what was whole stays whole after the repair, and only what is torn goes. A loss of power may leave
/// zeros behind it, in place of a newline, too: they are torn.
pub fn archive_file(data: &[u8]) {
    let _ = ArchiveTail::from_bytes(data);
    let (cut, data) = data.split_at(data.len().min(2));
    let lines: Vec<String> = String::from_utf8_lossy(data)
        .split('\u{fffd}')
        .filter_map(|part| DlqMessage::parse(part).ok())
        .map(|message| message.as_json().to_string() + "\n")
        .collect();
    let file = lines.concat();
    let cut = cut.iter().fold(0, |cut, byte| cut << 8 | usize::from(*byte)).min(file.len());
    let Some(left) = file.as_bytes().get(..cut) else { return };
    let start = left.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let Some((whole, tail)) = left.split_at_checked(start) else { return };
    let repaired = match ArchiveTail::from_bytes(tail) {
        ArchiveTail::Whole => left.to_vec(),
        ArchiveTail::Unterminated => [left, b"\n"].concat(),
        ArchiveTail::Torn => whole.to_vec(),
        ArchiveTail::Foreign => panic!("the beginning of a message is taken for somebody else's: {tail:?}"),
    };
    assert_eq!(ArchiveTail::from_bytes(&[tail, b"\0\0"].concat()), ArchiveTail::Torn, "{tail:?}");
    assert!(file.as_bytes().starts_with(&repaired), "{repaired:?}");
    assert!(repaired.is_empty() || repaired.ends_with(b"\n"));
    assert!(left.len() < repaired.len() + lines.iter().map(String::len).max().unwrap_or(1));
}
