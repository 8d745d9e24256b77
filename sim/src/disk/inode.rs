//! A file's bytes, and what of them is on the disk.

use crate::random::Random;
use std::ops::Range;

/// What the machine writes at a time, in bytes: the least that any does.
pub(crate) const SECTOR: usize = 512;

/// Who has a file locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lock {
    pub(super) handle: u64,
    pub(super) process: u32,
}

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What a reader sees.
    pub(super) bytes: Vec<u8>,
    /// How many bytes of `bytes` surely survive a loss of power.
    pub(super) synced: usize,
    /// What comes back if the file was cut and the cut is lost.
    pub(super) uncut: Option<Vec<u8>>,
    /// Where the bytes lie that failed syncs have left. They do not come to the disk, whatever later syncs say, unless their sector
    /// is written again.
    pub(super) doomed: Vec<Range<usize>>,
    /// From where on the next sync writes everything: the beginning of a sector.
    pub(super) anew: Option<usize>,
    /// The open file that has it locked.
    pub(super) locked_by: Option<Lock>,
    /// The process that has created it.
    pub(super) created_by: u32,
}

impl Inode {
    /// The first bytes, as they are on the disk.
    pub(super) fn on_the_disk(&self, len: usize) -> Vec<u8> {
        let mut bytes = self.bytes.get(..len).unwrap_or_default().to_vec();
        for doomed in &self.doomed {
            bytes.iter_mut().take(doomed.end).skip(doomed.start).for_each(|byte| *byte = 0);
        }
        bytes
    }

    /// A sync fails: nothing of what was written since the last one comes to the disk, or some of it does.
    pub(super) fn doom(&mut self, random: &mut Random) {
        let (mut from, mut to) = (self.synced as u64, self.bytes.len() as u64);
        if random.chance(50) {
            from += random.below(to - from + 1);
            to -= random.below(to - from + 1);
        }
        let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
        self.doomed.push(place(from)..place(to));
    }

    /// The system keeps no copy of what a failed sync has left, but of what it is going to write again. Who reads, reads zeros.
    pub(super) fn forget(&mut self) {
        let kept = self.anew.unwrap_or(usize::MAX);
        for doomed in &mut self.doomed {
            self.bytes.iter_mut().take(doomed.end.min(kept)).skip(doomed.start).for_each(|byte| *byte = 0);
            doomed.start = doomed.start.max(kept);
        }
        self.doomed.retain(|doomed| !doomed.is_empty());
    }

    /// The next sync writes the sector of this byte as a whole, and what follows.
    pub(super) fn write_anew(&mut self, byte: usize) {
        let sector = byte / SECTOR * SECTOR;
        self.anew = Some(self.anew.map_or(sector, |anew| anew.min(sector)));
    }

    /// What a failed sync has left from this byte on is gone, or has come to the disk.
    pub(super) fn spare_from(&mut self, byte: usize) {
        self.doomed.iter_mut().for_each(|doomed| doomed.end = doomed.end.min(byte));
        self.doomed.retain(|doomed| !doomed.is_empty());
    }
}
