//! What all clients share: what they need of HTTP, how large one response may be and all of them together, what an application
//! brings for archives and checkpoints, and why a client cannot be built. It does not know how HTTP sends a request.
//!
//! Floor 9.

mod body_limit;
pub mod budget;
mod build_error;
pub mod cancellation;
pub mod http_settings;
pub mod setup;
pub mod store;
pub mod transport;

pub use self::body_limit::{MAX_BODY, MAX_MESSAGE_BODY, response_too_large};
pub use self::build_error::BuildError;
pub use self::store::{ArchiveStore, AsyncArchiveStore, AsyncCheckpointStore, CheckpointStore, StoreResult};
pub use self::transport::{AsyncTransport, Transport};
