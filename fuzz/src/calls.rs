//! The responses to a start of many runs, and to the calls on one run.

use super::shown::{assert_keeps_its_text, assert_safe_to_show};
use super::wire::response;
use http::{Response, StatusCode};
use upstash_dlq_core::DlqId;
use upstash_dlq_core::model::Cursor;
use upstash_dlq_core::wire::{
    Call, CancelCallback, DeleteOne, GetMessage, Overrides, ResponseError, RestartOne, ResumeOne, RetryCallback,
    StartedPage,
};

/// Two bytes of status, then a body: every call reads it without a wrong success, and an error stays small.
pub fn calls(data: &[u8]) {
    let (status, body) = data.split_at(data.len().min(2));
    let status = status.iter().fold(0_u16, |n, b| n.wrapping_mul(256).wrapping_add(u16::from(*b)));
    let response = response(100 + status % 900, body);
    started_page(&response);
    let id = || DlqId::new("a").expect("an id");
    let overrides = Overrides::default;
    match checked(&response, GetMessage(id()).parse(&response)) {
        Some(message) => {
            assert!(message.dlq_id().is_none_or(|found| found == id()), "another run");
            assert_keeps_its_text(&message);
        }
        None => assert!(!response.status().is_success() || DeleteOne(id()).parse(&response).is_ok()),
    }
    checked(&response, DeleteOne(id()).parse(&response));
    let cancelled = CancelCallback(id()).parse(&response);
    if response.status() == StatusCode::FOUND {
        assert_eq!(cancelled, Ok(()));
    } else {
        checked(&response, cancelled);
    }
    let resumed = checked(&response, ResumeOne::new(id(), overrides()).parse(&response));
    assert_eq!(checked(&response, RestartOne::new(id(), overrides()).parse(&response)), resumed);
    assert_eq!(checked(&response, RetryCallback(id()).parse(&response)), resumed);
}

/// What was read says the same when written again.
fn started_page(response: &Response<&[u8]>) {
    let Some(page) = checked(response, StartedPage::parse(response)) else { return };
    let cursor = page.cursor.as_ref().map(Cursor::as_str);
    assert!(cursor.is_none_or(|cursor| !cursor.is_empty() && cursor.len() <= Cursor::MAX_LEN));
    let again = serde_json::json!({ "workflowRuns": page.started, "cursor": cursor }).to_string();
    assert_eq!(StartedPage::parse(&Response::new(again)).as_ref(), Ok(&page));
}

/// A success only under a 2xx. An error keeps the status, little text, and nothing that steers a terminal.
fn checked<T>(response: &Response<&[u8]>, read: Result<T, ResponseError>) -> Option<T> {
    match read {
        Ok(read) => {
            assert!(response.status().is_success(), "{}", response.status());
            Some(read)
        }
        Err(error) => {
            assert_eq!(error.status(), response.status());
            assert_safe_to_show(&error.to_string());
            assert_small(&error);
            None
        }
    }
}

/// Nothing makes an error keep much of a body, which may have sixteen megabytes.
pub fn assert_small(error: &ResponseError) {
    let kept = match error {
        ResponseError::Status { body, .. } => body.as_str().len(),
        ResponseError::Unreadable { problem, .. } => problem.len(),
        _ => 0,
    };
    assert!(kept <= 1_024, "{kept} bytes are kept");
}
