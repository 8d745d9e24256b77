//! What can go wrong with a file, as data. It names no option of any command. The caller adds what to do about it.

use std::fmt;
use std::io::Error;
use std::path::{Path, PathBuf};
use upstash_dlq_core::model::Escaped;

/// A file and what is wrong with it. Displayed as `runs.ndjson is in use by another process`.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use upstash_dlq_store::{ArchiveFile, NotAnArchive, Problem};
/// let path = folder.path().join("notes.txt");
/// std::fs::write(&path, "buy milk")?;
/// let error = ArchiveFile::open(&path).unwrap_err();
/// assert!(matches!(error.problem, Problem::NotAnArchive(NotAnArchive::FirstLine)));
/// assert_eq!(error.path, path);
/// assert_eq!(std::fs::read_to_string(&path)?, "buy milk");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// Another process has it locked.
    InUse,
    /// It is not an archive. It was left unchanged.
    NotAnArchive(NotAnArchive),
    /// It has the name of an [`IdSpool`](crate::IdSpool), but is none. It was left unchanged.
    NotASpool,
    /// It is a folder, a device or a socket.
    NotAFile,
    /// It is a symbolic link, which is not followed.
    SymbolicLink,
    /// It is a named pipe.
    Pipe,
    /// It belongs to another user, who could read what is written: neither to this one, nor to root, nor to the owner of its folder.
    OtherUser,
    /// The path ends in no name of a file (`/`, `..`, `name/`).
    NoName,
    /// It is longer than this many bytes, and was not read.
    TooLong(u64),
    /// A checkpoint exists already, and may refer to the ids beside it.
    HasCheckpoint,
    /// It does not exist, but should.
    Missing,
    /// It was moved, replaced or removed while it was open.
    Moved,
    /// Its contents are not what this crate left.
    Changed,
    /// An earlier append failed, so the end of the file is unknown until it is opened again.
    Broken,
    /// The system cannot tell whether it is still in place.
    Unverifiable(Error),
    /// It cannot be read.
    Read(Error),
    /// It cannot be created, locked, written or synced.
    Write(Error),
    /// It cannot be removed.
    Remove(Error),
}

/// Why a file is not an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAnArchive {
    /// Its first line is not a DLQ message with an id.
    FirstLine,
    /// Its last line is not a DLQ message, nor the beginning of one.
    LastLine,
    /// Its last line is longer than any message.
    LongLine,
}

impl Problem {
    /// Of the file at `path`.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        StoreError { path: path.to_owned(), problem: self }
    }
}

impl fmt::Display for NotAnArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstLine => "its first line is not a DLQ message",
            Self::LastLine => "its last line is not a DLQ message, nor the beginning of one",
            Self::LongLine => "its last line is longer than any DLQ message",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("is in use by another process"),
            Self::NotAnArchive(why) => write!(f, "is not an archive: {why}"),
            Self::NotASpool => f.write_str("is not a list of ids that belongs to a checkpoint"),
            Self::NotAFile => f.write_str("cannot be read: it is not a file"),
            Self::SymbolicLink => f.write_str("cannot be written: it is a symbolic link, which is not followed"),
            Self::Pipe => f.write_str("cannot be written: it is a pipe"),
            Self::OtherUser => f.write_str("cannot be written: it belongs to another user"),
            Self::NoName => f.write_str("cannot be written: it names no file"),
            Self::TooLong(limit) => write!(f, "cannot be read: it is longer than {limit} bytes"),
            Self::HasCheckpoint => f.write_str("exists already, and may need the ids beside it"),
            Self::Missing => f.write_str("is missing"),
            Self::Moved => f.write_str("was moved, replaced or removed by somebody else"),
            Self::Changed => f.write_str("was changed by somebody else"),
            Self::Broken => f.write_str("cannot be written: an earlier write failed"),
            Self::Unverifiable(error) => write!(f, "cannot be checked any more: {error}"),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Write(error) => write!(f, "cannot be written: {error}"),
            Self::Remove(error) => write!(f, "cannot be removed: {error}"),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Escaped(&self.path.to_string_lossy()), self.problem)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unverifiable(error) | Problem::Read(error) | Problem::Write(error) | Problem::Remove(error) => {
                Some(error)
            }
            _ => None,
        }
    }
}
