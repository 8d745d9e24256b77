//! Reads ids from the command line and from a file of any length. It checks all of them and keeps a copy, so that later
//! changes to the file have no effect; then it hands them out part by part.

use crate::input::flag;
use crate::output::text::shown;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::SpooledTempFile;
use upstash_dlq_core::DlqId;
use upstash_dlq_core::checkpoint::FingerprintBuilder;
use upstash_dlq_core::selection::Ids;

/// How many ids are in memory at a time, at most. One part follows another, so it should be enough for many requests of each lane.
const PART: usize = 160_000;
/// The longest part, in bytes, with a line end for each id.
const PART_BYTES: u64 = 4 * 1024 * 1024;
/// The longest line with an id, in bytes. An id has at most 1,024.
const MAX_LINE: u64 = 4_096;
/// The longest line with a message, in bytes. A message comes in a response of at most 64 MiB, unless `--max-body` allows more.
const MAX_MESSAGE: u64 = 65 * 1024 * 1024;
/// A copy below this size stays in memory, in bytes.
const IN_MEMORY: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct IdList {
    /// One id per line, none twice, in a file that no other process can reach.
    copy: BufReader<SpooledTempFile>,
    total: u64,
    /// The length of the copy.
    bytes: u64,
    fingerprint: FingerprintBuilder,
    /// Where the last part ended, so that the next one does not read the copy from its start.
    place: Place,
}

/// A position in the copy: how many ids and bytes lie before it.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    ids: u64,
    bytes: u64,
}

/// A line that holds a message.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "dlqId", borrow)]
    dlq_id: Option<Cow<'a, str>>,
}

impl IdList {
    /// Reads everything once. An error names the line.
    pub(crate) fn check(given: &[String], from: Option<&Path>) -> Result<Self, String> {
        let mut copy = IdListWriter::new();
        for id in given {
            copy.add(&one(id)?)?;
        }
        if let Some(path) = from {
            let unreadable = |error: io::Error| format!("--ids-from: {} cannot be read: {error}", shown(path));
            let file: Box<dyn Read> = if path == Path::new("-") {
                Box::new(io::stdin().lock())
            } else {
                Box::new(File::open(path).map_err(unreadable)?)
            };
            let mut lines = Lines { from: BufReader::with_capacity(64 * 1024, file), line: Vec::new(), number: 0 };
            while lines.next().map_err(unreadable)? {
                let id = lines
                    .id()
                    .map_err(|problem| format!("--ids-from: {}, line {}: {problem}", shown(path), lines.number))?;
                if let Some(id) = id {
                    copy.add(&id)?;
                }
            }
        }
        if copy.total == 0 {
            return Err("--ids-from: no ids found; nothing was sent".into());
        }
        copy.finish()
    }

    /// How many there are, each counted once.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn fingerprint(&self) -> &FingerprintBuilder {
        &self.fingerprint
    }

    /// Whether one part holds them all.
    pub(crate) fn is_short(&self) -> bool {
        self.total <= PART as u64 && self.bytes <= PART_BYTES
    }

    /// The ids after the first `before`, as many as one part holds. `None` if there are none.
    pub(crate) fn part(&mut self, before: u64) -> Result<Option<Ids>, String> {
        let ids = self.read(before).map_err(|error| format!("the copy of the list of ids cannot be read: {error}"))?;
        if ids.is_empty() {
            return Ok(None);
        }
        Ids::new(ids).map(Some).map_err(|error| flag::selection(&error))
    }

    fn read(&mut self, before: u64) -> io::Result<Vec<DlqId>> {
        let mut place = if self.place.ids <= before { self.place } else { Place::default() };
        self.copy.seek(SeekFrom::Start(place.bytes))?;
        let (mut ids, mut bytes, mut line) = (Vec::new(), 0, String::new());
        while ids.len() < PART && bytes < PART_BYTES {
            line.clear();
            let read = self.copy.read_line(&mut line)?;
            if read == 0 {
                break;
            }
            if place.ids >= before {
                ids.push(DlqId::new(line.trim_end_matches('\n')).map_err(io::Error::other)?);
                bytes += read as u64;
            }
            place.ids += 1;
            place.bytes += read as u64;
        }
        self.place = place;
        Ok(ids)
    }
}

/// Parses ids that are few. Duplicates count once.
pub(crate) fn few(given: &[String]) -> Result<Ids, String> {
    Ids::parse(given).map_err(|error| flag::selection(&error))
}

/// Parses a single id.
pub(crate) fn one(text: &str) -> Result<DlqId, String> {
    if text == "-" {
        return Err("\"-\" is no id: for ids from standard input, give --ids-from -".to_owned());
    }
    DlqId::new(text).map_err(|error| flag::selection(&error))
}

/// An [`IdList`] in the making.
pub(crate) struct IdListWriter {
    file: BufWriter<SpooledTempFile>,
    /// Hashes of the ids so far, under a key of this process. Among ten million ids, the chance that two are taken for one is
    /// one in 300,000.
    seen: HashSet<u64>,
    hasher: RandomState,
    total: u64,
    /// The length of the copy.
    bytes: u64,
    fingerprint: FingerprintBuilder,
}

