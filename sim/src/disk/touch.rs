//! What somebody else does to a file, and what he has done, as plain data.

use std::path::PathBuf;

/// What somebody else does to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meddling {
    Removed,
    /// Another file with these bytes is put in its place.
    Replaced(Vec<u8>),
    Appended(Vec<u8>),
    /// A digit is another one.
    Edited,
}

/// What somebody else has done.
#[derive(Clone, Debug)]
pub(crate) struct Meddled {
    pub(crate) path: PathBuf,
    pub(crate) how: Meddling,
    /// Whether the name of the file would survive a loss of power.
    pub(crate) is_lasting: bool,
    /// Whether it happened in the instant between a look at the file's length and a cut to an earlier one. No program can
    /// exclude that.
    pub(crate) is_before_cut: bool,
    /// The process that had the file locked.
    pub(crate) holder: Option<u32>,
    /// What was on the disk before.
    pub(crate) before: Vec<u8>,
    /// What the file holds since then.
    pub(crate) after: Vec<u8>,
}
