//! The ids of a checkpoint, which are too many to be in it. They are written once, and then read in parts.

use crate::digest::Digest;
use crate::disk::{Access, Disk, Reader, append_all, folder, is_there, read, remove_if_there, sync_name};
use crate::error::{Problem, StoreError};
use crate::real_disk::RealDisk;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use upstash_dlq_core::model::DlqId;

/// The first line of the file. No id begins with `#`, and no other list begins like this.
const HEADER: &[u8] = b"# ids of an upstash-dlq checkpoint: do not change, do not remove\n";
/// An id and its newline.
const MAX_LINE: u64 = DlqId::MAX_LEN as u64 + 1;
/// How many ids are read and checked at a time.
const BLOCK: u64 = 1_024;
const BUFFER: usize = 64 * 1024;

/// An immutable list of ids next to a checkpoint: one per line, each once, in a private file.
///
/// [`CheckpointFile::new_spool`](crate::CheckpointFile::new_spool) writes it,
/// [`CheckpointFile::spool`](crate::CheckpointFile::spool) opens it again. In memory it takes 32 bytes per 1,024 ids.
#[derive(Debug)]
pub struct IdSpool<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    index: Index,
}

/// A list that is being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct IdSpoolWriter<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once it is finished.
    file: Option<D::File>,
    buffer: Vec<u8>,
    index: Index,
    /// Hashes of the ids so far, under a key of this process: among ten million, two are mistaken for one by a chance of
    /// one in 300,000.
    seen: HashSet<u64>,
    hasher: RandomState,
}

/// Where each block of ids begins and what it holds.
#[derive(Clone, Debug)]
struct Index {
    /// All but the last have [`BLOCK`] ids.
    blocks: Vec<Block>,
    total: u64,
    /// In bytes, the header included.
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    start: u64,
    digest: Digest,
}

impl Index {
    fn new() -> Self {
        Self { blocks: Vec::new(), total: 0, len: HEADER.len() as u64 }
    }

    /// A line with its newline.
    fn add(&mut self, line: &[u8]) {
        if self.total % BLOCK == 0 {
            self.blocks.push(Block { start: self.len, digest: Digest::new() });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.digest.add(line);
        }
        self.total += 1;
        self.len += line.len() as u64;
    }

    fn digest(&self) -> String {
        let mut digest = Digest::of(HEADER);
        self.blocks.iter().for_each(|block| digest.add_digest(block.digest));
        digest.to_text()
    }
}

