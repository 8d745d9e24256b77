//! Archives runs in an async database of one's own before they are deleted. A file that blocks does as well, on a thread where
//! it may.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::Mutex;
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::core::client::{AsyncArchiveStore, StoreResult};
use upstash_dlq_reqwest::core::{DlqMessage, Endpoint, Halt, Selection, Token};
use upstash_dlq_reqwest::{Blocking, Client};
use upstash_dlq_store::FoundArchive;

/// Stands for a pool of connections to a database: a table of ids and documents.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<BTreeMap<String, String>>>);

struct Archive {
    database: Database,
    max_rows: usize,
}

impl AsyncArchiveStore for Archive {
    /// In one transaction: all of the messages are kept, or none.
    async fn append(&mut self, messages: Vec<DlqMessage>) -> StoreResult {
        let mut rows = self.database.0.lock().await;
        if rows.len() + messages.len() > self.max_rows {
            return Err(format!("the table is full: it has room for {} rows", self.max_rows).into());
        }
        for message in messages {
            let id = message.dlq_id().ok_or("a message without an id")?;
            // After a crash, a run may come again. It replaces its row.
            rows.insert(id.to_string(), message.as_json().to_owned());
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;

    let database = Database::default();
    let archive = Archive { database: database.clone(), max_rows: 120 };
    let outcome = client.delete(Selection::Everything).archive(archive).run().await;
    assert!(matches!(outcome.halted, Some(Halt::StoreFailed(_))));
    let left = server.with_service(|service| service.len());
    assert_eq!(database.0.lock().await.len() + left, 250, "what was refused is not deleted");

    let folder = tempfile::tempdir()?;
    let archive = Blocking::new(FoundArchive::find(folder.path().join("runs.ndjson"))?.open()?);
    let completed = client.delete(Selection::Everything).archive(archive).run().await.into_result()?;
    assert_eq!((completed.archived, server.with_service(|service| service.len())), (left as u64, 0));
    Ok(())
}
