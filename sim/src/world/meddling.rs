//! What somebody else does to the files, and what has to be there all the same.

use crate::disk::{Meddled, Meddling};
use crate::world::{FOREIGN, World, archive_path, messages_in};
use std::collections::BTreeSet;

impl World {
    /// Somebody removes the archive.
    pub(crate) fn remove_archive(&self) {
        self.say(|| "somebody removes the archive".into());
        self.machine.remove(&archive_path());
    }

    /// The messages in the archives that somebody has taken away.
    pub(crate) fn taken_lines(&self) -> BTreeSet<String> {
        let meddled = self.machine.meddled(&archive_path());
        let taken = meddled.iter().filter(|meddled| !matches!(meddled.how, Meddling::Appended(_)));
        taken.flat_map(|meddled| messages_in(&meddled.before)).collect()
    }

    /// Whether somebody else has written this line into the archive. It may follow the beginning of another one.
    pub(crate) fn is_foreign(&self, line: &str) -> bool {
        line.ends_with(FOREIGN.trim_end()) && !self.machine.meddled(&archive_path()).is_empty()
    }

    /// Whether somebody else has written into the archive, or put another one in its place.
    pub(crate) fn is_archive_overwritten(&self) -> bool {
        self.machine.meddled(&archive_path()).iter().any(|meddled| meddled.how != Meddling::Removed)
    }

    /// Whether the line that somebody else has appended to the archive has to be there.
    pub(crate) fn must_have_foreign_line(&self) -> bool {
        let meddled = self.machine.meddled(&archive_path());
        let is_appended = |meddled: &Meddling| matches!(meddled, Meddling::Appended(_));
        let is_kept = |meddled: &Meddled| meddled.is_lasting && !meddled.is_before_cut;
        meddled.iter().all(|meddled| is_appended(&meddled.how)) && meddled.iter().any(is_kept)
    }
}