impl<D: Disk> IdSpool<D> {
    pub(crate) fn open(disk: D, path: PathBuf, digest: &str) -> Result<Self, StoreError> {
        let opened = || -> Result<(D::File, Index), Problem> {
            let file = disk.open(&path, Access::Read).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Problem::Missing,
                _ => Problem::Read(error),
            })?;
            let index = index(&disk, &file)?;
            if index.digest() == digest { Ok((file, index)) } else { Err(Problem::Changed) }
        };
        match opened() {
            Ok((file, index)) => Ok(Self { disk, path, file, index }),
            Err(problem) => Err(problem.at(&path)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many ids the list has.
    pub fn total(&self) -> u64 {
        self.index.total
    }

    /// A digest of the list, 32 hexadecimal digits, for the checkpoint to keep. It is no secret, and no protection against
    /// forgery.
    pub fn digest(&self) -> String {
        self.index.digest()
    }

    /// The ids after the first `before`, in the order in which they were added: `count` of them, fewer at the end of the
    /// list, none after it.
    ///
    /// # Errors
    /// Returns [`Problem::Changed`] if what is read is not what was written, [`Problem::Moved`] if the file was removed or
    /// replaced, and [`Problem::Read`] if it cannot be read.
    pub fn read(&self, before: u64, count: usize) -> Result<Vec<DlqId>, StoreError> {
        let end = before.saturating_add(count as u64).min(self.index.total);
        let ids = || -> Result<Vec<DlqId>, Problem> {
            let mut ids = Vec::new();
            if before >= end {
                return Ok(ids);
            }
            if !self.disk.is_at(&self.file, &self.path).map_err(Problem::Unverifiable)? {
                return Err(Problem::Moved);
            }
            for number in before / BLOCK..=(end - 1) / BLOCK {
                let text = self.block(number)?;
                for (line, place) in text.lines().zip(number * BLOCK..end) {
                    if place >= before {
                        ids.push(DlqId::new(line).map_err(|_| Problem::Changed)?);
                    }
                }
            }
            Ok(ids)
        };
        ids().map_err(|problem| problem.at(&self.path))
    }

    fn block(&self, number: u64) -> Result<String, Problem> {
        let blocks = &self.index.blocks;
        let at = |number: u64| usize::try_from(number).ok().and_then(|number| blocks.get(number));
        let block = at(number).ok_or(Problem::Changed)?;
        let end = at(number + 1).map_or(self.index.len, |next| next.start);
        let bytes = read(&self.disk, &self.file, block.start, end - block.start).map_err(Problem::Read)?;
        if Digest::of(&bytes) != block.digest {
            return Err(Problem::Changed);
        }
        String::from_utf8(bytes).map_err(|_| Problem::Changed)
    }
}

impl<D: Disk> IdSpoolWriter<D> {
    pub(crate) fn create(disk: D, path: PathBuf, temporary: PathBuf) -> Result<Self, StoreError> {
        if is_there(&disk, &path).map_err(|problem| problem.at(&path))?
            && !is_spool(&disk, &path).map_err(|error| Problem::Read(error).at(&path))?
        {
            return Err(Problem::NotASpool.at(&path));
        }
        let file = remove_if_there(&disk, &temporary)
            .and_then(|()| disk.create_new(&temporary))
            .map_err(|error| Problem::Write(error).at(&path))?;
        Ok(Self {
            disk,
            path,
            temporary,
            file: Some(file),
            buffer: HEADER.to_vec(),
            index: Index::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
        })
    }

    /// Adds an id. Returns false, and adds nothing, if it was added before.
    ///
    /// # Errors
    /// Returns [`Problem::Write`] if it cannot be written.
    pub fn add(&mut self, id: &DlqId) -> Result<bool, StoreError> {
        if !self.seen.insert(self.hasher.hash_one(id.as_str())) {
            return Ok(false);
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(id.as_str().as_bytes());
        self.buffer.push(b'\n');
        self.index.add(self.buffer.get(start..).unwrap_or_default());
        if self.buffer.len() >= BUFFER {
            self.flush().map_err(|error| Problem::Write(error).at(&self.path))?;
        }
        Ok(true)
    }

    /// Puts the list in its place. It is on disk when this returns, and is never written to again.
    ///
    /// # Errors
    /// Returns [`Problem::Write`] if it cannot be written, synced or put in place.
    pub fn finish(mut self) -> Result<IdSpool<D>, StoreError> {
        let finish = |writer: &mut Self| -> std::io::Result<D::File> {
            writer.flush()?;
            let file = writer.file.take().ok_or(ErrorKind::NotFound)?;
            let in_place = || {
                writer.disk.sync(&file)?;
                writer.disk.rename(&writer.temporary, &writer.path)?;
                sync_name(&writer.disk, folder(&writer.path), &file)
            };
            match in_place() {
                Ok(()) => Ok(file),
                Err(error) => {
                    // The drop removes the temporary file.
                    writer.file = Some(file);
                    Err(error)
                }
            }
        };
        match finish(&mut self) {
            Ok(file) => {
                Ok(IdSpool { disk: self.disk.clone(), path: self.path.clone(), file, index: self.index.clone() })
            }
            Err(error) => Err(Problem::Write(error).at(&self.path)),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let file = self.file.as_ref().ok_or(ErrorKind::NotFound)?;
        append_all(&self.disk, file, &self.buffer).1?;
        self.buffer.clear();
        Ok(())
    }
}

impl<D: Disk> Drop for IdSpoolWriter<D> {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Best effort: the next start removes what stays.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// Whether what is at `path` was written by this module.
pub(crate) fn is_spool<D: Disk>(disk: &D, path: &Path) -> std::io::Result<bool> {
    let file = disk.open(path, Access::Read)?;
    Ok(read(disk, &file, 0, HEADER.len() as u64)? == HEADER)
}

/// Reads the whole list, and checks its form.
fn index<D: Disk>(disk: &D, file: &D::File) -> Result<Index, Problem> {
    let mut lines = BufReader::with_capacity(BUFFER, Reader { disk, file, offset: 0 });
    let mut index = Index::new();
    let mut line = Vec::new();
    Read::by_ref(&mut lines).take(HEADER.len() as u64).read_to_end(&mut line).map_err(Problem::Read)?;
    if line != HEADER {
        return Err(Problem::Changed);
    }
    loop {
        line.clear();
        Read::by_ref(&mut lines).take(MAX_LINE).read_until(b'\n', &mut line).map_err(Problem::Read)?;
        if line.is_empty() {
            return Ok(index);
        }
        if !line.ends_with(b"\n") {
            return Err(Problem::Changed);
        }
        index.add(&line);
    }
}
