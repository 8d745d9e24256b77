//! A checkpoint on disk: always whole, there before the request it speaks of is sent, and this process's alone.

use crate::bulk::private_file::{self, shown};
use crate::output::wording;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use upstash_dlq_core::CheckpointError;

/// The lock of this process, which an interrupt at the question ends without dropping anything.
static HELD: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Far above what a checkpoint of many lanes with the longest filter and cursors needs.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    /// A file beside it that is locked, as the file itself is replaced.
    _lock: File,
    /// What is written before it takes the file's place.
    temporary: PathBuf,
}

impl CheckpointFile {
    /// Takes it for this process, until this is dropped. What an earlier process left half written is removed.
    pub(crate) fn open(path: PathBuf) -> Result<Self, String> {
        let unwritable = |error: &Error| format!("--checkpoint: {} cannot be written: {error}", shown(&path));
        let (lock_path, temporary) = beside(&path).ok_or_else(|| unwritable(&Error::other("it names no file")))?;
        let is_there = private_file::is_there(&path).map_err(|error| unwritable(&error))?;
        if is_there && !path.metadata().map_err(|error| unwritable(&error))?.is_file() {
            return Err(format!("--checkpoint: {} cannot be read: it is not a file", shown(&path)));
        }
        let lock = lock(&lock_path).map_err(|error| unwritable(&error))?.ok_or_else(|| {
            format!("--checkpoint: {} is in use by another process: wait for it, or give another file", shown(&path))
        })?;
        if lock.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock_path);
        }
        let file = Self { path, _lock: lock, temporary };
        match std::fs::remove_file(&file.temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("--checkpoint: {} cannot be removed: {error}", shown(&file.temporary)))
            }
            _ => Ok(file),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when there is no such file yet.
    pub(crate) fn read<C>(&self, parse: impl FnOnce(&[u8]) -> Result<C, CheckpointError>) -> Result<Option<C>, String> {
        let mut text = Vec::new();
        let read = private_file::options().read(true).open(&self.path);
        match read.and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text)) {
            Ok(_) => parse(&text).map(Some).map_err(|error| wording::checkpoint(&error, Some(&text), &self.path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("--checkpoint: {} cannot be read: {error}", shown(&self.path))),
        }
    }

    /// Written beside it, synced, then put in its place: whoever reads sees the old or the new one, whole.
    pub(crate) fn write(&self, checkpoint: &str) -> Result<(), String> {
        let replace = || -> std::io::Result<()> {
            let mut file = private_file::options().write(true).create_new(true).open(&self.temporary)?;
            file.write_all(checkpoint.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&self.temporary, &self.path)?;
            private_file::sync_folder(&self.path)
        };
        replace().map_err(|error| {
            // Where it was not made, nothing is there to be removed; where it cannot be, the next start does it.
            let _ = std::fs::remove_file(&self.temporary);
            format!("--checkpoint: {} cannot be written: {error}", shown(&self.path))
        })
    }

    pub(crate) fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("--checkpoint: {} cannot be removed: {error}; remove it by hand", shown(&self.path)))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for CheckpointFile {
    /// Removed while it is locked: whoever opened it meanwhile sees that it is gone, and makes a new one. One that holds
    /// something was never ours.
    fn drop(&mut self) {
        tidy();
    }
}

/// For the end of the process, while the lock is held.
pub(crate) fn tidy() {
    if let Some(path) = HELD.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // One that stays is taken again by the next process.
        let _ = std::fs::remove_file(path);
    }
}

/// `.NAME.lock` and `.NAME.tmp`, in the same folder.
fn beside(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let name = path.file_name()?;
    let beside = |end: &str| {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(end);
        path.with_file_name(hidden)
    };
    Some((beside(".lock"), beside(".tmp")))
}

/// `None` where another process has it.
fn lock(path: &Path) -> std::io::Result<Option<File>> {
    loop {
        private_file::is_there(path)?;
        let file = private_file::options().read(true).write(true).create(true).truncate(false).open(path)?;
        if !private_file::lock(&file)? {
            return Ok(None);
        }
        // The one that had it may have removed it in between: then this lock keeps nobody out.
        if private_file::is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}
