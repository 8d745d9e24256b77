//! The response to a bulk delete.

use super::calls::assert_small;
use super::given::endpoint;
use super::shown::assert_safe_to_show;
use super::wire::pairs;
use http::Response;
use std::time::Duration;
use upstash_dlq_core::model::Cursor;
use upstash_dlq_core::wire::{DeletePage, ResponseError};
use upstash_dlq_core::{BulkDelete, Operation, Selection, Step};

/// A response to a delete: what was read says the same when written again.
pub fn page(data: &[u8]) {
    match DeletePage::parse(&Response::new(data)) {
        Ok(page) => {
            assert!(i64::try_from(page.deleted).is_ok());
            let cursor = page.cursor.as_ref().map(|cursor| cursor.as_str());
            assert!(cursor.is_none_or(|c| !c.is_empty() && c.len() <= Cursor::MAX_LEN));
            let again = serde_json::json!({ "deleted": page.deleted, "cursor": cursor }).to_string();
            assert_eq!(DeletePage::parse(&Response::new(again)).as_ref(), Ok(&page));
            assert_sent_back(data, cursor);
        }
        Err(error) => {
            assert!(matches!(error, ResponseError::Unreadable { .. }), "{error:?}");
            assert_safe_to_show(&error.to_string());
            assert_small(&error);
        }
    }
}

/// The request for the next page holds the cursor as it came, and the last page has no such request.
fn assert_sent_back(page: &[u8], cursor: Option<&str>) {
    let mut delete = BulkDelete::builder(endpoint(), Selection::Everything).verify(false).build();
    let Step::Send(id, _) = delete.poll(Duration::ZERO) else { unreachable!("the first step is a request") };
    assert!(delete.on_response(id, Response::new(page)).is_ok());
    let sent = match delete.poll(Duration::ZERO) {
        Step::Send(_, request) => pairs(&request).into_iter().find(|(name, _)| name == "cursor"),
        _ => None,
    };
    assert_eq!(sent.as_ref().map(|(_, cursor)| cursor.as_str()), cursor);
}
