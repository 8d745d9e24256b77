//! A checkpoint on disk: always whole, and there before the request it speaks of is sent.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use upstash_dlq_core::CheckpointError;

/// Far above what a checkpoint of many lanes with the longest filter and cursors needs.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
}

impl CheckpointFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `None` when there is no such file yet.
    pub(crate) fn read<C>(&self, parse: impl FnOnce(&[u8]) -> Result<C, CheckpointError>) -> Result<Option<C>, String> {
        let mut text = Vec::new();
        match File::open(&self.path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut text)) {
            Ok(_) => parse(&text).map(Some).map_err(|error| format!("{error} ({})", self.path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("--checkpoint: {} cannot be read: {error}", self.path.display())),
        }
    }

    /// Written beside it, synced, then put in its place: whoever reads sees the old or the new one, whole.
    pub(crate) fn write(&self, checkpoint: &str) -> Result<(), String> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let replace = || -> std::io::Result<()> {
            let mut file = tempfile::Builder::new().prefix(".upstash-dlq-").tempfile_in(folder)?;
            file.write_all(checkpoint.as_bytes())?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            // The new name is on disk only when the folder is. Not every system can open one.
            #[cfg(unix)]
            File::open(folder)?.sync_all()?;
            Ok(())
        };
        replace().map_err(|error| format!("--checkpoint: {} cannot be written: {error}", self.path.display()))
    }

    pub(crate) fn remove(&self) -> Result<(), String> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("--checkpoint: {} cannot be removed: {error}; remove it by hand", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}
