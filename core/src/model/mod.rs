//! The basic types: ids, times, messages, and the endpoint.
//!
//! Floor 0: it knows nothing about selections, requests or operations.

pub(crate) mod base64;
pub(crate) mod byte_size;
pub(crate) mod callback_state;
pub(crate) mod cursor;
pub(crate) mod dlq_id;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod field_error;
pub(crate) mod hash;
pub(crate) mod json_prefix;
pub(crate) mod masking;
pub(crate) mod message;
mod message_serde;
pub(crate) mod period;
pub(crate) mod redact;
pub(crate) mod signature;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod varying;

pub use self::byte_size::ByteSize;
pub use self::callback_state::FailureFunctionState;
pub use self::cursor::{Cursor, CursorError};
pub use self::dlq_id::DlqId;
pub use self::endpoint::{Endpoint, EndpointBuilder, EndpointError, Token};
pub use self::field_error::FieldError;
pub use self::message::{DlqMessage, FailureCallbackInfo, MessageError};
pub use self::period::Period;
pub use self::signature::Signature;
pub use self::text::Escaped;
pub use self::time::UnixMillis;
