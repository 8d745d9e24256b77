//! An axum route that deletes for its caller. When the caller goes away, axum drops the handler's future in the middle. The
//! application has the checkpoint, so the next caller's request continues from there, and the counts add up.

use axum::{Router, extract::State, http::StatusCode, routing::post};
use std::{error::Error, sync::Arc};
use tokio::{net::TcpListener, sync::Mutex, task::yield_now};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::Client;
use upstash_dlq_reqwest::core::client::{AsyncCheckpointStore, StoreResult};
use upstash_dlq_reqwest::core::{Checkpoint, Endpoint, Selection, Token};

/// The last checkpoint, in memory. One in a database survives the process, too.
struct Last(Option<Checkpoint>);

impl AsyncCheckpointStore for &mut Last {
    async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        Ok(self.0.clone())
    }

    async fn save(&mut self, checkpoint: Checkpoint) -> StoreResult {
        self.0 = Some(checkpoint);
        Ok(())
    }

    async fn remove(&mut self) -> StoreResult {
        self.0 = None;
        Ok(())
    }
}

async fn cleanup(State((client, last)): State<(Client, Arc<Mutex<Last>>)>) -> Result<String, StatusCode> {
    // One clean-up at a time. A handler that is dropped lets go of the lock.
    let mut last = last.lock().await;
    let outcome = client.delete(Selection::Everything).checkpoint(&mut *last).run().await;
    let outcome = outcome.into_result().inspect_err(|error| eprintln!("{error}"));
    let totals = outcome.map_err(|_| StatusCode::BAD_GATEWAY)?.totals;
    Ok(format!("{} deleted, {} unconfirmed", totals.affected, totals.unconfirmed))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let third_is_silent = FaultPlan::script(vec![None, None, Some(Fault::Silent)]);
    let mut service = Service::new(Config::default().faults(third_is_silent));
    service.extend(sample::runs(450, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    let app = Router::new().route("/cleanup", post(cleanup)).with_state((client, Arc::new(Mutex::new(Last(None)))));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/cleanup", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    let browser = reqwest::Client::builder().no_proxy().build()?;
    tokio::select! {
        response = browser.post(&url).send() => return Err(format!("it came to an end: {response:?}").into()),
        () = async { while server.with_service(|service| service.requests_total()) < 3 { yield_now().await } } => {}
    }
    assert_eq!(browser.post(&url).send().await?.text().await?, "450 deleted, 1 unconfirmed");
    assert_eq!(server.with_service(|service| service.deleted_total()), 450);
    Ok(())
}
