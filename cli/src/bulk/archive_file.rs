//! An archive on disk: one message a line, whole or not at all; this process's alone while it is open.

use crate::bulk::private_file::{self, shown};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use upstash_dlq_core::{DlqId, DlqMessage, LastLine};

/// No line is longer, in bytes: a message comes in an answer of at most 16 MiB.
const MAX_LINE: u64 = 17 * 1024 * 1024;
const CHUNK: u64 = 64 * 1024;

/// A place for an archive, which nothing has been written to: whoever says no finds it as it was.
#[derive(Debug)]
pub(crate) struct FoundArchive {
    path: PathBuf,
    /// What is there, locked.
    existing: Option<File>,
}

#[derive(Debug)]
pub(crate) struct ArchiveFile {
    path: PathBuf,
    file: File,
    /// Devices have no length, and nothing can be put in their place.
    regular: bool,
    /// Up to here every line is whole and on disk.
    len: u64,
    repaired: bool,
}

/// How a file ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// A newline is missing.
    Unterminated,
    /// So many bytes are part of a message.
    Torn(u64),
}

enum Problem {
    InUse,
    /// It is somebody else's file.
    NoArchive(&'static str),
    Io(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Io(error)
    }
}

impl Problem {
    fn sentence(self, path: &Path) -> String {
        let path = shown(path);
        match self {
            Self::InUse => format!("--archive: {path} is in use by another process: wait for it, or give another file"),
            Self::NoArchive(why) => format!("--archive: {path} is not an archive: {why}; give another file"),
            Self::Io(error) => format!("--archive: {path} cannot be written: {error}; give another file"),
        }
    }
}

impl FoundArchive {
    /// Everything that can be said against it. A file that exists is locked from here on.
    pub(crate) fn at(path: &Path) -> Result<Self, String> {
        let found = || -> Result<Option<File>, Problem> {
            if !private_file::is_there(path)? {
                private_file::can_create_in(private_file::folder(path))?;
                return Ok(None);
            }
            let mut file = private_file::options().read(true).append(true).open(path)?;
            if file.metadata()?.is_file() {
                lock(&file, path)?;
                end(&mut file)?;
            }
            Ok(Some(file))
        };
        let existing = found().map_err(|problem| problem.sentence(path))?;
        Ok(Self { path: path.to_owned(), existing })
    }

    /// Makes the file, or goes on with it: a last line that a crash left unfinished is taken off.
    pub(crate) fn open(self) -> Result<ArchiveFile, String> {
        let Self { path, existing } = self;
        if existing.is_none() && path.symlink_metadata().is_ok() {
            // Somebody has made one in between.
            return Self::at(&path)?.open();
        }
        let open = || -> Result<ArchiveFile, Problem> {
            let mut file = match existing {
                Some(file) => file,
                None => private_file::options().read(true).append(true).create_new(true).open(&path)?,
            };
            let regular = file.metadata()?.is_file();
            // Measured anew: the lock keeps out only those who ask for one, and what was seen before the question is old.
            let (mut len, end) = if regular {
                lock(&file, &path)?;
                end(&mut file)?
            } else {
                (0, End::Whole)
            };
            match end {
                End::Whole => {}
                End::Unterminated => {
                    file.write_all(b"\n")?;
                    len += 1;
                }
                End::Torn(part) => {
                    len = len.saturating_sub(part);
                    file.set_len(len)?;
                }
            }
            if regular {
                file.sync_all()?;
            }
            private_file::sync_folder(&path)?;
            Ok(ArchiveFile { path: path.clone(), file, regular, len, repaired: matches!(end, End::Torn(_)) })
        };
        open().map_err(|problem| problem.sentence(&path))
    }
}

/// Ours, and at its place: one that was taken away before it was locked is nobody's.
fn lock(file: &File, path: &Path) -> Result<(), Problem> {
    if !private_file::lock(file)? {
        return Err(Problem::InUse);
    }
    if private_file::is_at(file, path)? { Ok(()) } else { Err(Error::from(ErrorKind::NotFound).into()) }
}

impl ArchiveFile {
    /// Whether something was taken off.
    pub(crate) fn repaired(&self) -> bool {
        self.repaired
    }

    /// On disk when it returns, and still at its place.
    pub(crate) fn append(&mut self, messages: &[DlqMessage]) -> Result<(), String> {
        let mut lines = String::with_capacity(messages.iter().map(|message| message.as_json().len() + 1).sum());
        for message in messages {
            lines.push_str(message.as_json());
            lines.push('\n');
        }
        let (written, result) = write(&mut self.file, lines.as_bytes());
        if let Err(error) = result.and_then(|()| self.file.sync_data()) {
            // Best effort: what cannot be taken back now is repaired when the file is continued. Where somebody else has
            // written in between, nothing is taken back.
            if self.file.metadata().is_ok_and(|now| now.is_file() && now.len() == self.len + written) {
                let _ = self.file.set_len(self.len);
            }
            return Err(format!(
                "--archive: {} cannot be written: {error}; make room or give another file; nothing that is not in it was deleted",
                shown(&self.path)
            ));
        }
        self.len += written;
        self.is_untouched()
    }

