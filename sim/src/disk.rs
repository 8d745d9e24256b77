//! A simulated disk: files that live in memory until they are synced, names that live there until their folder is, and a
//! machine that may stop at any step.
//!
//! It knows nothing of archives and checkpoints.

mod inode;
mod life;
mod meddling;
mod touch;

pub(crate) use self::inode::SECTOR;
use self::inode::{Inode, Lock};
pub(crate) use self::life::Life;
pub(crate) use self::touch::{Meddled, Meddling};
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use upstash_dlq_store::{Access, Disk, Entry, Kind};

/// What goes wrong at one step of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This step fails: the disk is full, or reports an error.
    Fails,
    /// An append writes its first half, and the next step fails. Other steps fail at once.
    Partial,
    /// The process is killed before this step.
    KillBefore,
    /// The process is killed after this step.
    KillAfter,
    /// The machine loses its power before this step.
    PowerBefore,
    /// The machine loses its power after this step.
    PowerAfter,
}

/// How much of a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Half,
    Nothing,
}

impl Part {
    /// An error unless all of it is done.
    fn all(self) -> Result<()> {
        if self == Self::All { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }
}

/// A change of names that a loss of power may undo.
#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    lasting_names: BTreeMap<PathBuf, usize>,
    /// In the order in which they were made.
    unsynced: Vec<NameChange>,
    /// What chance decides differs from one machine to another.
    seed: u64,
    /// A file can be cut, but not changed in its middle.
    appends_only: bool,
    /// The folder cannot be synced. There, syncing a file brings its name along.
    has_closed_folder: bool,
    steps: u64,
    troubles: BTreeMap<u64, Trouble>,
    looks: u64,
    /// What somebody else does to a file before a step, and what he has done.
    meddlings: BTreeMap<u64, (PathBuf, Meddling)>,
    meddled: Vec<Meddled>,
    failing_looks: BTreeSet<u64>,
    /// The lives of all processes that run. A loss of power ends them all.
    running: Vec<Life>,
    opened: u64,
}

/// The disk of one machine. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
}

/// The disk as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct ProcessDisk {
    process: u32,
    machine: Machine,
    life: Life,
    trace: crate::trace::Trace,
}

/// An open file. It is closed and unlocked when it is dropped.
#[derive(Debug)]
pub(crate) struct SimFile {
    inode: usize,
    handle: u64,
    machine: Machine,
}

impl Machine {
    pub(crate) fn new(
        seed: u64,
        troubles: BTreeMap<u64, Trouble>,
        failing_looks: BTreeSet<u64>,
        meddlings: BTreeMap<u64, (PathBuf, Meddling)>,
    ) -> Self {
        let machine = Self::default();
        let mut state = machine.lock();
        (state.troubles, state.failing_looks, state.meddlings) = (troubles, failing_looks, meddlings);
        state.seed = seed;
        let mut random = Random::new(seed);
        state.appends_only = random.chance(5);
        state.has_closed_folder = random.chance(5);
        drop(state);
        machine
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        let mut state = self.lock();
        state.troubles.clear();
        state.meddlings.clear();
        state.failing_looks.clear();
    }

    /// A process that begins now.
    pub(crate) fn begin(&self, process: u32, life: &Life, trace: &crate::trace::Trace) -> ProcessDisk {
        let mut state = self.lock();
        state.running.retain(Life::is_alive);
        state.running.push(life.clone());
        ProcessDisk { process, machine: self.clone(), life: life.clone(), trace: trace.clone() }
    }

    /// What a file holds that would survive a loss of power now. `None` if its name would not.
    pub(crate) fn lasting(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = state.inodes.get(*state.lasting_names.get(path)?)?;
        Some(inode.on_the_disk(inode.synced))
    }

    /// The process that has created the file which is at this path now.
    pub(crate) fn creator(&self, path: &Path) -> Option<u32> {
        let state = self.lock();
        state.inodes.get(*state.names.get(path)?).map(|inode| inode.created_by)
    }

