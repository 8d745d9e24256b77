//! The archive file: one message per line. A message counts as stored once it is on disk and the file is still in its place.

use crate::archive_tail::{self, ArchiveTail};
use crate::bugs::bug;
use crate::disk::{Access, Disk, Entry, Kind, Reader, append_all, folder, is_there, read, sync_name};
use crate::error::{NotAnArchive, Problem, StoreError};
use crate::real_disk::RealDisk;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use upstash_dlq_core::model::DlqMessage;

/// The longest line, in bytes. A message comes in a response of at most 256 MiB, whatever the command is told.
const MAX_LINE: u64 = 257 * 1024 * 1024;
/// So many bytes of messages are gathered before they are written. A longer message is not copied.
const GATHERED: usize = 1024 * 1024;
const CHUNK: u64 = 64 * 1024;

/// A place for an archive. Nothing has been written or created, so a person can still be asked.
///
/// If the file exists, it is an archive, and is locked until this is dropped.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use upstash_dlq_store::FoundArchive;
/// let path = folder.path().join("runs.ndjson");
/// let found = FoundArchive::find(&path)?;
/// assert!(!path.exists(), "ask first");
/// let archive = found.open()?;
/// assert_eq!((archive.path(), archive.repaired()), (path.as_path(), false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FoundArchive<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    /// The existing file, locked.
    existing: Option<D::File>,
}

/// An archive that is open and locked: no other process can open it until this is dropped.
///
/// Messages are only ever appended. A device can be opened, too, and is not locked. One that cannot sync, such as
/// `/dev/null`, fails at the first append.
#[derive(Debug)]
pub struct ArchiveFile<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    regular: bool,
    /// Up to here, in bytes, every line is whole and on disk.
    len: u64,
    /// How many bytes were written since the last sync.
    written: u64,
    repaired: bool,
    broken: bool,
}

impl FoundArchive {
    /// Checks whether an archive can be at `path`. Changes nothing.
    ///
    /// # Errors
    /// Returns [`Problem::InUse`] if another process has it, [`Problem::NotAnArchive`] if it holds something else,
    /// [`Problem::OtherUser`] if another user has put it there,
    /// [`Problem::SymbolicLink`] or [`Problem::Pipe`] if it is one, and [`Problem::Write`] if it cannot be opened, or
    /// created in its folder.
    pub fn find(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::find_on(RealDisk, path)
    }
}

impl<D: Disk> FoundArchive<D> {
    /// The same as [`FoundArchive::find`], on another disk.
    ///
    /// # Errors
    /// As [`FoundArchive::find`].
    pub fn find_on(disk: D, path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let find = || -> Result<Option<D::File>, Problem> {
            if !is_there(&disk, &path)? {
                disk.can_create_in(folder(&path)).map_err(Problem::Write)?;
                return Ok(None);
            }
            let file = disk.open(&path, Access::Append).map_err(Problem::Write)?;
            if disk.entry(&file).map_err(Problem::Write)?.kind == Kind::File {
                take(&disk, &file)?;
                is_in_place(&disk, &file, &path)?;
                if !disk.is_trusted(&file, &path).map_err(Problem::Write)? {
                    return Err(Problem::OtherUser);
                }
                inspect(&disk, &file)?;
            }
            Ok(Some(file))
        };
        match find() {
            Ok(existing) => Ok(Self { disk, path, existing }),
            Err(problem) => Err(problem.at(&path)),
        }
    }

    /// Creates the file, or continues it: a last line that a crash left unfinished is cut off. The file and its name are
    /// on disk when this returns.
    ///
    /// # Errors
    /// As [`FoundArchive::find`], since the file may have changed in between; [`Problem::Moved`] if it has gone.
    pub fn open(self) -> Result<ArchiveFile<D>, StoreError> {
        let Self { disk, path, existing } = self;
        // Another process may have created the file in between.
        let existing = match existing {
            None => Self::find_on(disk.clone(), &path)?.existing,
            existing => existing,
        };
        match open(&disk, &path, existing) {
            Ok((file, regular, len, repaired)) => {
                Ok(ArchiveFile { disk, path, file, regular, len, written: 0, repaired, broken: false })
            }
            Err(problem) => Err(problem.at(&path)),
        }
    }
}