    /// Whether it is at its place, as long as it was left.
    pub(crate) fn is_untouched(&self) -> Result<(), String> {
        if !self.regular {
            return Ok(());
        }
        let what = match (private_file::is_at(&self.file, &self.path), self.file.metadata()) {
            (Ok(true), Ok(now)) if now.len() == self.len => return Ok(()),
            (Ok(false), _) => "was moved, replaced or removed by somebody else",
            (Ok(true), Ok(_)) => "was changed by somebody else",
            (Err(_), _) | (_, Err(_)) => "cannot be looked at any more",
        };
        Err(format!("--archive: {} {what}; nothing more was deleted", shown(&self.path)))
    }
}

/// How much was written, also where that was not all.
fn write(file: &mut File, mut bytes: &[u8]) -> (u64, std::io::Result<()>) {
    let mut written = 0;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(some) => {
                written += some as u64;
                bytes = bytes.get(some..).unwrap_or_default();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// How long the file is and how it ends, if it is an archive: its first line is a message whose id can be used, and its last line is one or
/// the beginning of one. Where nobody can tell, the file is somebody else's.
fn end(file: &mut File) -> Result<(u64, End), Problem> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok((len, End::Whole));
    }
    let tail = tail(file, len)?;
    let last = LastLine::of(&tail);
    let is_one_line = tail.len() as u64 == len;
    let is_ours = if is_one_line && last == LastLine::Torn {
        is_unfinished(&tail) && id_at_the_beginning(&tail)
    } else {
        std::str::from_utf8(&first_line(file)?)
            .is_ok_and(|line| DlqMessage::parse(line).is_ok_and(|message| message.dlq_id().is_some()))
    };
    if !is_ours {
        return Err(Problem::NoArchive("its first line is not a DLQ message"));
    }
    match last {
        LastLine::Whole => Ok((len, End::Whole)),
        LastLine::Unterminated => Ok((len, End::Unterminated)),
        LastLine::Torn if is_unfinished(&tail) => Ok((len, End::Torn(tail.len() as u64))),
        LastLine::Torn => Err(Problem::NoArchive("its last line is not a DLQ message, nor the beginning of one")),
    }
}

fn first_line(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    BufReader::new(file).take(MAX_LINE).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Whether more could follow and make it an object. A crash of the machine may leave zeros at the end.
fn is_unfinished(part: &[u8]) -> bool {
    let end = part.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let part = part.get(..end).unwrap_or_default();
    let lacks_its_end = |part: &[u8]| serde_json::from_slice::<IgnoredAny>(part).is_err_and(|error| error.is_eof());
    // A number may be cut after its sign, its point or its e.
    part.is_empty() || (part.starts_with(b"{") && (lacks_its_end(part) || lacks_its_end(&[part, b"0"].concat())))
}

/// Whether part of a message has a usable id in it.
fn id_at_the_beginning(part: &[u8]) -> bool {
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
    // It ends in an error, as it is cut.
    let _ = Id(&mut has_id).deserialize(&mut serde_json::Deserializer::from_slice(part));
    has_id
}

/// What follows the last newline.
fn tail(file: &mut File, len: u64) -> std::io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    let mut start = len;
    while start > 0 {
        let from = start.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(from))?;
        let mut chunk = Vec::new();
        Read::by_ref(file).take(start - from).read_to_end(&mut chunk)?;
        if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
            let mut after = chunk.split_off(newline + 1);
            after.append(&mut tail);
            return Ok(after);
        }
        chunk.append(&mut tail);
        tail = chunk;
        start = from;
        if tail.len() as u64 > MAX_LINE {
            return Err(std::io::Error::other("its last line is far longer than any message: it is no archive"));
        }
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> DlqMessage {
        DlqMessage::parse(&format!("{{\"dlqId\":\"{id}\",\"body\":\"ü\",\"n\":[-1.5e+3,true,null]}}")).unwrap()
    }

    fn open(path: &Path) -> Result<ArchiveFile, String> {
        FoundArchive::at(path)?.open()
    }

    #[test]
    fn a_file_is_continued_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        open(&path).unwrap().append(&[message("a"), message(&"b".repeat(60))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for (cut, zeros) in (0..=whole.len()).map(|cut| (cut, 0)).chain([(first, 9), (first + 40, 4_096)]) {
            std::fs::write(&path, [&whole[..cut], &vec![0; zeros]].concat()).unwrap();
            // Without its id the first line may be anybody's.
            if (1.."{\"dlqId\":\"a\"".len()).contains(&cut) {
                assert!(open(&path).unwrap_err().contains("not an archive"), "cut at {cut}");
                assert_eq!(std::fs::read(&path).unwrap(), whole[..cut]);
                continue;
            }
            let mut file = open(&path).unwrap();
            file.append(&[message("c")]).unwrap();
            let kept = match cut {
                _ if cut >= whole.len() - 1 => whole.len(),
                _ if cut >= first - 1 => first,
                _ => 0,
            };
            let expected = [&whole[..kept], message("c").as_json().as_bytes(), b"\n"].concat();
            assert!(std::fs::read(&path).unwrap() == expected, "cut at {cut}");
        }
    }

    #[test]
    fn one_that_is_open_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let mut first = open(&path).unwrap();
        first.append(&[message("a")]).unwrap();
        let mut torn = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"dlqId\":").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(open(&path).unwrap_err().ends_with("is in use by another process: wait for it, or give another file"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        drop(first);
        assert!(open(&path).unwrap().repaired());
    }
}
