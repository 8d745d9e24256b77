//! The response to a bulk delete.

use super::shown::assert_safe_to_show;
use http::Response;
use upstash_dlq_core::model::Cursor;
use upstash_dlq_core::wire::{DeletePage, ResponseError};

/// A response to a delete: what was read says the same when written again.
pub fn page(data: &[u8]) {
    match DeletePage::parse(&Response::new(data)) {
        Ok(page) => {
            assert!(i64::try_from(page.deleted).is_ok());
            let cursor = page.cursor.as_ref().map(|cursor| cursor.as_str());
            assert!(cursor.is_none_or(|c| !c.is_empty() && c.len() <= Cursor::MAX_LEN));
            let again = serde_json::json!({ "deleted": page.deleted, "cursor": cursor }).to_string();
            assert_eq!(DeletePage::parse(&Response::new(again)).as_ref(), Ok(&page));
        }
        Err(error) => {
            assert!(matches!(error, ResponseError::Unreadable { .. }), "{error:?}");
            assert_safe_to_show(&error.to_string());
        }
    }
}
