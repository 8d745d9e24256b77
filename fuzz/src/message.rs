//! One message of the queue.

use super::shown::{assert_keeps_its_text, assert_safe_to_show};
use upstash_dlq_core::DlqMessage;

/// A message: nothing in it makes an accessor panic, and its text stays as it was, but for white space between tokens.
pub fn message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let message = match DlqMessage::parse(&text) {
        Ok(message) => message,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    assert_keeps_its_text(&message);
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>();
    assert_eq!(letters(message.as_json()), letters(&text));
    let _ = (message.dlq_id(), message.labels(), message.header(), message.body(), message.response_body());
    let _ = (message.created_at(), message.failure_function_state(), message.response_header(), message.url());
    if let Some(info) = message.failure_callback_info() {
        let _ = (info.state(), info.response_status(), info.response_body(), info.response_headers());
    }
    assert_safe_to_show(&format!("{message:?}"));
}
