//! The response to a listing.

use super::calls::assert_small;
use super::shown::{assert_keeps_its_text, assert_safe_to_show};
use http::Response;
use upstash_dlq_core::wire::{Call, List, ResponseError};

/// A response to a listing: every message is kept, on one line.
pub fn list_page(data: &[u8]) {
    match List::everything().parse(&Response::new(data)) {
        Ok(page) => page.messages.iter().for_each(assert_keeps_its_text),
        Err(error) => {
            assert!(matches!(error, ResponseError::Unreadable { .. }), "{error:?}");
            assert_safe_to_show(&error.to_string());
            assert_small(&error);
        }
    }
}
