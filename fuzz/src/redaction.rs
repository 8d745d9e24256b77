//! A token that others repeat: a server, a proxy, or the error of a library.

use super::wire::response;
use std::fmt::Debug;
use std::time::Duration;
use upstash_dlq_core::wire::GetMessage;
use upstash_dlq_core::{BulkDelete, DlqId, Endpoint, Event, Operation, Selection, SingleCall, Step, Token};

/// How many bytes of a body an error keeps.
const KEPT: usize = 1_024;

/// A byte of the token's length, two of a status, the token, then a text in which a zero byte stands for the token, a one
/// for its encoded form, and a two for its first half. Whatever becomes of the text, it holds the token no more.
pub fn redaction(data: &[u8]) {
    let Some((&[length, high, low], rest)) = data.split_first_chunk() else { return };
    let (token, text) = rest.split_at(rest.len().min(usize::from(length)));
    // A beginning that no text of ours has.
    let token = format!("~s3{}", String::from_utf8_lossy(token));
    let Ok(secret) = Token::new(token.clone()) else { return };
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut told = Vec::new();
    for byte in text {
        match byte {
            0 => told.extend(token.as_bytes()),
            1 => told.extend(encoded.as_bytes()),
            2 => told.extend(&token.as_bytes()[..token.len() / 2]),
            byte => told.push(*byte),
        }
        // Longer ones show nothing more, and take long.
        if told.len() > 8_000 {
            break;
        }
    }
    let in_query = Endpoint::builder().token_in_query().build("https://h", secret.clone()).expect("an endpoint");
    let in_header = Endpoint::new("https://h", secret).expect("an endpoint");
    for endpoint in [in_query, in_header] {
        assert_hidden(&token, &endpoint.redact(&String::from_utf8_lossy(&told)));
        hear_cut(&token, &encoded, &endpoint);
        let status = 100 + u16::from_be_bytes([high, low]) % 900;
        let mut delete = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
        hear(&token, &mut delete, status, &told);
        // Cursors are the service's own: they have to be sent back as they came.
        if delete.checkpoint().to_json().matches("\"cursor\":\"").count() == 0 {
            assert_hidden(&token, &delete.checkpoint().to_json());
        }
        let get = GetMessage(DlqId::new("a").expect("an id"));
        hear(&token, &mut SingleCall::builder(endpoint, get).build(), status, &told);
    }
}

/// A body that is longer than what an error keeps, and is cut within the token, shows at most three of its characters there.
fn hear_cut(token: &str, encoded: &str, endpoint: &Endpoint) {
    for written in [token, encoded] {
        let before = "x".repeat(KEPT.saturating_sub(written.len() / 2));
        let get = GetMessage(DlqId::new("a").expect("an id"));
        let mut call = SingleCall::builder(endpoint.clone(), get).build();
        let Step::Send(id, _) = call.poll(Duration::ZERO) else { unreachable!("the first step is a request") };
        let body = format!("{before}{written}");
        let event = call.on_response(id, response(403, body.as_bytes())).expect("a request is in flight");
        let begins = if written == token { 4 } else { 4 * 3 };
        if let Some(part) = written.get(..begins) {
            assert!(!format!("{event:?}").contains(part), "{event:?}");
        }
    }
}

/// Takes the response to the first request, and looks at what is said about it.
fn hear<O: Operation>(token: &str, operation: &mut O, status: u16, body: &[u8])
where
    O::Page: Debug,
    O::Outcome: Debug,
{
    let Step::Send(id, _) = operation.poll(Duration::ZERO) else { unreachable!("the first step is a request") };
    match operation.on_response(id, response(status, body)).expect("a request is in flight") {
        Event::Page(_) => return,
        event => assert_hidden(token, &format!("{event:?}")),
    }
    if let Step::Done(outcome) = operation.poll(Duration::ZERO) {
        assert_hidden(token, &format!("{outcome:?}"));
    }
}

/// Neither as it is, nor encoded in full or in part.
fn assert_hidden(token: &str, text: &str) {
    assert!(!text.contains(token), "{text:?}");
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = &after[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    assert!(!decoded.windows(token.len()).any(|part| part == token.as_bytes()), "{text:?}");
}
