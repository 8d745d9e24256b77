//! Stores of the application. A closure is one: it keeps, has nothing from before, and needs no end.

use crate::one_lane::Respond;
use crate::world::endpoint;
use http::Response;
use std::time::Duration;
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, AsyncCheckpointStore, CheckpointStore};
use upstash_dlq_core::operation::Batch;
use upstash_dlq_core::{BulkDelete, Checkpoint, DlqMessage, Event, Operation, Selection, Step};

fn checkpoint() -> Checkpoint {
    BulkDelete::builder(endpoint(), Selection::Everything).build().checkpoint()
}

fn messages() -> Vec<DlqMessage> {
    ["a", "b"].map(|id| DlqMessage::parse(&format!(r#"{{"dlqId":"{id}"}}"#)).unwrap()).into()
}

#[test]
fn a_closure_keeps_checkpoints() {
    let mut kept = Vec::new();
    let mut store = |checkpoint: &Checkpoint| {
        kept.push(checkpoint.clone());
        if kept.len() < 2 { Ok(()) } else { Err("the disk is full") }
    };
    assert_eq!(CheckpointStore::load(&mut store).unwrap(), None);
    store.save(&checkpoint()).unwrap();
    assert_eq!(store.save(&checkpoint()).unwrap_err().to_string(), "the disk is full");
    assert!(CheckpointStore::remove(&mut store).is_ok());
    assert_eq!(kept, [checkpoint(), checkpoint()]);
}

#[test]
fn a_closure_keeps_messages() {
    let mut kept = Vec::new();
    let mut store = |messages: &[DlqMessage]| {
        kept.extend_from_slice(messages);
        if kept.len() < 4 { Ok(()) } else { Err("the disk is full") }
    };
    store.append(&messages()).unwrap();
    assert_eq!(store.append(&messages()).unwrap_err().to_string(), "the disk is full");
    assert!(ArchiveStore::finish(&mut store).is_ok());
    assert_eq!(kept, [messages(), messages()].concat());
}

#[tokio::test]
async fn a_closure_that_returns_a_future_keeps_the_same() {
    let mut kept = Vec::new();
    let mut store = |checkpoint: Checkpoint| {
        kept.push(checkpoint);
        std::future::ready(if kept.len() < 2 { Ok(()) } else { Err("the disk is full") })
    };
    assert_eq!(AsyncCheckpointStore::load(&mut store).await.unwrap(), None);
    store.save(checkpoint()).await.unwrap();
    assert_eq!(store.save(checkpoint()).await.unwrap_err().to_string(), "the disk is full");
    assert!(AsyncCheckpointStore::remove(&mut store).await.is_ok());
    assert_eq!(kept, [checkpoint(), checkpoint()]);
    let mut kept = Vec::new();
    let mut store = |messages: Vec<DlqMessage>| {
        kept.extend(messages);
        std::future::ready(if kept.len() < 4 { Ok(()) } else { Err("the disk is full") })
    };
    store.append(messages()).await.unwrap();
    assert_eq!(store.append(messages()).await.unwrap_err().to_string(), "the disk is full");
    assert!(AsyncArchiveStore::finish(&mut store).await.is_ok());
    assert_eq!(kept, [messages(), messages()].concat());
}

/// What a test of a store makes up is what an operation hands out.
#[test]
fn a_batch_can_be_made_up() {
    let mut archived = BulkDelete::builder(endpoint(), Selection::Everything).build_archived();
    let Step::Send(id, _) = archived.poll(Duration::ZERO) else { panic!() };
    let page = archived.respond(id, &Response::new(r#"{"messages":[{"dlqId":"a"},{"dlqId":"b"}]}"#));
    let Ok(Event::Page(page)) = page else { panic!("{page:?}") };
    assert_eq!(page.batch, Some(Batch::new(0, messages())));
}
