//! What may reach a terminal, and what stays of a message's text.

use upstash_dlq_core::DlqMessage;

/// A person may see the text: it holds no control and no bidirectional character.
pub fn assert_safe_to_show(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{text:?}");
}

/// A message's text is one line and reads as the same message again.
pub fn assert_keeps_its_text(message: &DlqMessage) {
    let line = message.as_json();
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    assert_eq!(DlqMessage::parse(line).is_ok_and(|again| again == *message), line.starts_with('{'));
}
