//! The version of the checkpoint format.

/// It changes with whatever a file holds. No other version is read.
pub(crate) const VERSION: u32 = 5;
