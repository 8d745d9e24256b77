//! Somebody else changes a file while a process runs, and that is on the disk at once.

use crate::disk::touch::{Meddled, Meddling};
use crate::disk::{Inode, Machine, NameChange, State};
use std::path::{Path, PathBuf};

impl Machine {
    /// What somebody else has done to this file so far.
    pub(crate) fn meddled(&self, path: &Path) -> Vec<Meddled> {
        self.lock().meddled.iter().filter(|meddled| meddled.path == path).cloned().collect()
    }

    /// Whether somebody else has removed this file so far, or put another one in its place.
    pub(crate) fn was_taken(&self, path: &Path) -> bool {
        let is_taken = |how: &Meddling| matches!(how, Meddling::Removed | Meddling::Replaced(_));
        self.lock().meddled.iter().any(|meddled| meddled.path == path && is_taken(&meddled.how))
    }

    /// Somebody else removes a file, and that is on the disk at once.
    pub(crate) fn remove(&self, path: &Path) {
        let _ = self.lock().do_to(path.to_owned(), Meddling::Removed);
    }
}

impl State {
    /// Does what is to be done before this step. Nothing if the file is not there.
    pub(super) fn meddle(&mut self, step: u64, what: &str) -> Option<String> {
        let (path, how) = self.meddlings.remove(&step)?;
        let told = self.do_to(path, how)?;
        if let Some(meddled) = self.meddled.last_mut() {
            meddled.is_before_cut = what == "truncate";
        }
        Some(told)
    }

    /// Does this to a file. Nothing if it is not there.
    fn do_to(&mut self, path: PathBuf, how: Meddling) -> Option<String> {
        let at = *self.names.get(&path)?;
        let inode = self.inodes.get_mut(at)?;
        let is_lasting = self.lasting_names.get(&path) == Some(&at);
        let before = inode.on_the_disk(inode.synced);
        let holder = inode.locked_by.map(|lock| lock.process);
        match &how {
            Meddling::Removed => {
                self.names.remove(&path);
                self.lasting_names.remove(&path);
                self.unsynced.retain(|change| !matches!(change, NameChange::Set(other, _) if *other == path));
            }
            Meddling::Replaced(bytes) => {
                self.inodes.push(Inode { bytes: bytes.clone(), synced: bytes.len(), ..Inode::default() });
                let new = self.inodes.len() - 1;
                self.names.insert(path.clone(), new);
                self.lasting_names.insert(path.clone(), new);
                self.unsynced.retain(|change| !matches!(change, NameChange::Set(other, _) if *other == path));
            }
            Meddling::Appended(bytes) => {
                inode.bytes.extend(bytes);
                inode.synced = inode.bytes.len();
                // A file that was cut before is on the disk as it is now.
                inode.uncut = None;
            }
            Meddling::Edited => {
                let digit = inode.bytes.iter_mut().rev().find(|byte| byte.is_ascii_digit())?;
                *digit = if *digit == b'7' { b'8' } else { b'7' };
                inode.synced = inode.bytes.len();
            }
        }
        let now = self.names.get(&path).and_then(|at| self.inodes.get(*at));
        let after = now.map(|inode| inode.bytes.clone()).unwrap_or_default();
        let told = format!("  disk: somebody meddles with {}: {how:?}", path.display());
        self.meddled.push(Meddled { path, how, is_lasting, is_before_cut: false, holder, before, after });
        Some(told)
    }
}
