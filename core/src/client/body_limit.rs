//! How large a response may be, and what a transport says of a larger one.

use crate::engine::{Delivery, TransportFailure};
use crate::model::ByteSize;
use alloc::format;

/// The longest body of a page that a client reads unless its builder says otherwise, in bytes (16 MiB).
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// The longest body of a response with one message that a client reads unless its builder says otherwise, in bytes (64 MiB).
/// See [`ResponseBound::Message`](crate::wire::ResponseBound::Message).
pub const MAX_MESSAGE_BODY: usize = 64 * 1024 * 1024;

/// The failure for a response that is longer than `bound` bytes. The request may have been carried out. An operation asks for less
/// after it, if the request only reads ([`TransportFailure::larger_than`]).
///
/// The message names the bound in the largest unit of which it is a whole number: "the response is larger than 16 MiB".
///
/// ```
/// use upstash_dlq_core::client::{MAX_BODY, response_too_large};
/// let failure = response_too_large(MAX_BODY);
/// assert_eq!(failure.larger_than, Some(16 * 1024 * 1024));
/// assert_eq!(failure.to_string(), "the response is larger than 16 MiB");
/// ```
pub fn response_too_large(bound: usize) -> TransportFailure {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    let message = format!("the response is larger than {}", ByteSize(bound));
    let mut failure = TransportFailure::from(Delivery::Unknown).with_message(message);
    failure.larger_than = Some(bound);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_named_in_whole_units() {
        for (bound, named) in [
            (MAX_BODY, "16 MiB"),
            (3 * 1024 * 1024, "3 MiB"),
            (1536 * 1024, "1536 KiB"),
            (1025, "1025 bytes"),
            (1, "1 byte"),
            (0, "0 bytes"),
        ] {
            let failure = response_too_large(bound);
            assert_eq!(failure.message, format!("the response is larger than {named}"));
            assert_eq!((failure.delivery, failure.larger_than), (Delivery::Unknown, Some(bound as u64)));
        }
    }
}