impl IdListWriter {
    pub(crate) fn new() -> Self {
        Self {
            file: BufWriter::with_capacity(64 * 1024, SpooledTempFile::new(IN_MEMORY)),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            total: 0,
            bytes: 0,
            fingerprint: FingerprintBuilder::default(),
        }
    }

    /// Returns whether the id is new.
    pub(crate) fn add(&mut self, id: &DlqId) -> Result<bool, String> {
        if !self.seen.insert(self.hasher.hash_one(id.as_str())) {
            return Ok(false);
        }
        self.total += 1;
        self.bytes += id.as_str().len() as u64 + 1;
        self.fingerprint.add(id.as_str());
        let written = self.file.write_all(id.as_str().as_bytes()).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| uncopied(&error))?;
        Ok(true)
    }

    pub(crate) fn finish(self) -> Result<IdList, String> {
        let Self { file, total, bytes, fingerprint, .. } = self;
        let file = file.into_inner().map_err(|error| uncopied(error.error()))?;
        let copy = BufReader::with_capacity(64 * 1024, file);
        Ok(IdList { copy, total, bytes, fingerprint, place: Place::default() })
    }
}

fn uncopied(error: &io::Error) -> String {
    format!(
        "the list of ids cannot be kept in {}: {error}; make room there, or set TMPDIR to another folder",
        shown(&std::env::temp_dir())
    )
}

/// A file's lines, each as long as an id or a message may be.
struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    /// The number of the line that was read last, from 1.
    number: u64,
}

