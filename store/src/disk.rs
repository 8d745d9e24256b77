//! What the files need of an operating system, so that a simulated one can take its place. Knows nothing of archives and
//! checkpoints.

use crate::bugs::bug;
use crate::error::Problem;
use std::io::{ErrorKind, Read, Result};
use std::path::Path;

/// An operating system's files, as far as this crate uses them.
///
/// Every method is one step: a simulation may fail it, or let the machine stop before or after it. What was written but
/// not [synced](Self::sync) may be lost, and so may a name that its folder's [`sync_folder`](Self::sync_folder) has not
/// secured. Clones are handles of the same disk. A file is closed and unlocked when it is dropped.
pub trait Disk: Clone {
    /// An open file.
    type File;

    /// What stands at `path`, not following a symbolic link. `None` if nothing does.
    ///
    /// # Errors
    /// Returns the system's error if it cannot tell.
    fn kind(&self, path: &Path) -> Result<Option<Kind>>;

    /// Succeeds if a file can be created in `folder`, as far as that can be told without creating one.
    ///
    /// # Errors
    /// Returns why not.
    fn can_create_in(&self, folder: &Path) -> Result<()>;

    /// Opens what is there, not following a symbolic link.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if nothing is there, or the system's error.
    fn open(&self, path: &Path, access: Access) -> Result<Self::File>;

    /// Creates a file that only its owner can read and write (0600), open to be read and appended to.
    ///
    /// # Errors
    /// Returns [`ErrorKind::AlreadyExists`] if anything is there, a symbolic link included, or the system's error.
    fn create_new(&self, path: &Path) -> Result<Self::File>;

    /// Lets only the owner read and write a file (0600). Does nothing on a disk that has no modes.
    ///
    /// # Errors
    /// Returns the system's error.
    fn make_private(&self, file: &Self::File) -> Result<()>;

    /// Whether the open file at `path` belongs to this user, to root, or to whom its folder belongs. Its owner can read what is
    /// written, and change it. True on a disk that has no owners.
    ///
    /// # Errors
    /// Returns the system's error.
    fn is_trusted(&self, file: &Self::File, path: &Path) -> Result<bool>;

    /// Gives a file another name in the same folder, and replaces what had that name. A reader sees the old or the new
    /// file, also after a crash.
    ///
    /// # Errors
    /// Returns the system's error; then nothing was replaced.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotFound`] if nothing is there, or the system's error.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Brings the names in `folder` to the disk.
    ///
    /// # Errors
    /// Returns [`ErrorKind::PermissionDenied`] or [`ErrorKind::Unsupported`] if the folder cannot be synced: it may not be read, or the
    /// system cannot open one. Then the file that has the name is synced once more, which brings its name to the disk on file systems
    /// with a journal. Returns the system's error otherwise; after that, no later sync need bring the names to the disk.
    fn sync_folder(&self, folder: &Path) -> Result<()>;

    /// Locks the file until it is dropped, without waiting. False if it is locked already, by another process or through
    /// another open file of this one.
    ///
    /// # Errors
    /// Returns the system's error if it cannot lock.
    fn try_lock(&self, file: &Self::File) -> Result<bool>;

    /// What the file is, and how long.
    ///
    /// # Errors
    /// Returns the system's error.
    fn entry(&self, file: &Self::File) -> Result<Entry>;

    /// True if the open file is what stands at `path`: it was not removed, and nothing was put in its place.
    ///
    /// # Errors
    /// Returns the system's error if it cannot tell.
    fn is_at(&self, file: &Self::File, path: &Path) -> Result<bool>;

    /// Reads from `offset` (in bytes). Returns how many bytes were read; 0 at the end.
    ///
    /// # Errors
    /// Returns the system's error.
    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Writes at the end, wherever that is by now. Returns how many of `bytes` were written.
    ///
    /// # Errors
    /// Returns the system's error; then nothing was written.
    fn append(&self, file: &Self::File, bytes: &[u8]) -> Result<usize>;

    /// Writes the byte at `offset` (in bytes) once more, so that the next [`sync`](Self::sync) brings it to the disk even if an earlier one
    /// could not. The caller knows which it is, so the bytes stay as they are. A disk that cannot do this says so, and an archive is
    /// continued with an empty line.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Unsupported`] or [`ErrorKind::PermissionDenied`] if no byte can be written there, as in a file that may only be
    /// appended to, or the system's error.
    fn rewrite_byte(&self, file: &Self::File, path: &Path, offset: u64, byte: u8) -> Result<()>;

    /// Cuts the file to its first `len` bytes.
    ///
    /// # Errors
    /// Returns the system's error.
    fn truncate(&self, file: &Self::File, len: u64) -> Result<()>;

    /// Brings the file's contents and its length to the disk.
    ///
    /// # Errors
    /// Returns the system's error. What was written before may be lost then: no later sync need bring it to the disk, although it can still
    /// be read.
    fn sync(&self, file: &Self::File) -> Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be read and appended to.
    Append,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe (FIFO).
    Pipe,
    /// A device, a socket, or what else a system has.
    Other,
}

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its length in bytes; 0 where it has none.
    pub len: u64,
}

/// The folder a path lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether something is at `path`, which has to be what may be written to: no link and no pipe.
pub(crate) fn is_there<D: Disk>(disk: &D, path: &Path) -> std::result::Result<bool, Problem> {
    match disk.kind(path).map_err(Problem::Write)? {
        None => Ok(false),
        Some(Kind::Link) => Err(Problem::SymbolicLink),
        Some(Kind::Pipe) => Err(Problem::Pipe),
        Some(_) => Ok(true),
    }
}

/// Brings the name of `file`, in `folder`, to the disk. Where the folder cannot be synced, the file has to do.
pub(crate) fn sync_name<D: Disk>(disk: &D, folder: &Path, file: &D::File) -> Result<()> {
    match disk.sync_folder(folder) {
        Err(error) if bug!(NameNotBroughtAlong) && cannot_be_synced(&error) => Ok(()),
        Err(error) if cannot_be_synced(&error) => disk.sync(file),
        result => result,
    }
}

/// Brings the removal of a name to the disk, where the folder can be synced.
pub(crate) fn sync_removal<D: Disk>(disk: &D, folder: &Path) -> Result<()> {
    match disk.sync_folder(folder) {
        Err(error) if cannot_be_synced(&error) => Ok(()),
        result => result,
    }
}

fn cannot_be_synced(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported)
}

/// Removes a name that need not be there.
pub(crate) fn remove_if_there<D: Disk>(disk: &D, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Appends all of it. Returns how much was written, also if that was not all.
pub(crate) fn append_all<D: Disk>(disk: &D, file: &D::File, mut bytes: &[u8]) -> (u64, Result<()>) {
    let mut written = 0;
    while !bytes.is_empty() {
        match disk.append(file, bytes) {
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

/// Reads a file from an offset on.
pub(crate) struct Reader<'a, D: Disk> {
    pub(crate) disk: &'a D,
    pub(crate) file: &'a D::File,
    pub(crate) offset: u64,
}

impl<D: Disk> Read for Reader<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.disk.read_at(self.file, self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// At most `len` bytes from `offset` on; fewer where the file ends.
pub(crate) fn read<D: Disk>(disk: &D, file: &D::File, offset: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Reader { disk, file, offset }.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}
