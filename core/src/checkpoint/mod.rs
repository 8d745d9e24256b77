//! Checkpoints: what a later process needs to continue an operation. One format for every bulk operation, on one lane or many.
//!
//! Floor 6: it knows what plans keep, but not how an operation is built from it.

pub(crate) mod error;
pub(crate) mod fingerprint;
pub(crate) mod format;
pub(crate) mod saved_selection;
pub(crate) mod seal;
pub(crate) mod version;

pub use self::error::CheckpointError;
pub use self::fingerprint::{Fingerprint, FingerprintBuilder};
pub use self::format::Checkpoint;
