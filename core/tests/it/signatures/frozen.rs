//! Signatures that must never change: people keep them in tickets and scripts. If one has to, it is another version, `e2`.

use super::{failed, failed_in_base64};
use upstash_dlq_core::DlqMessage;

/// Status, body, signature.
const FROZEN: [(u16, &str, &str); 34] = [
    (500, "", "e1-93logwfo"),
    (502, "", "e1-wja4i9h1"),
    (500, "REDACTED:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "e1-u3u81jlg"),
    (
        500,
        r#"{"error":"TypeError","message":"Cannot read properties of undefined (reading 'price')","stack":"at f (a.js:1:2)"}"#,
        "e1-1qklxb1o",
    ),
    (500, r#"{"error":"TypeError","message":"Cannot read properties of undefined (reading 'total')"}"#, "e1-jj5kpn8r"),
    (500, r#"{"error":"Error","message":"connect ECONNREFUSED 10.0.3.17:5432"}"#, "e1-daxax3z8"),
    (500, r#"{"error":"Error","message":"connect ECONNREFUSED 2001:db8::17"}"#, "e1-daxax3z8"),
    (500, r#"{"error":"Error","message":"order 4711 of customer cus_9s6XKzkNRiz8i3 not found"}"#, "e1-5n7n3170"),
    (
        500,
        r#"{"error":"Error","message":"order 'Blue Chair 12' not found\n    at find (/srv/a.js:1:2)"}"#,
        "e1-d2ooj8kh",
    ),
    (
        500,
        r#"{"error":"Error","message":"job 550e8400-e29b-41d4-a716-446655440000 was locked at 2026-11-24T08:30:00.123Z"}"#,
        "e1-ufgfopz8",
    ),
    (500, r#"{"error":"Error","message":"locked since Tue Nov 24 2026 08:30:00 GMT+0100"}"#, "e1-5gdrewyv"),
    (500, r#"{"error":"Error","message":"could not write to jo.doe+x@mail.example.com"}"#, "e1-qkgpwtf0"),
    (
        500,
        r#"{"error":"Error","message":"GET https://api2.example.com:8443/v2/users/4711?key=x#y answered 503"}"#,
        "e1-39k43f5y",
    ),
    (
        500,
        r#"{"error":"Error","message":"Cannot find module './chunks/4711.js' in /var/task/index.js:12:34"}"#,
        "e1-80z0dli2",
    ),
    (500, r#"{"error":"Error","message":"pod checkout-7d9f8b6c5d-xkzqw was evicted"}"#, "e1-hyeizrs7"),
    (500, r#"{"error":"Error","message":"token dGhpcyBpcyBh/IHRlc3Q+aGVsbG8= is used"}"#, "e1-uefj0pkx"),
    (500, r#"{"error":"Error","message":"token eyJhbGciOi.eyJzdWIiOi.SflKxwRJSM has expired"}"#, "e1-90lu8ic8"),
    (500, r#"{"error":"Error","message":"größe 12€ statt -3,5: ungültig"}"#, "e1-jbcxyf69"),
    (500, r#"{"error":"Error","message":""}"#, "e1-t0klxsnz"),
    (500, r#"{"error":"only a name"}"#, "e1-1m6qko6q"),
    (500, r#"{"message":"only a message"}"#, "e1-pumrxu3x"),
    (500, r#"{"stack":"Error: only a stack\n    at f (a.js:1:2)"}"#, "e1-vqoohmil"),
    (429, r#"{"error":{"type":"limit","message":"try again in 12s","code":17}}"#, "e1-n94m04xx"),
    (500, r#"{"error":"Outer","message":"{\"error\":\"Inner\",\"message\":\"deep\"}"}"#, "e1-ijifr7ce"),
    (400, r#"{"detail":[{"loc":["body",3],"msg":"field required"}]}"#, "e1-6996bcbp"),
    (
        502,
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><hr><center>edge/1.2</center></body></html>",
        "e1-oh4vppnt",
    ),
    (504, "upstream request timeout after 30000 ms", "e1-as4dlljf"),
    (503, "  no   healthy\n upstream ", "e1-vc7hlnw4"),
    (500, "TypeError: x is not a function\n    at f (/srv/app/4f3a9c.js:1:2)\n    at g", "e1-u1y61n1u"),
    (500, "id 0xdeadbeef, deadbeefcafe, V1StGXR8_Z5jdHi6B-myT and [1, 2, 3]", "e1-cv3ern5l"),
    (504, "FUNCTION_TIMEOUT\n\nfra1::abcde-1731000000000-0123456789ab", "e1-bz9ukxy3"),
    (500, "stream closed with NGHTTP2_REFUSED_STREAM (ERR_HTTP2_STREAM_ERROR)", "e1-3ni7v8fc"),
    (599, "{\"error\":\"cut", "e1-67due3fh"),
    (500, "\"quoted \\\"text\\\" 7\"", "e1-kvccqwll"),
];

#[test]
fn signatures_stay_as_they_are() {
    let mut wrong = String::new();
    for (status, body, signature) in FROZEN {
        let now = failed(status, body).signature();
        assert_eq!(failed_in_base64(status, body.as_bytes()).signature(), now, "{body}");
        if now.to_string() != signature {
            wrong += &format!("{signature} is now {now}: {status} {body}\n");
        }
    }
    let long = "word ".repeat(500) + "end";
    for (json, signature) in [
        (r"{}".to_owned(), "e1-nadlrq8a"),
        (r#"{"responseStatus":"odd","responseBodyBase64":"bm8gdGV4dCD/"}"#.to_owned(), "e1-nadlrq8a"),
        (format!(r#"{{"responseBody":"{long}"}}"#), "e1-2cfy9p6n"),
    ] {
        let now = DlqMessage::parse(&json).unwrap().signature();
        if now.to_string() != signature {
            wrong += &format!("{signature} is now {now}: {json}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The message counts up to 2,048 bytes after the masking, so a long one is one cause however long its numbers are.
#[test]
fn a_long_message_counts_to_its_bound() {
    let text = |id: &str, end: &str| format!("{id} {}{end}", "word ".repeat(500));
    assert_eq!(failed(500, &text("1", "a")).signature(), failed(500, &text("1234567890", "b")).signature());
    assert_ne!(failed(500, &text("1", "")[..2_000]).signature(), failed(500, &text("1", "")[..2_040]).signature());
}
