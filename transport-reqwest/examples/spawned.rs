//! A delete on 16 lanes in a task of its own. A channel stops it: the requests in flight are awaited, and nothing is in doubt.
//! Another delete continues from the checkpoint of its outcome.

use std::convert::Infallible;
use std::error::Error;
use tokio::sync::{oneshot, watch};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::Client;
use upstash_dlq_reqwest::core::{Checkpoint, Endpoint, Halt, Selection, Token};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(5_000, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;

    // A store of one closure: it saves, and tells how many are deleted. An application would write to its database here.
    let (progress, mut deleted) = watch::channel(0);
    let save = move |checkpoint: Checkpoint| {
        progress.send_replace(checkpoint.totals().affected);
        async { Ok::<(), Infallible>(()) }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let delete = client.delete(Selection::Everything).page_size(10).lanes(16).checkpoint(save);
    // A channel that is closed stops it, too.
    let running = tokio::spawn(delete.stop_when(async { drop(stopped.await) }).run());

    // Here, somebody stops it after 1,000 runs.
    deleted.wait_for(|deleted| *deleted >= 1_000).await?;
    drop(stop);
    let outcome = running.await?;
    let so_far = outcome.totals.affected;
    assert_eq!((&outcome.halted, outcome.totals.unconfirmed), (&Some(Halt::Stopped), 0));
    assert_eq!(server.with_service(|service| service.deleted_total()), so_far);

    let checkpoint = outcome.checkpoint().cloned().ok_or("a bulk operation that was stopped has a checkpoint")?;
    let rest = client.delete(Selection::Everything).page_size(10).lanes(16).resume_from(checkpoint);
    let completed = rest.run().await.into_result()?;
    assert!(completed.verified && so_far < completed.totals.affected);
    assert_eq!((completed.totals.affected, server.with_service(|service| service.len())), (5_000, 0));
    Ok(())
}
