//! A restart that is stopped in the middle, and a second one that continues from its checkpoint file. No run is started twice.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_store::CheckpointFile;
use upstash_dlq_ureq::Client;
use upstash_dlq_ureq::core::{BulkRestart, Endpoint, Event, Halt, Outcome, Selection, Token};

/// A signal handler would set it.
static STOP: AtomicBool = AtomicBool::new(false);

fn restart_everything(client: &Client, checkpoint: &Path) -> Result<Outcome, Box<dyn Error>> {
    let restart = client
        .restart(Selection::Everything)
        .checkpoint(CheckpointFile::open(checkpoint)?)
        .stop_when(|| STOP.load(Ordering::Relaxed))
        .observe(|restart: &BulkRestart, _: &Event<_>| {
            // Here, somebody presses Ctrl-C after 150 runs.
            STOP.store(restart.totals().affected == 150, Ordering::Relaxed);
        });
    Ok(restart.run())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(400, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
    let folder = tempfile::tempdir()?;
    let checkpoint = folder.path().join("restart.checkpoint");

    let stopped = restart_everything(&client, &checkpoint)?;
    assert_eq!((stopped.halted, stopped.totals.affected), (Some(Halt::Stopped), 150));
    assert!(checkpoint.exists());

    STOP.store(false, Ordering::Relaxed);
    let completed = restart_everything(&client, &checkpoint)?.into_result()?;
    assert_eq!(completed.totals.affected, 400, "the totals continue, too");
    assert_eq!(server.with_service(|service| service.started().count()), 400);
    assert!(!checkpoint.exists());
    Ok(())
}