fn open<D: Disk>(disk: &D, path: &Path, existing: Option<D::File>) -> Result<(D::File, bool, u64, bool), Problem> {
    let is_new = existing.is_none();
    let file = match existing {
        Some(file) => file,
        None => {
            let file = disk.create_new(path).map_err(Problem::Write)?;
            take(disk, &file)?;
            file
        }
    };
    let regular = disk.entry(&file).map_err(Problem::Write)?.kind == Kind::File;
    let (len, repaired) = if regular { go_on(disk, &file, path)? } else { (0, false) };
    if bug!(ArchiveFolderNotSynced) {
        return Ok((file, regular, len, repaired));
    }
    if let Err(error) = sync_name(disk, folder(path), &file) {
        // The next sync may succeed without a write. So the next process has to create the file anew. Best effort.
        if is_new && disk.is_at(&file, path).unwrap_or(false) {
            let _ = disk.remove(path);
        }
        return Err(Problem::Write(error));
    }
    Ok((file, regular, len, repaired))
}

/// Makes the file end in a newline that is on the disk. Returns its length, and whether a last line was cut off.
///
/// It is checked again: the lock excludes only processes that ask for it, and `find` may be long ago.
fn go_on<D: Disk>(disk: &D, file: &D::File, path: &Path) -> Result<(u64, bool), Problem> {
    is_in_place(disk, file, path)?;
    let (mut len, tail) = inspect(disk, file)?;
    let mut repaired = false;
    match tail {
        Tail::Whole | Tail::Unterminated => {}
        Tail::Torn(_) if bug!(TornLineKept) => {}
        Tail::Torn(part) => {
            len = len.saturating_sub(part);
            disk.truncate(file, len).map_err(Problem::Write)?;
            repaired = true;
        }
    }
    // An earlier process may have failed to sync the last newline. Then no later sync writes it, and the system may forget it at any
    // time. So it is written again.
    let lacks_newline = match tail {
        Tail::Unterminated => true,
        Tail::Whole | Tail::Torn(_) if len == 0 || bug!(NewlineNotSecured) => false,
        Tail::Whole | Tail::Torn(_) => match disk.rewrite_byte(file, path, len - 1, b'\n') {
            Ok(()) => false,
            // An empty line takes its place.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => true,
            Err(error) => return Err(Problem::Write(error)),
        },
    };
    if len == 0 {
        // One that was there before, made by somebody who has not thought of its mode. Best effort: not every file system has modes,
        // and the mode of a file that may only be appended to cannot be changed.
        let _ = disk.make_private(file);
    }
    if lacks_newline {
        if repaired {
            // What is cut off must not come back behind what is written now.
            disk.sync(file).map_err(Problem::Write)?;
        }
        let (written, result) = append_all(disk, file, b"\n");
        result.map_err(Problem::Write)?;
        len += written;
    }
    disk.sync(file).map_err(Problem::Write)?;
    Ok((len, repaired))
}

fn take<D: Disk>(disk: &D, file: &D::File) -> Result<(), Problem> {
    if bug!(ArchiveNotLocked) || disk.try_lock(file).map_err(Problem::Write)? { Ok(()) } else { Err(Problem::InUse) }
}

/// Checks that the file was not removed or replaced before it was locked.
fn is_in_place<D: Disk>(disk: &D, file: &D::File, path: &Path) -> Result<(), Problem> {
    if disk.is_at(file, path).map_err(Problem::Write)? { Ok(()) } else { Err(Problem::Moved) }
}

impl ArchiveFile {
    /// Creates the file, or continues it: [`FoundArchive::find`] and [`FoundArchive::open`].
    ///
    /// # Errors
    /// As those two.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        FoundArchive::find(path)?.open()
    }
}

