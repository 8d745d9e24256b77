//! What the clients of all transports share: their errors, and what an application brings.
//!
//! Floor 9: nothing here sends or stores anything.

pub(crate) mod build_error;
pub(crate) mod store;

pub use self::build_error::BuildError;
pub use self::store::{ArchiveStore, AsyncArchiveStore, AsyncCheckpointStore, CheckpointStore, StoreResult};
