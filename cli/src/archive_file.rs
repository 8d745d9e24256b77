//! An archive on disk: one message a line, whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use upstash_dlq_core::{DlqMessage, LastLine};

/// No line is longer, in bytes: a message comes in an answer of at most 16 MiB.
const MAX_LINE: u64 = 17 * 1024 * 1024;
const CHUNK: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct ArchiveFile {
    path: PathBuf,
    file: File,
    /// Up to here every line is whole and on disk.
    len: u64,
    repaired: bool,
}

impl ArchiveFile {
    /// Goes on with a file that exists: a last line that a crash left unfinished is taken off.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let open = || -> std::io::Result<Self> {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            let metadata = file.metadata()?;
            let mut len = metadata.len();
            let mut repaired = false;
            if metadata.is_file() {
                let mut first = [0; 1];
                if len > 0 && (file.read(&mut first)? != 1 || first != *b"{") {
                    return Err(std::io::Error::other("it is no archive: its first line is no message"));
                }
                let tail = tail(&mut file, len)?;
                match LastLine::of(&tail) {
                    LastLine::Whole => {}
                    LastLine::Unterminated => {
                        file.seek(SeekFrom::End(0))?;
                        file.write_all(b"\n")?;
                        len += 1;
                    }
                    // Part of a message begins like one; anything else is somebody else's.
                    LastLine::Torn if !tail.starts_with(b"{") => {
                        return Err(std::io::Error::other("it is no archive: its last line is no message"));
                    }
                    LastLine::Torn => {
                        len -= tail.len() as u64;
                        file.set_len(len)?;
                        repaired = true;
                    }
                }
                file.seek(SeekFrom::Start(len))?;
                file.sync_all()?;
            }
            // The file's name is on disk only when its folder is. Not every system can open one.
            #[cfg(unix)]
            if let Some(folder) = path.parent() {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                // A folder that may be written but not read cannot be synced; the file itself is.
                if let Ok(folder) = File::open(folder) {
                    folder.sync_all()?;
                }
            }
            Ok(Self { path: path.to_owned(), file, len, repaired })
        };
        open().map_err(|error| format!("--archive: {} cannot be written: {error}; give another file", path.display()))
    }

    /// Whether something was taken off.
    pub(crate) fn repaired(&self) -> bool {
        self.repaired
    }

    /// On disk when it returns.
    pub(crate) fn append(&mut self, messages: &[DlqMessage]) -> Result<(), String> {
        let mut lines = String::with_capacity(messages.iter().map(|message| message.as_json().len() + 1).sum());
        for message in messages {
            lines.push_str(message.as_json());
            lines.push('\n');
        }
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Best effort: what cannot be taken back now is repaired when the file is continued.
            let _ = self.file.set_len(self.len);
            return Err(format!(
                "--archive: {} cannot be written: {error}; make room or give another file",
                self.path.display()
            ));
        }
        self.len += lines.len() as u64;
        Ok(())
    }
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
        DlqMessage::parse(&format!("{{\"dlqId\":\"{id}\"}}")).unwrap()
    }

    #[test]
    fn a_file_is_continued_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        ArchiveFile::open(&path).unwrap().append(&[message("a"), message(&"b".repeat(100_000))]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in [0, 1, first - 2, first - 1, first, first + 1, whole.len() - 2, whole.len() - 1, whole.len()] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut file = ArchiveFile::open(&path).unwrap();
            file.append(&[message("c")]).unwrap();
            let kept = match cut {
                _ if cut >= whole.len() - 1 => whole.len(),
                _ if cut >= first - 1 => first,
                _ => 0,
            };
            let expected = [&whole[..kept], b"{\"dlqId\":\"c\"}\n"].concat();
            assert!(std::fs::read(&path).unwrap() == expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_archive_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ArchiveFile::open(folder.path()).is_err());
        for text in ["notes", "{\"dlqId\":\"a\"}\nnotes", "[1]\n"] {
            let path = folder.path().join("notes");
            std::fs::write(&path, text).unwrap();
            assert!(ArchiveFile::open(&path).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(ArchiveFile::open(&folder.path().join("no/such/folder/x")).is_err());
    }
}
