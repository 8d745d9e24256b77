//! Why a run failed.

use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;
use upstash_dlq_core::selection::Refinement;

/// The response body of a failed run: it has a signature, which reads as itself and depends on no digit, and a short text to
/// show, which is found again. A body that is text says the same in Base64.
pub fn signature(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        check(&message("responseBodyBase64", &base64(data)));
        return;
    };
    let plain = message("responseBody", text);
    check(&plain);
    let encoded = message("responseBodyBase64", &base64(data));
    check(&encoded);
    assert_eq!(encoded.signature(), plain.signature());
    assert_eq!(encoded.failure_text(), plain.failure_text());
    // A digit of an escape in JSON says which letter it is, and a URL keeps its host.
    if !text.contains('\\') && !text.contains("://") {
        let other = text.chars().map(|c| c.to_digit(10).map_or(c, |d| char::from(b"4567890123"[d as usize])));
        let other = message("responseBody", &other.collect::<String>());
        assert_eq!(other.signature(), plain.signature(), "{text:?}");
    }
}

fn message(field: &str, body: &str) -> DlqMessage {
    DlqMessage::parse(&serde_json::json!({ "responseStatus": 500, field: body }).to_string()).expect("one object")
}

fn check(message: &DlqMessage) {
    let signature = message.signature();
    assert_eq!(signature.to_string().parse::<Signature>(), Ok(signature));
    let by_signature = Refinement::builder().status(500).signature(signature).build().expect("two conditions");
    assert!(by_signature.matches(message));
    let Some(shown) = message.failure_text() else { return };
    assert!(!shown.is_empty() && shown.chars().count() <= 300 && !shown.contains(['\n', '\t']), "{shown:?}");
    let word = shown.split(' ').next().unwrap_or_default();
    // The last word that is shown may be cut, and a letter may have more than one small form.
    if word.is_ascii() && shown.chars().count() < 300 {
        let by_text = Refinement::builder().error_text(word.to_uppercase()).build().expect("a word");
        assert!(by_text.matches(message), "{word:?} of {shown:?}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|group| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        (0..=group.len()).map(move |at| char::from(DIGITS[bits >> (18 - 6 * at) & 63]))
    });
    digits.collect()
}
