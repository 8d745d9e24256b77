//! The disk of this machine: files for their owner alone, no symbolic link followed.

use crate::disk::{Access, Disk, Entry, Kind};
use std::fs::{File, FileType, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::path::Path;

/// The operating system's files.
///
/// What it creates has mode 0600. It locks with `flock` on Unix and `LockFileEx` on Windows; on a network file system that
/// keeps no locks, [`try_lock`](Disk::try_lock) fails or has no effect.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        match path.symlink_metadata() {
            Ok(metadata) => Ok(Some(kind(metadata.file_type()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn can_create_in(&self, folder: &Path) -> Result<()> {
        if !folder.metadata()?.is_dir() {
            return Err(ErrorKind::NotADirectory.into());
        }
        #[cfg(unix)]
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
        Ok(())
    }

    fn open(&self, path: &Path, access: Access) -> Result<File> {
        match access {
            Access::Read => options().read(true).open(path),
            Access::Append => appending().open(path),
        }
    }

    fn create_new(&self, path: &Path) -> Result<File> {
        appending().create_new(true).open(path)
    }

    fn make_private(&self, file: &File) -> Result<()> {
        #[cfg(unix)]
        {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        }
        #[cfg(not(unix))]
        {
            let _ = file;
            Ok(())
        }
    }

    fn is_trusted(&self, file: &File, path: &Path) -> Result<bool> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            // Where a file system gives all files to somebody else, or somebody continues for another user, the folder is theirs, too.
            let trusted = [rustix::process::geteuid().as_raw(), 0, crate::disk::folder(path).metadata()?.uid()];
            Ok(trusted.contains(&file.metadata()?.uid()))
        }
        #[cfg(not(unix))]
        {
            let _ = (file, path);
            Ok(true)
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            File::open(folder)?.sync_all()
        }
        #[cfg(not(unix))]
        {
            let _ = folder;
            Err(ErrorKind::Unsupported.into())
        }
    }

    fn try_lock(&self, file: &File) -> Result<bool> {
        // Qualified, because newer compilers have a method of the same name.
        match fs4::FileExt::try_lock(file) {
            Ok(()) => Ok(true),
            Err(fs4::TryLockError::WouldBlock) => Ok(false),
            Err(fs4::TryLockError::Error(error)) => Err(error),
        }
    }

    fn entry(&self, file: &File) -> Result<Entry> {
        let metadata = file.metadata()?;
        let kind = kind(metadata.file_type());
        Ok(Entry { kind, len: if kind == Kind::File { metadata.len() } else { 0 } })
    }

    fn is_at(&self, file: &File, path: &Path) -> Result<bool> {
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
        // The standard library has no file identity there.
        #[cfg(not(unix))]
        {
            let _ = file;
            Ok(there.is_file())
        }
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_at(file, buffer, offset)
        }
        #[cfg(not(unix))]
        {
            use std::io::{Read, Seek, SeekFrom};
            let mut file = file;
            file.seek(SeekFrom::Start(offset))?;
            file.read(buffer)
        }
    }

    fn append(&self, file: &File, bytes: &[u8]) -> Result<usize> {
        let mut file = file;
        #[cfg(not(unix))]
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        file.write(bytes)
    }

    fn rewrite_byte(&self, file: &File, path: &Path, offset: u64, byte: u8) -> Result<()> {
        // What is open only appends.
        #[cfg(unix)]
        {
            let second = options().write(true).open(path)?;
            if self.is_at(&second, path)? && self.is_at(file, path)? {
                std::os::unix::fs::FileExt::write_all_at(&second, &[byte], offset)
            } else {
                Err(ErrorKind::NotFound.into())
            }
        }
        // There the lock keeps a second handle from writing.
        #[cfg(not(unix))]
        {
            use std::io::{Seek, SeekFrom};
            let _ = path;
            let mut file = file;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(&[byte])
        }
    }

    fn truncate(&self, file: &File, len: u64) -> Result<()> {
        file.set_len(len)
    }

    fn sync(&self, file: &File) -> Result<()> {
        file.sync_all()
    }
}

/// To be read and appended to. On Windows a file that is only appended to could not be cut; there the lock keeps others from writing.
fn appending() -> OpenOptions {
    let mut options = options();
    options.read(true);
    #[cfg(unix)]
    options.append(true);
    #[cfg(not(unix))]
    options.write(true);
    options
}

/// What is created is for its owner alone; no link is followed.
fn options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no modes to set"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
        // A pipe that somebody has put there would be waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK);
        if let Ok(flags) = i32::try_from(flags.bits()) {
            options.custom_flags(flags);
        }
    }
    options
}

fn kind(kind: FileType) -> Kind {
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
        return Kind::Pipe;
    }
    match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    }
}
