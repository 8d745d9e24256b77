//! The version of the checkpoint format.

/// It changes with every change of the format. No other version is read.
pub(crate) const VERSION: u32 = 7;
