//! Why a checkpoint cannot be used.

use crate::checkpoint::version::VERSION;
use crate::model::field_error::FieldError;
use crate::model::text::Escaped;
use alloc::string::{String, ToString};
use core::fmt;

/// Why an operation cannot continue from a checkpoint. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is not a complete checkpoint. The text says what is wrong.
    Damaged(String),
    /// It has another format, of this version.
    Version(u32),
    /// It belongs to another operation, of this name.
    OtherOperation(String),
    /// It belongs to another endpoint, selection or overrides.
    OtherSelection,
    /// It has another page size, another maximum or another verification.
    OtherOptions,
    /// An operation that starts runs by a refinement cannot be continued: runs that are still listed would be started again.
    NotResumable,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) => write!(
                f,
                "the checkpoint cannot be read ({}): give another one, or none to start over",
                Escaped(problem)
            ),
            Self::Version(version) => write!(
                f,
                "the checkpoint has format {version}, this program reads format {VERSION}: use the program that wrote it"
            ),
            Self::OtherOperation(operation) => write!(
                f,
                "the checkpoint belongs to a {}: repeat the operation that it was taken from, or give another checkpoint",
                Escaped(operation)
            ),
            Self::OtherSelection => f.write_str(
                "the checkpoint belongs to another endpoint, selection or overrides: give the same ones again, or another checkpoint",
            ),
            Self::OtherOptions => f.write_str(
                "the checkpoint was taken with another page size, maximum or verification: give the same ones again, or another checkpoint",
            ),
            Self::NotResumable => f.write_str(
                "a resume or restart by a refinement cannot be continued: list the runs, and start them by their ids",
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
