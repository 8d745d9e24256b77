//! How large a response may be, and what a transport says of a larger one.

use crate::engine::{Delivery, TransportFailure};
use alloc::format;

/// The longest response body that a client reads unless its builder says otherwise, in bytes (16 MiB).
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// The failure for a response that is longer than `bound` bytes. The request may have been carried out.
///
/// The message names the bound in the largest unit of which it is a whole number: "the response is larger than 16 MiB".
pub fn response_too_large(bound: usize) -> TransportFailure {
    const UNITS: [(usize, &str); 2] = [(1024 * 1024, "MiB"), (1024, "KiB")];
    let whole = UNITS.into_iter().find(|(size, _)| bound >= *size && bound % size == 0);
    let (size, unit) = whole.unwrap_or((1, if bound == 1 { "byte" } else { "bytes" }));
    let message = format!("the response is larger than {} {unit}", bound / size);
    TransportFailure::from(Delivery::Unknown).with_message(message)
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
            assert_eq!(failure.delivery, Delivery::Unknown);
        }
    }
}