impl<D: Disk> ArchiveFile<D> {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if opening it cut off a last line that was not whole.
    pub fn repaired(&self) -> bool {
        self.repaired
    }

    /// Appends the messages, one per line. When this returns, they are on disk, and the file is still at its place.
    ///
    /// # Errors
    /// Returns [`Problem::Write`] if they cannot be written or synced (a full disk); what was written of them is cut off
    /// again where that is possible. Returns [`Problem::Moved`], [`Problem::Changed`] or [`Problem::Unverifiable`] if
    /// another program has moved, replaced or changed the file. No run must be deleted then. After an error, every further
    /// append is refused.
    pub fn append(&mut self, messages: &[DlqMessage]) -> Result<(), StoreError> {
        self.write(messages)?;
        self.sync()
    }

    /// Appends the messages, one per line, without waiting for the disk. Call [`sync`](Self::sync) before any of their runs is
    /// deleted. So the messages of several pages share one sync.
    ///
    /// # Errors
    /// See [`append`](Self::append). What was written since the last sync is cut off again where that is possible.
    pub fn write(&mut self, messages: &[DlqMessage]) -> Result<(), StoreError> {
        self.unless_broken(|file| {
            let (written, result) = file.append_lines(messages);
            file.written = if bug!(EarlierWriteForgotten) { written } else { file.written + written };
            result.map_err(|error| file.cut_off(error))
        })
    }

    /// Waits until everything that was written is on disk, and checks that the file is still at its place.
    ///
    /// # Errors
    /// See [`append`](Self::append).
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.unless_broken(|file| {
            if !bug!(ArchiveNotSynced) {
                file.disk.sync(&file.file).map_err(|error| file.cut_off(error))?;
            }
            file.len += file.written;
            file.written = 0;
            file.verify()
        })
    }

    fn unless_broken(&mut self, act: impl FnOnce(&mut Self) -> Result<(), Problem>) -> Result<(), StoreError> {
        if self.broken {
            return Err(Problem::Broken.at(&self.path));
        }
        let result = act(self);
        self.broken = result.is_err();
        result.map_err(|problem| problem.at(&self.path))
    }

    /// Takes off what was written since the last sync. Best effort: what cannot be removed now is repaired when the file is opened
    /// again. If another program has written in between, nothing is removed.
    fn cut_off(&self, error: std::io::Error) -> Problem {
        let is_as_written = |now: Entry| now.kind == Kind::File && now.len == self.len + self.written;
        if self.disk.entry(&self.file).is_ok_and(is_as_written) {
            let _ = self.disk.truncate(&self.file, self.len);
        }
        Problem::Write(error)
    }

    /// Appends the lines, and says how many bytes were written in any case.
    fn append_lines(&self, messages: &[DlqMessage]) -> (u64, std::io::Result<()>) {
        let all: usize = messages.iter().map(|message| message.as_json().len()).sum();
        let mut lines = Vec::with_capacity(all.saturating_add(messages.len()).min(GATHERED));
        let mut written = 0;
        let mut append = |bytes: &[u8]| {
            let (more, result) = append_all(&self.disk, &self.file, bytes);
            written += more;
            result
        };
        let mut append_each = || {
            for message in messages {
                let json = message.as_json().as_bytes();
                if lines.len() + json.len() < GATHERED {
                    lines.extend_from_slice(json);
                } else {
                    append(&lines)?;
                    lines.clear();
                    append(json)?;
                }
                lines.push(b'\n');
            }
            append(&lines)
        };
        let result = append_each();
        (written, result)
    }

    /// Checks that the file is still at its path and as long as it was left. [`append`](Self::append) does so itself; call
    /// this once more when the last run has been deleted.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use upstash_dlq_store::{ArchiveFile, Problem};
    /// let path = folder.path().join("runs.ndjson");
    /// let archive = ArchiveFile::open(&path)?;
    /// archive.check_untouched()?;
    /// std::fs::remove_file(&path)?;
    /// assert!(matches!(archive.check_untouched().unwrap_err().problem, Problem::Moved));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Problem::Moved`], [`Problem::Changed`] or [`Problem::Unverifiable`].
    pub fn check_untouched(&self) -> Result<(), StoreError> {
        self.verify().map_err(|problem| problem.at(&self.path))
    }

    fn verify(&self) -> Result<(), Problem> {
        if !self.regular {
            return Ok(());
        }
        if !self.disk.is_at(&self.file, &self.path).map_err(Problem::Unverifiable)? && !bug!(RemovedArchiveUnnoticed) {
            return Err(Problem::Moved);
        }
        let now = self.disk.entry(&self.file).map_err(Problem::Unverifiable)?;
        if now.len == self.len + self.written || bug!(ChangedArchiveUnnoticed) { Ok(()) } else { Err(Problem::Changed) }
    }
}

