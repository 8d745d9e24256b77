//! A response that says that something went wrong.

use super::shown::assert_safe_to_show;
use super::wire::response;
use upstash_dlq_core::wire::{DeletePage, ErrorBody};

/// A status and an error's body: kept in bounds, shown without control characters.
pub fn error_body(data: &[u8]) {
    let (status, body) = data.split_at(data.len().min(2));
    let status = status.iter().fold(0_u16, |n, b| n.wrapping_mul(256).wrapping_add(u16::from(*b)));
    assert!(ErrorBody::parse(body).as_str().len() <= 1_024);
    let response = response(100 + status % 900, body);
    match DeletePage::parse(&response) {
        Ok(_) => assert!(response.status().is_success()),
        Err(error) => {
            assert_eq!(error.status(), response.status());
            let shown = error.to_string();
            assert_safe_to_show(&shown);
            assert!(shown.len() < 8_000);
        }
    }
}
