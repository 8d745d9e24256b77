//! Archives runs in a store of one's own before they are deleted. Here it is a table of ids and documents, as a database has. What
//! the store refuses is not deleted.

use std::collections::BTreeMap;
use std::error::Error;
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;
use upstash_dlq_ureq::core::client::{ArchiveStore, StoreResult};
use upstash_dlq_ureq::core::{DlqMessage, Endpoint, Halt, Selection, Token};

/// Stands for a database.
struct Database {
    failed_runs: BTreeMap<String, String>,
    max_rows: usize,
}

struct Archive<'a>(&'a mut Database);

impl ArchiveStore for Archive<'_> {
    /// In one transaction: all of the messages are kept, or none.
    fn append(&mut self, messages: &[DlqMessage]) -> StoreResult {
        let Database { failed_runs, max_rows } = self.0;
        if failed_runs.len() + messages.len() > *max_rows {
            return Err(format!("the table is full: it has room for {max_rows} rows").into());
        }
        for message in messages {
            let id = message.dlq_id().ok_or("a message without an id")?;
            // After a crash, a run may come again. It replaces its row.
            failed_runs.insert(id.to_string(), message.as_json().to_owned());
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;

    let mut database = Database { failed_runs: BTreeMap::new(), max_rows: 120 };
    let outcome = client.delete(Selection::Everything).archive(Archive(&mut database)).run();
    assert!(matches!(outcome.halted, Some(Halt::StoreFailed(_))));
    assert_eq!(database.failed_runs.len() + server.with_service(|service| service.len()), 250);

    database.max_rows = 1_000;
    let outcome = client.delete(Selection::Everything).archive(Archive(&mut database)).run();
    assert!(outcome.halted.is_none() && outcome.verified);
    assert_eq!((database.failed_runs.len(), server.with_service(|service| service.len())), (250, 0));
    Ok(())
}
