//! Opening files that hold customers' data: for their owner alone, never through a symbolic link, locked while in use.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use upstash_dlq_core::Escaped;

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}

/// The options for a file of ours. What they create is for its owner alone.
pub(crate) fn options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no modes to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        if let Ok(no_follow) = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()) {
            options.custom_flags(no_follow);
        }
    }
    options
}

/// Whether something is at `path`, which has to be what a command may write to: no link and no pipe.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Err(Error::other("it is a symbolic link, which is not followed"));
    }
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
        return Err(Error::other("it is a pipe"));
    }
    Ok(true)
}

/// Locks the file for this process. False where another has it.
pub(crate) fn lock(file: &File) -> Result<bool> {
    // In so many words: newer compilers have a method of the same name.
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        Err(fs4::TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the open file is what stands at `path`.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    let there = match path.symlink_metadata() {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let open = file.metadata()?;
        Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
    }
    // A file that is open cannot be replaced unnoticed there.
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(there.is_file())
    }
}

/// The folder a path lies in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file can be made in that folder, as far as that can be told without making one.
pub(crate) fn can_create_in(folder: &Path) -> Result<()> {
    if !folder.metadata()?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    #[cfg(unix)]
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
    Ok(())
}

/// A file's name is on disk only when its folder is. One that may be written but not read cannot be synced, and not every
/// system can open one: then the file itself has to do.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder(path)) {
        folder.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
