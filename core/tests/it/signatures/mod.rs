//! Signatures of failures: what is one cause, and what is another.

mod frozen;
mod planted;
mod varying;

use proptest::prelude::*;
use std::fmt::Write;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;

/// A failed run whose response has this status and this body.
fn failed(status: u16, body: &str) -> DlqMessage {
    DlqMessage::parse(&serde_json::json!({ "responseStatus": status, "responseBody": body }).to_string()).unwrap()
}

/// The same with a body of bytes.
fn failed_in_base64(status: u16, body: &[u8]) -> DlqMessage {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for group in body.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            encoded.push(if at > group.len() { '=' } else { char::from(digit) });
        }
    }
    DlqMessage::parse(&serde_json::json!({ "responseStatus": status, "responseBodyBase64": encoded }).to_string())
        .unwrap()
}

/// The error of the service's own form.
fn sdk_error(name: &str, message: &str, stack: &str) -> String {
    serde_json::json!({ "error": name, "message": message, "stack": stack }).to_string()
}

#[test]
fn where_the_body_stands_and_how_it_is_written_is_of_no_matter() {
    let body = sdk_error("TypeError", "größe of order 17 \"is\" \n gone", "TypeError: …\n    at f (/a/b.js:1:2)");
    let signature = failed(500, &body).signature();
    let escaped = body.chars().fold(String::new(), |mut out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04X}").unwrap();
        }
        out
    });
    let escaped = DlqMessage::parse(&format!(r#"{{"responseStatus":500,"responseBody":"{escaped}"}}"#)).unwrap();
    let spaced = body.replace("{", "{ \n").replace("\",", "\" ,\t").replace("\":", "\" :");
    for (how, same) in [
        ("in Base64", failed_in_base64(500, body.as_bytes())),
        ("with escapes", escaped),
        ("with white space", failed(500, &spaced)),
        (
            "another order",
            failed(500, r#"{"stack":"x","message":"größe of order 18 \"is\" gone","extra":[{}],"error":"TypeError"}"#),
        ),
        ("another stack", failed(500, &sdk_error("TypeError", "größe of order 17 \"is\" gone", "at g (c.js:9:9)"))),
    ] {
        assert_eq!(same.signature(), signature, "{how}");
    }
    for (what, other) in [
        ("the status", failed(502, &body)),
        ("the name", failed(500, &body.replace("TypeError", "RangeError"))),
        ("the message", failed(500, &body.replace("gone", "lost"))),
    ] {
        assert_ne!(other.signature(), signature, "{what}");
    }
}

/// What tells nothing has the signature of its status.
#[test]
fn a_run_without_a_text_has_the_signature_of_its_status() {
    let signature = |json: &str| DlqMessage::parse(json).unwrap().signature();
    let alone = signature(r#"{"responseStatus":500}"#);
    for json in [
        r#"{"responseStatus":500,"responseBody":""}"#,
        r#"{"responseStatus":500,"responseBody":" \n "}"#,
        r#"{"responseStatus":500,"responseBody":null,"responseBodyBase64":null}"#,
        r#"{"responseStatus":500,"responseBody":7}"#,
        r#"{"responseStatus":500,"responseBodyBase64":"/wD+"}"#,
        r#"{"responseStatus":500,"responseBodyBase64":"no base64"}"#,
    ] {
        assert_eq!(signature(json), alone, "{json}");
    }
    let others = ["{}", r#"{"responseStatus":502}"#, r#"{"responseStatus":500,"responseBody":"x"}"#];
    let mut all: Vec<Signature> = others.into_iter().map(signature).chain([alone]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn redacted_bodies_have_one_signature_a_status() {
    let redacted = |status, hash: &str| failed(status, &format!("REDACTED:{hash}")).signature();
    assert_eq!(redacted(500, &"ab12".repeat(16)), redacted(500, &"ffff".repeat(16)));
    assert_ne!(redacted(500, "ab"), redacted(502, "ab"));
    assert_ne!(redacted(500, "ab"), failed(500, "").signature());
}

#[test]
fn a_signature_is_read_as_it_is_written() {
    for text in ["e1-00000000", "e1-zzzzzzzz", "e1-0a9b8c7d"] {
        let signature: Signature = text.parse().unwrap();
        assert_eq!(signature.to_string(), text);
        assert_eq!(serde_json::to_string(&signature).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Signature>(&format!("\"{text}\"")).unwrap(), signature);
    }
    for text in [
        "",
        "e1-",
        "e1-0a9b8c7",
        "e1-0a9b8c7d0",
        "e1-0A9b8c7d",
        "e2-0a9b8c7d",
        "0a9b8c7d",
        "e1-+a9b8c7d",
        " e1-0a9b8c7d",
        "e1-äääa",
    ] {
        let error = text.parse::<Signature>().unwrap_err();
        assert_eq!((error.field(), error.value()), ("error", Some(text)));
        assert!(error.problem().contains("e1- and eight lower-case letters or digits"), "{error}");
        assert!(serde_json::from_str::<Signature>(&format!("\"{text}\"")).is_err());
    }
}

proptest! {
    #![proptest_config(crate::cases::cases(256, 100_000))]

    /// Any bytes, any JSON: a signature that reads as itself, and a short text.
    #[test]
    fn every_body_has_a_signature(body in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,80}", pieces in pieces()) {
        let pieces: String = pieces.concat();
        for message in [failed_in_base64(500, &body), failed(500, &text), failed(500, &pieces), failed(500, &sdk_error(&text, &pieces, ""))] {
            let signature = message.signature();
            prop_assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
            let shown = message.failure_text().unwrap_or_default();
            prop_assert!(shown.chars().count() <= 300 && !shown.contains(['\n', '\t']));
        }
    }
}

/// What the reader and the masking look for, in any order.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\",
        "\\u",
        "\\ud83e",
        "\\n",
        "\n at ",
        "\"error\"",
        "\"message\":",
        "\"stack\"",
        "null",
        "<",
        ">",
        "<!--",
        "-->",
        "<script>",
        "</script",
        "REDACTED:",
        "://",
        "http://",
        "@",
        "a@b.cd",
        "'",
        "`",
        "7",
        "ff",
        "ä",
        "🦀",
        "-",
        "_",
        "/",
        "?",
        "#",
        "=",
        "+",
        "%41",
        "::",
        "::1",
        "10.0.0.1",
        "2026-11-24T08:30:00Z",
        "Tue ",
        "Nov ",
        " PM",
        "550e8400-e29b-41d4-a716-446655440000",
        "eyJhbGciOiJIUzI1NiIsInR5",
        "aB3dE",
        "word",
        " ",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..25)
}
