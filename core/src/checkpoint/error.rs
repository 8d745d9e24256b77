//! Why an operation cannot go on from a checkpoint.

use crate::checkpoint::version::VERSION;
use crate::model::field_error::FieldError;
use crate::model::text::Escaped;
use alloc::string::{String, ToString};
use core::fmt;

/// Why an operation cannot go on from a checkpoint. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is not a checkpoint, or not a whole one.
    Damaged(String),
    /// Another version of this program wrote it.
    Version(u32),
    /// It belongs to another operation, which this names.
    OtherOperation(String),
    /// It belongs to another endpoint, selection or overrides.
    OtherSelection,
    /// It belongs to the same selection with another page size, maximum or verification.
    OtherOptions,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) => write!(
                f,
                "checkpoint: cannot be read ({}): give another file, or remove it to start anew",
                Escaped(problem)
            ),
            Self::Version(version) => write!(
                f,
                "checkpoint: has version {version}, this program knows {VERSION}: use the program that wrote it"
            ),
            Self::OtherOperation(operation) => write!(
                f,
                "checkpoint: belongs to a {}: give the same command again, or another file",
                Escaped(operation)
            ),
            Self::OtherSelection => f.write_str(
                "checkpoint: belongs to another endpoint, selection or overrides: give the same ones again, or another file",
            ),
            Self::OtherOptions => f.write_str(
                "checkpoint: was taken with another page size, maximum or verification: give the same ones again, or another file",
            ),
        }
    }
}

impl core::error::Error for CheckpointError {}

impl From<FieldError> for CheckpointError {
    fn from(error: FieldError) -> Self {
        Self::Damaged(error.to_string())
    }
}