impl<R: Read> Lines<R> {
    /// Reads the next line. False at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.number += 1;
        self.read_up_to(MAX_LINE)?;
        if self.is_longer_than(MAX_LINE) && self.text_begins_with(b'{') {
            self.read_up_to(MAX_MESSAGE)?;
        }
        Ok(!self.line.is_empty())
    }

    /// Reads up to `bound` bytes and one more, which is the newline or one too many.
    fn read_up_to(&mut self, bound: u64) -> io::Result<()> {
        let left = (bound + 1).saturating_sub(self.line.len() as u64);
        Read::by_ref(&mut self.from).take(left).read_until(b'\n', &mut self.line)?;
        Ok(())
    }

    fn is_longer_than(&self, bound: u64) -> bool {
        self.line.len() as u64 > bound && !self.line.ends_with(b"\n")
    }

    /// The line without the byte order mark that some editors put at the beginning of a file.
    fn text(&self) -> &[u8] {
        let mark = if self.number == 1 { "\u{feff}".as_bytes() } else { b"" };
        self.line.strip_prefix(mark).unwrap_or(&self.line)
    }

    fn text_begins_with(&self, byte: u8) -> bool {
        self.text().trim_ascii_start().first() == Some(&byte)
    }

    /// The id of the line. `None` for a blank line.
    fn id(&self) -> Result<Option<DlqId>, String> {
        let is_message = self.text_begins_with(b'{');
        let bound = if is_message { MAX_MESSAGE } else { MAX_LINE };
        if self.is_longer_than(bound) {
            let what = if is_message { "a message" } else { "an id" };
            return Err(format!("is longer than {bound} bytes, the limit for {what}: give one id per line"));
        }
        let text =
            std::str::from_utf8(self.text()).map_err(|_| "is not text (UTF-8): give one id per line".to_owned())?;
        let id = match text.trim() {
            "" => return Ok(None),
            text if is_message => match serde_json::from_str(text) {
                Ok(Message { dlq_id: Some(id) }) => id,
                Ok(Message { dlq_id: None }) | Err(_) => {
                    return Err(
                        "is neither an id nor a message with a dlqId: give one id per line, or what list --json writes"
                            .into(),
                    );
                }
            },
            text => Cow::Borrowed(text),
        };
        DlqId::new(id).map(Some).map_err(|error| flag::selection(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_follow_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids");
        let id = |n: usize| format!("id-{n:0200}");
        let lines: Vec<String> = (0..25_000).map(|n| id(n) + "\r\n").collect();
        std::fs::write(&path, format!("\u{feff}\n{}", lines.concat())).unwrap();
        let mut list = IdList::check(&["first".into()], Some(&path)).unwrap();
        assert!(list.total() == 25_001 && !list.is_short());
        // The file is not read again.
        std::fs::remove_file(&path).unwrap();
        let (mut seen, mut parts) = (Vec::new(), 0);
        while let Some(ids) = list.part(seen.len() as u64).unwrap() {
            let bytes: usize = ids.as_slice().iter().map(|id| id.as_str().len() + 1).sum();
            assert!(bytes < usize::try_from(PART_BYTES).unwrap() + 204, "{bytes}");
            seen.extend(ids.as_slice().iter().map(ToString::to_string));
            parts += 1;
        }
        assert_eq!((seen.len(), parts), (25_001, 2));
        assert_eq!((seen[0].as_str(), &seen[1], &seen[25_000]), ("first", &id(0), &id(24_999)));
        // From anywhere, also back.
        for (before, first) in [(7, 6), (20_000, 19_999), (1, 0), (10_000, 9_999)] {
            assert_eq!(list.part(before).unwrap().unwrap().as_slice()[0].as_str(), id(first));
        }
        std::fs::write(&path, format!("{}x,y\n", lines.concat())).unwrap();
        assert!(IdList::check(&[], Some(&path)).unwrap_err().contains("line 25001"));
    }

    #[test]
    fn a_part_of_short_ids_has_so_many() {
        let ids: Vec<String> = (0..=PART).map(|n| format!("{n}")).collect();
        let mut list = IdList::check(&ids[..PART], None).unwrap();
        assert!(list.is_short() && list.part(0).unwrap().unwrap().len() == PART);
        let mut list = IdList::check(&ids, None).unwrap();
        assert!(!list.is_short() && list.part(0).unwrap().unwrap().len() == PART);
        assert_eq!(list.part(PART as u64).unwrap().unwrap().len(), 1);
    }

    #[test]
    fn a_line_is_as_long_as_it_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids");
        for (blanks, ending, taken) in
            [(4_095, "\n", true), (4_095, "", true), (4_096, "\n", false), (4_096, "", false)]
        {
            std::fs::write(&path, format!("{}a{ending}", " ".repeat(blanks))).unwrap();
            assert_eq!(IdList::check(&[], Some(&path)).is_ok(), taken, "{blanks}");
        }
    }

    /// Lines of a file: ids, messages, blanks, what is neither, and lines that are too long.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            4 => "[a-c0-9-]{1,3}".prop_map(String::into_bytes),
            2 => "\\{\"dlqId\":\"[a-c]{0,2}\",\"x\":[0-9]{0,2}\\}".prop_map(String::into_bytes),
            1 => Just("{\"body\":{\"dlqId\":\"hidden\"},\"dlqId\":\"\\u0061b\"} ".into()),
            1 => Just("\u{feff}a".into()),
            2 => "[ \t\r]{0,3}".prop_map(String::into_bytes),
            1 => (4_090..4_100_usize).prop_map(|n| vec![b' '; n]),
            1 => (4_090..9_000_usize).prop_map(|n| format!("{{\"dlqId\":\"a\",\"z\":\"{}\"}}", "z".repeat(n)).into_bytes()),
            1 => any::<Vec<u8>>(),
        ];
        proptest::collection::vec(line, 0..6).prop_map(|lines| lines.join(&b'\n'))
    }

    proptest! {
        #[test]
        fn every_line_is_an_id_or_blank_or_refused(bytes in bytes(), given in proptest::option::of("[a-c]")) {
            // A small buffer: lines come in pieces.
            let mut lines = Lines { from: BufReader::with_capacity(7, &bytes[..]), line: Vec::new(), number: 0 };
            let mut expected: Vec<String> = given.iter().cloned().collect();
            let mut refused = None;
            let mut texts = bytes.split(|byte| *byte == b'\n');
            while refused.is_none() && lines.next().unwrap() {
                let text = texts.next().unwrap();
                let shown = String::from_utf8_lossy(text);
                // The mark belongs to the beginning of a file.
                let mark = if lines.number == 1 { "\u{feff}" } else { "" };
                let shown = shown.strip_prefix(mark).unwrap_or(&shown).trim();
                let is_message = shown.starts_with('{');
                prop_assert!(is_message || lines.line.capacity() as u64 <= 4 * MAX_LINE, "{}", lines.line.capacity());
                match lines.id() {
                    Ok(None) => prop_assert!(shown.is_empty()),
                    Ok(Some(id)) if is_message => {
                        let message: serde_json::Value = serde_json::from_str(shown).unwrap();
                        prop_assert_eq!(message["dlqId"].as_str(), Some(id.as_str()));
                        expected.push(id.to_string());
                    }
                    Ok(Some(id)) => {
                        prop_assert_eq!(id.as_str(), shown);
                        expected.push(id.to_string());
                    }
                    Err(problem) => {
                        prop_assert!(!problem.contains(char::is_control) && problem.len() < 8_000, "{problem:?}");
                        refused = Some(lines.number);
                    }
                }
            }
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&bytes).unwrap();
            let given: Vec<String> = given.into_iter().collect();
            match (IdList::check(&given, Some(file.path())), refused) {
                (Err(sentence), Some(line)) => prop_assert!(sentence.contains(&format!(", line {line}: ")), "{sentence}"),
                (Err(sentence), None) => prop_assert!(expected.is_empty() && sentence.contains("no ids found")),
                (Ok(_), Some(line)) => prop_assert!(false, "line {} is passed over", line),
                (Ok(mut list), None) => {
                    let mut seen = HashSet::new();
                    expected.retain(|id| seen.insert(id.clone()));
                    let part = list.part(0).unwrap().unwrap();
                    prop_assert!(part.as_slice().iter().map(DlqId::as_str).eq(expected.iter().map(String::as_str)));
                    prop_assert_eq!(list.total(), expected.len() as u64);
                }
            }
        }
    }
}