    /// What every file holds now.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.lock();
        let read = |(path, at): (&PathBuf, &usize)| {
            (path.clone(), state.inodes.get(*at).map(|inode| inode.bytes.clone()).unwrap_or_default())
        };
        state.names.iter().map(read).collect()
    }

    /// The machine loses its power. What was not synced survives in part, as `random` says.
    pub(crate) fn lose_power(&self, random: &mut Random) {
        let mut state = self.lock();
        let state = &mut *state;
        state.running.drain(..).for_each(|life| life.end());
        let kept = usize::try_from(random.below(state.unsynced.len() as u64 + 1)).unwrap_or(0);
        for change in state.unsynced.drain(..).take(kept) {
            match change {
                NameChange::Set(path, inode) => drop(state.lasting_names.insert(path, inode)),
                NameChange::Remove(path) => drop(state.lasting_names.remove(&path)),
            }
        }
        state.names = state.lasting_names.clone();
        for inode in &mut state.inodes {
            inode.locked_by = None;
            let uncut = inode.uncut.take().filter(|_| random.chance(50));
            if let Some(uncut) = uncut {
                inode.bytes = uncut;
            } else {
                let unsynced = inode.bytes.len().saturating_sub(inode.synced);
                let some = usize::try_from(random.below(unsynced as u64 + 1)).unwrap_or(0);
                let kept = if random.chance(20) { unsynced } else { some };
                inode.bytes.truncate(inode.synced + kept);
                if random.chance(25) {
                    // The length reached the disk, and a part of the contents did not.
                    let some = usize::try_from(random.below(kept as u64 + 1)).unwrap_or(0);
                    // The last byte alone is a newline.
                    let zeros = if random.chance(20) { kept.min(1) } else { some };
                    let behind = if random.chance(30) { random.below((kept - zeros) as u64 + 1) } else { 0 };
                    let end = inode.bytes.len() - usize::try_from(behind).unwrap_or(0);
                    inode.bytes.iter_mut().take(end).skip(end - zeros).for_each(|byte| *byte = 0);
                }
            }
            inode.bytes = inode.on_the_disk(inode.bytes.len());
            inode.doomed.clear();
            inode.anew = None;
            inode.synced = inode.bytes.len();
        }
    }

    /// Kills all processes. What they wrote stays.
    pub(crate) fn kill(&self) {
        let mut state = self.lock();
        state.running.drain(..).for_each(|life| life.end());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stopped() -> Error {
    Error::other("the process has ended")
}

impl State {
    fn inode(&mut self, file: &SimFile) -> Result<&mut Inode> {
        self.inodes.get_mut(file.inode).ok_or_else(stopped)
    }

    fn set_name(&mut self, path: &Path, inode: usize) {
        self.names.insert(path.to_owned(), inode);
        self.unsynced.push(NameChange::Set(path.to_owned(), inode));
    }

    /// Brings the names of a file to the disk, as a journal does that writes down the file.
    fn bring_names_along(&mut self, inode: usize) {
        let names = &self.names;
        self.lasting_names.retain(|path, at| *at != inode || names.get(path) == Some(&inode));
        for (path, _) in names.iter().filter(|(_, at)| **at == inode) {
            self.lasting_names.insert(path.clone(), inode);
            self.unsynced.retain(|change| match change {
                NameChange::Set(changed, _) | NameChange::Remove(changed) => changed != path,
            });
        }
    }

    fn remove_name(&mut self, path: &Path) {
        self.names.remove(path);
        self.unsynced.push(NameChange::Remove(path.to_owned()));
    }
}

impl ProcessDisk {
    /// One step that changes something or makes it lasting. `act` does a part of it, or all.
    fn step<T>(&self, what: &str, path: &str, act: impl FnOnce(&mut State, Part) -> Result<T>) -> Result<T> {
        let mut state = self.machine.lock();
        if !self.life.is_alive() {
            return Err(stopped());
        }
        let number = state.steps;
        state.steps += 1;
        let meddled = state.meddle(number, what);
        meddled.into_iter().for_each(|told| self.trace.add(|| told));
        let chance = state.seed.wrapping_mul(1_000_003).wrapping_add(number);
        if Random::new(chance).chance(30) {
            state.inodes.iter_mut().for_each(Inode::forget);
        }
        let trouble = state.troubles.get(&number).copied();
        self.trace.add(|| {
            format!("  disk {number}: {what} {path}{}", trouble.map_or(String::new(), |t| format!(" !! {t:?}")))
        });
        match trouble {
            None => act(&mut state, Part::All),
            Some(Trouble::Fails) => act(&mut state, Part::Nothing),
            Some(Trouble::Partial) => {
                state.troubles.insert(number + 1, Trouble::Fails);
                act(&mut state, Part::Half)
            }
            Some(Trouble::KillBefore) => {
                self.life.end();
                Err(stopped())
            }
            Some(Trouble::KillAfter) => {
                let done = act(&mut state, Part::All);
                // Before the opened file is dropped, which needs the lock.
                drop(state);
                self.life.end();
                done.and(Err(stopped()))
            }
            Some(Trouble::PowerBefore) => {
                drop(state);
                self.machine.lose_power(&mut Random::new(chance));
                Err(stopped())
            }
            Some(Trouble::PowerAfter) => {
                let done = act(&mut state, Part::All);
                drop(state);
                self.machine.lose_power(&mut Random::new(chance));
                done.and(Err(stopped()))
            }
        }
    }

    /// Looks at something, which changes nothing.
    fn look<T>(&self, look: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.machine.lock();
        if !self.life.is_alive() {
            return Err(stopped());
        }
        let number = state.looks;
        state.looks += 1;
        if state.failing_looks.contains(&number) {
            self.trace.add(|| format!("  disk: look {number} !! fails"));
            return Err(Error::other("the disk cannot be read"));
        }
        look(&mut state)
    }

    fn handle(&self, state: &mut State, inode: usize) -> SimFile {
        state.opened += 1;
        SimFile { inode, handle: state.opened, machine: self.machine.clone() }
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Disk for ProcessDisk {
    type File = SimFile;

    fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        self.look(|state| Ok(state.names.contains_key(path).then_some(Kind::File)))
    }

    fn can_create_in(&self, _folder: &Path) -> Result<()> {
        self.look(|_| Ok(()))
    }

    fn open(&self, path: &Path, _access: Access) -> Result<SimFile> {
        self.look(|state| {
            let inode = *state.names.get(path).ok_or(ErrorKind::NotFound)?;
            Ok(self.handle(state, inode))
        })
    }

    fn create_new(&self, path: &Path) -> Result<SimFile> {
        self.step("create", &name(path), |state, part| {
            part.all()?;
            if state.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.inodes.push(Inode { created_by: self.process, ..Inode::default() });
            let inode = state.inodes.len() - 1;
            state.set_name(path, inode);
            Ok(self.handle(state, inode))
        })
    }

    fn make_private(&self, _file: &SimFile) -> Result<()> {
        if self.machine.lock().appends_only { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    fn is_trusted(&self, _file: &SimFile, _path: &Path) -> Result<bool> {
        Ok(true)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step("rename to", &name(to), |state, part| {
            part.all()?;
            let inode = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
            // One change, so that a reader finds the old or the new file, also after a loss of power.
            state.names.remove(from);
            state.set_name(to, inode);
            state.unsynced.push(NameChange::Remove(from.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        if !self.look(|state| Ok(state.names.contains_key(path)))? {
            return Err(ErrorKind::NotFound.into());
        }
        self.step("remove", &name(path), |state, part| {
            part.all()?;
            state.remove_name(path);
            Ok(())
        })
    }

    fn sync_folder(&self, _folder: &Path) -> Result<()> {
        if self.machine.lock().has_closed_folder {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.step("sync folder", "", |state, part| {
            part.all()?;
            state.unsynced.clear();
            state.lasting_names = state.names.clone();
            Ok(())
        })
    }

    fn try_lock(&self, file: &SimFile) -> Result<bool> {
        self.look(|state| {
            let handle = file.handle;
            let inode = state.inode(file)?;
            let is_ours = inode.locked_by.is_none_or(|lock| lock.handle == handle);
            if is_ours {
                inode.locked_by = Some(Lock { handle, process: self.process });
            }
            Ok(is_ours)
        })
    }

    fn entry(&self, file: &SimFile) -> Result<Entry> {
        self.look(|state| Ok(Entry { kind: Kind::File, len: state.inode(file)?.bytes.len() as u64 }))
    }

    fn is_at(&self, file: &SimFile, path: &Path) -> Result<bool> {
        self.look(|state| Ok(state.names.get(path) == Some(&file.inode)))
    }

    fn read_at(&self, file: &SimFile, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.look(|state| {
            let bytes = &state.inode(file)?.bytes;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let rest = bytes.get(from..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            for (to, byte) in buffer.iter_mut().zip(rest) {
                *to = *byte;
            }
            Ok(count)
        })
    }

    fn append(&self, file: &SimFile, bytes: &[u8]) -> Result<usize> {
        self.step("append", "", |state, part| {
            let inode = state.inode(file)?;
            let count = match part {
                Part::All => bytes.len(),
                Part::Half if bytes.len() > 1 => bytes.len() / 2,
                Part::Half | Part::Nothing => return part.all().map(|()| 0),
            };
            inode.write_anew(inode.bytes.len());
            inode.bytes.extend(bytes.iter().take(count));
            Ok(count)
        })
    }

    fn rewrite_byte(&self, file: &SimFile, _path: &Path, offset: u64, byte: u8) -> Result<()> {
        self.step("rewrite a byte", "", |state, part| {
            part.all()?;
            if state.appends_only {
                return Err(ErrorKind::PermissionDenied.into());
            }
            let inode = state.inode(file)?;
            let at = usize::try_from(offset).unwrap_or(usize::MAX);
            *inode.bytes.get_mut(at).ok_or(ErrorKind::UnexpectedEof)? = byte;
            inode.write_anew(at);
            Ok(())
        })
    }

    fn truncate(&self, file: &SimFile, len: u64) -> Result<()> {
        self.step("truncate", "", |state, part| {
            part.all()?;
            let inode = state.inode(file)?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len >= inode.bytes.len() {
                return Ok(());
            }
            if inode.synced > len {
                let uncut = inode.bytes.get(..inode.synced).unwrap_or_default().to_vec();
                inode.uncut.get_or_insert(uncut);
                inode.synced = len;
            }
            inode.bytes.truncate(len);
            inode.spare_from(len);
            Ok(())
        })
    }

    fn sync(&self, file: &SimFile) -> Result<()> {
        self.step("sync", "", |state, part| {
            let mut random = Random::new(state.seed.wrapping_mul(1_000_033).wrapping_add(state.steps));
            let inode = state.inode(file)?;
            let anew = inode.anew.take();
            if part != Part::All {
                inode.doom(&mut random);
            }
            part.all()?;
            anew.into_iter().for_each(|byte| inode.spare_from(byte));
            inode.synced = inode.bytes.len();
            inode.uncut = None;
            if state.has_closed_folder {
                state.bring_names_along(file.inode);
            }
            Ok(())
        })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.machine.lock();
        if let Some(inode) = state.inodes.get_mut(self.inode) {
            if inode.locked_by.is_some_and(|lock| lock.handle == self.handle) {
                inode.locked_by = None;
            }
        }
    }
}
