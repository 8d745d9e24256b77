//! What is read back from a file or a database, and is not what was written: an error says so.

use serde::de::DeserializeOwned;
use upstash_dlq_core::model::{Cursor, Signature};
use upstash_dlq_core::wire::{DeletePage, ResponseError};
use upstash_dlq_core::{Checkpoint, DlqId, DlqMessage, Event, Halt};

fn refused<T: DeserializeOwned>(json: &str, reason: &str) {
    let Err(error) = serde_json::from_str::<T>(json) else { panic!("{json} was read") };
    assert!(error.to_string().contains(reason), "{json}: {error}");
}

#[test]
fn what_is_of_another_type_is_refused() {
    refused::<Signature>("7", "invalid type: integer `7`, expected a string");
    refused::<Signature>(r#""e1-4K7Q0ZBD""#, "is not the signature of an error");
    refused::<DlqMessage>("[]", "not a message, which is one JSON object");
    refused::<DlqMessage>(r#"{"dlqId":"a""#, "EOF while parsing");
    refused::<DlqId>(r#""a,b""#, "dlqIds");
    refused::<DlqId>("7", "expected a string");
    refused::<Cursor>("7", "expected a string");
    refused::<Checkpoint>("{}", "expected a string");
    refused::<Checkpoint>(r#""{}""#, "the checkpoint cannot be read");
}

#[test]
fn an_event_that_is_none_is_refused() {
    refused::<Event<DeletePage>>("7", "invalid type: integer `7`");
    refused::<Event<DeletePage>>("{}", "missing field `kind`");
    refused::<Event<DeletePage>>(
        r#"{"kind":"other"}"#,
        "unknown variant `other`, expected one of `page`, `retry`, `ended`",
    );
    refused::<Event<DeletePage>>(r#"{"kind":"page"}"#, "invalid type: null");
    refused::<Event<DeletePage>>(
        r#"{"kind":"retry","detail":{"after":{"secs":1,"nanos":0}}}"#,
        "missing field `cause`",
    );
}

#[test]
fn a_halt_that_is_none_is_refused() {
    let mismatch = |field: &str| format!(r#"{{"kind":"mismatch","detail":{{"id":"a","field":{field}}}}}"#);
    refused::<Halt>(&mismatch("7"), "invalid type: integer `7`, expected a string");
    refused::<Halt>(&mismatch(r#""refinement""#), "unknown variant `refinement`, expected one of `label`, ");
    let redirect = |status: &str| format!(r#"{{"kind":"redirect","status":{status}}}"#);
    refused::<ResponseError>(&redirect("99"), "invalid status code");
    refused::<ResponseError>(&redirect("1000"), "invalid status code");
    refused::<ResponseError>(&redirect("\"302\""), "invalid type: string \"302\", expected u16");
    let read: ResponseError = serde_json::from_str(&redirect("302")).unwrap();
    assert_eq!(read.status(), 302);
}