/// How an archive ends.
enum Tail {
    Whole,
    Unterminated,
    /// The last so many bytes are the beginning of a message.
    Torn(u64),
}

/// How long the file is and how it ends, if it is an archive: its first line that is not empty and has no zeros is a message whose id
/// can be used, and its last line is one or the beginning of one. A power loss during the first append may have left less than an id: the file is an
/// archive, too, if it holds nothing else. In doubt it is not an archive.
fn inspect<D: Disk>(disk: &D, file: &D::File) -> Result<(u64, Tail), Problem> {
    let len = disk.entry(file).map_err(Problem::Write)?.len;
    if len == 0 {
        return Ok((len, Tail::Whole));
    }
    let Some(start) = last_line_start(disk, file, len).map_err(Problem::Write)? else {
        return Err(Problem::NotAnArchive(NotAnArchive::LongLine));
    };
    let line = read(disk, file, start, len - start).map_err(Problem::Write)?;
    let tail = ArchiveTail::from_bytes(&line);
    let is_ours = if start == 0 && tail == ArchiveTail::Torn {
        archive_tail::part_has_id(&line) || archive_tail::is_torn_before_its_id(&line)
    } else {
        archive_tail::has_id(&first_line(disk, file).map_err(Problem::Write)?)
    };
    if !is_ours {
        return Err(Problem::NotAnArchive(NotAnArchive::FirstLine));
    }
    match tail {
        ArchiveTail::Whole => Ok((len, Tail::Whole)),
        ArchiveTail::Unterminated => Ok((len, Tail::Unterminated)),
        ArchiveTail::Torn => Ok((len, Tail::Torn(len - start))),
        ArchiveTail::Foreign => Err(Problem::NotAnArchive(NotAnArchive::LastLine)),
    }
}

/// The first line that is not empty and has no zeros. A sync that fails, and a loss of power after it, may leave zeros in lines whose
/// runs were not deleted, while later lines are whole. No message has a zero in it.
fn first_line<D: Disk>(disk: &D, file: &D::File) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(Reader { disk, file, offset: 0 }).take(MAX_LINE);
    let mut line = Vec::new();
    loop {
        reader.set_limit(MAX_LINE);
        reader.read_until(b'\n', &mut line)?;
        let is_passed_over = line == b"\n" || (line.contains(&0) && line.ends_with(b"\n"));
        if !is_passed_over {
            return Ok(line);
        }
        line.clear();
    }
}

/// Where the text after the last newline begins. `None` if it is longer than any line.
fn last_line_start<D: Disk>(disk: &D, file: &D::File, len: u64) -> std::io::Result<Option<u64>> {
    let mut end = len;
    while end > 0 && len - end <= MAX_LINE {
        let start = end.saturating_sub(CHUNK);
        let chunk = read(disk, file, start, end - start)?;
        if chunk.len() as u64 != end - start {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(newline) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(Some(start + newline as u64 + 1));
        }
        end = start;
    }
    Ok((end == 0).then_some(0))
}
