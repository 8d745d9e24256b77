//! The checkpoint file: always complete, on disk before the request it describes is sent, and locked for one process.

use crate::bugs::bug;
use crate::disk::{Access, Disk, Kind, append_all, folder, is_there, read, remove_if_there, sync_name, sync_removal};
use crate::error::{Problem, StoreError};
use crate::id_spool::{self, IdSpool, IdSpoolWriter};
use crate::real_disk::RealDisk;
use std::ffi::OsString;
use std::io::{ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};

/// A checkpoint's file, which need not be there yet, held for this process until this is dropped.
///
/// Its contents are up to the caller. The lock is an empty sibling, `.NAME.lock`, which the drop removes.
#[derive(Debug)]
pub struct CheckpointFile<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    lock: D::File,
    beside: Beside,
    /// Whether the drop removes the lock file. One that was not empty is not ours, and stays.
    lock_is_ours: bool,
}

/// The file's siblings.
#[derive(Clone, Debug)]
struct Beside {
    lock: PathBuf,
    temporary: PathBuf,
    ids: PathBuf,
    ids_temporary: PathBuf,
}

impl Beside {
    fn of(path: &Path) -> Option<Self> {
        let text = path.as_os_str().as_encoded_bytes();
        if text.ends_with(b"/") || text.ends_with(b"/.") {
            // It names a folder, also if nothing is there.
            return None;
        }
        let name = path.file_name()?;
        let hidden = |end: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(end);
            path.with_file_name(hidden)
        };
        Some(Self {
            lock: hidden(".lock"),
            temporary: hidden(".tmp"),
            ids: hidden(".ids"),
            ids_temporary: hidden(".ids-tmp"),
        })
    }
}

impl CheckpointFile {
    /// Locks the file for this process. Removes what an earlier process left half written next to it.
    ///
    /// # Errors
    /// Returns [`Problem::InUse`] if another process has it; [`Problem::NotAFile`], [`Problem::SymbolicLink`],
    /// [`Problem::Pipe`] or [`Problem::NoName`] if no checkpoint can be there; [`Problem::Write`] if it cannot be locked;
    /// [`Problem::Remove`] if the leftovers cannot be removed.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_on(RealDisk, path)
    }
}

impl<D: Disk> CheckpointFile<D> {
    /// The longest checkpoint that is read, in bytes. It is far above what many lanes with the longest filter and cursors need.
    pub const MAX_LEN: u64 = 256 * 1024 * 1024;

    /// The same as [`CheckpointFile::open`], on another disk.
    ///
    /// # Errors
    /// As [`CheckpointFile::open`].
    pub fn open_on(disk: D, path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let at_path = |problem: Problem| problem.at(&path);
        let beside = Beside::of(&path).ok_or_else(|| at_path(Problem::NoName))?;
        is_there(&disk, &path).map_err(at_path)?;
        if disk.kind(&path).is_ok_and(|kind| kind.is_some_and(|kind| kind != Kind::File)) {
            return Err(at_path(Problem::NotAFile));
        }
        let lock = lock(&disk, &beside.lock).map_err(|problem| match problem {
            // That sibling is what stands in the way.
            Problem::SymbolicLink | Problem::Pipe => problem.at(&beside.lock),
            problem => at_path(problem),
        })?;
        let lock_is_ours = disk.entry(&lock).is_ok_and(|entry| entry.len == 0);
        let file = Self { disk, path, lock, beside, lock_is_ours };
        for temporary in [&file.beside.temporary, &file.beside.ids_temporary] {
            remove_if_there(&file.disk, temporary).map_err(|error| Problem::Remove(error).at(temporary))?;
        }
        Ok(file)
    }

    /// Where the checkpoint is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock file, if dropping this removes it.
    pub fn lock_file(&self) -> Option<&Path> {
        self.lock_is_ours.then_some(&self.beside.lock)
    }

    /// Removes the lock file, as dropping this does: for a program that ends without dropping (`std::process::exit` after a signal).
    /// Nothing must be written afterwards. A lock file that stays does no harm: the next process takes it.
    pub fn remove_lock_file(&self) {
        // One that was replaced is another process's.
        if self.lock_is_ours && self.check_lock().is_ok() {
            // While it is locked: a process that opened it meanwhile sees that it is gone, and makes a new one.
            let _ = self.disk.remove(&self.beside.lock);
        }
    }

