//! Somebody else changes a file while a process runs, and that is on the disk at once.

use crate::disk::touch::{Meddled, Meddling};
use crate::disk::{Inode, Machine, NameChange, State};
use std::path::Path;

impl Machine {
    /// What somebody else has done to this file so far.
    pub(crate) fn meddled(&self, path: &Path) -> Vec<Meddled> {
        self.lock().meddled.iter().filter(|meddled| meddled.path == path).cloned().collect()
    }
}

impl State {
    /// Does what is to be done before this step. Nothing if the file is not there.
    pub(super) fn meddle(&mut self, step: u64) -> Option<String> {
        let (path, how) = self.meddlings.remove(&step)?;
        let at = *self.names.get(&path)?;
        let inode = self.inodes.get_mut(at)?;
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
        self.meddled.push(Meddled { path, how, holder, before, after });
        Some(told)
    }
}