    /// What the file holds. `None` if there is no file yet.
    ///
    /// # Errors
    /// Returns [`Problem::TooLong`] if it is longer than [`Self::MAX_LEN`], and [`Problem::Read`] if it cannot be read.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let read = || -> Result<Option<Vec<u8>>, Problem> {
            let file = match self.disk.open(&self.path, Access::Read) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Problem::Read(error)),
            };
            if self.disk.entry(&file).map_err(Problem::Read)?.len > Self::MAX_LEN {
                return Err(Problem::TooLong(Self::MAX_LEN));
            }
            read(&self.disk, &file, 0, Self::MAX_LEN).map(Some).map_err(Problem::Read)
        };
        read().map_err(|problem| problem.at(&self.path))
    }

    /// Puts a new checkpoint, one line of text, in the place of the old one. It is on disk when this returns. A reader
    /// sees the old or the new one, complete, also after a crash.
    ///
    /// # Errors
    /// Returns [`Problem::Write`] if it cannot be written, synced or put in place. The file then holds the old checkpoint or, if only
    /// the sync of the folder failed, the new one. Returns [`Problem::Moved`] or [`Problem::Unverifiable`] for the lock file if it
    /// was removed or cannot be looked at, since another process could hold the checkpoint by now.
    pub fn write(&self, checkpoint: &str) -> Result<(), StoreError> {
        self.check_lock()?;
        self.replace(checkpoint).map_err(|problem| problem.at(&self.path))?;
        // Whoever has taken the lock since the first look may have read the old checkpoint.
        self.check_lock()
    }

    fn replace(&self, checkpoint: &str) -> Result<(), Problem> {
        let file = self.disk.create_new(&self.beside.temporary).map_err(Problem::Write)?;
        let result = self.put_in_place(&file, checkpoint);
        if result.is_err() && self.is_ours(&file).unwrap_or(false) {
            // Best effort: the next start removes what stays.
            let _ = self.disk.remove(&self.beside.temporary);
        }
        result
    }

    fn put_in_place(&self, file: &D::File, checkpoint: &str) -> Result<(), Problem> {
        append_all(&self.disk, file, checkpoint.as_bytes()).1.map_err(Problem::Write)?;
        append_all(&self.disk, file, b"\n").1.map_err(Problem::Write)?;
        if !bug!(CheckpointNotSynced) {
            self.disk.sync(file).map_err(Problem::Write)?;
        }
        if !self.is_ours(file).map_err(Problem::Write)? {
            return Err(Problem::Moved);
        }
        self.disk.rename(&self.beside.temporary, &self.path).map_err(Problem::Write)?;
        if bug!(FolderNotSynced) {
            return Ok(());
        }
        sync_name(&self.disk, folder(&self.path), file).map_err(Problem::Write)
    }

    /// Whether this is still the temporary file: a process that takes the lock removes it, and may write one of its own.
    fn is_ours(&self, file: &D::File) -> IoResult<bool> {
        self.disk.is_at(file, &self.beside.temporary)
    }

    fn check_lock(&self) -> Result<(), StoreError> {
        match self.disk.is_at(&self.lock, &self.beside.lock) {
            Ok(true) => Ok(()),
            Ok(false) if bug!(LockLossUnnoticed) => Ok(()),
            Ok(false) => Err(Problem::Moved.at(&self.beside.lock)),
            Err(error) => Err(Problem::Unverifiable(error).at(&self.beside.lock)),
        }
    }

    /// Removes the checkpoint, and then the ids next to it. Either may be missing.
    ///
    /// # Errors
    /// Returns [`Problem::Remove`] for the one that cannot be removed, and [`Problem::Moved`] as for [`Self::write`].
    pub fn remove(&self) -> Result<(), StoreError> {
        self.check_lock()?;
        let ids_are_there = id_spool::is_spool(&self.disk, &self.beside.ids).unwrap_or(false);
        remove_if_there(&self.disk, &self.path)
            .and_then(|()| match sync_removal(&self.disk, folder(&self.path)) {
                // The ids must not go before the checkpoint.
                Err(error) if ids_are_there => Err(error),
                // Best effort: one that comes back is continued, although it is complete.
                _ => Ok(()),
            })
            .map_err(|error| Problem::Remove(error).at(&self.path))?;
        if ids_are_there {
            remove_if_there(&self.disk, &self.beside.ids)
                .map_err(|error| Problem::Remove(error).at(&self.beside.ids))?;
        }
        Ok(())
    }

    /// Begins the list of ids next to this checkpoint, `.NAME.ids`. Write the first checkpoint, with the list's
    /// [digest](IdSpool::digest), after the list is [finished](IdSpoolWriter::finish). A list that an earlier process left
    /// without a checkpoint is replaced.
    ///
    /// # Errors
    /// Returns [`Problem::HasCheckpoint`] if there is a checkpoint, which may need the list that is there;
    /// [`Problem::NotASpool`] if a file that is not a list of ids has the name; [`Problem::Moved`] as for [`Self::write`];
    /// [`Problem::Write`] if nothing can be written.
    pub fn new_spool(&self) -> Result<IdSpoolWriter<D>, StoreError> {
        self.check_lock()?;
        if is_there(&self.disk, &self.path).map_err(|problem| problem.at(&self.path))? {
            return Err(Problem::HasCheckpoint.at(&self.path));
        }
        IdSpoolWriter::create(self.disk.clone(), self.beside.ids.clone(), self.beside.ids_temporary.clone())
    }

    /// Opens the list of ids next to this checkpoint and reads it once, to see that it is the one with this digest.
    ///
    /// # Errors
    /// Returns [`Problem::Missing`] if there is none, [`Problem::Changed`] if it is another one or was changed, and
    /// [`Problem::Read`] if it cannot be read.
    pub fn spool(&self, digest: &str) -> Result<IdSpool<D>, StoreError> {
        IdSpool::open(self.disk.clone(), self.beside.ids.clone(), digest)
    }
}

impl<D: Disk> Drop for CheckpointFile<D> {
    fn drop(&mut self) {
        self.remove_lock_file();
    }
}

fn lock<D: Disk>(disk: &D, path: &Path) -> Result<D::File, Problem> {
    loop {
        let file = if is_there(disk, path)? {
            match disk.open(path, Access::Append) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened,
            }
        } else {
            match disk.create_new(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                created => created,
            }
        };
        let file = file.map_err(Problem::Write)?;
        if !bug!(CheckpointNotLocked) && !disk.try_lock(&file).map_err(Problem::Write)? {
            return Err(Problem::InUse);
        }
        // The process that had it may have removed it in between. Then this lock excludes no other process.
        if disk.is_at(&file, path).map_err(Problem::Write)? {
            return Ok(file);
        }
    }
}
