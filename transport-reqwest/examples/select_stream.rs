//! A resume as a stream in a `select!` loop, beside a signal to shut down. The signal comes while a request is in flight. A person
//! looks whether it was carried out, says so, and the rest is resumed: each run once.

use futures_util::StreamExt;
use std::error::Error;
use std::sync::Arc;
use tokio::sync::oneshot;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::Client;
use upstash_dlq_reqwest::core::{Checkpoint, Endpoint, Selection, Settlement, Token};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The third request is carried out at once, and its response comes late.
    let faults = FaultPlan::script(vec![None, None, Some(Fault::Slow { ms: 20_000 })]);
    let mut service = Service::new(Config::default().faults(faults));
    service.extend(sample::runs(250, 1, 1_764_000_000_000));
    let server = Arc::new(Server::start(service, ServerOptions::default())?);
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;

    let (shut_down, mut shutdown) = oneshot::channel();
    let watched = Arc::clone(&server);
    tokio::spawn(async move {
        while watched.with_service(|service| service.requests_total()) < 3 {
            tokio::task::yield_now().await;
        }
        shut_down.send(())
    });

    let mut pages = client.resume(Selection::Everything).pages();
    let mut told = 0;
    loop {
        tokio::select! {
            page = pages.next() => match page {
                Some(page) => told += page?.started.len(),
                None => break,
            },
            _ = &mut shutdown => break,
        }
    }
    let kept = pages.into_operation().checkpoint().to_json();
    println!("{told} runs are resumed. Checkpoint: {kept}");

    // Later, in another process.
    let resume = || -> Result<_, Box<dyn Error>> {
        Ok(client.resume(Selection::Everything).resume_from(Checkpoint::from_json(kept.as_bytes())?))
    };
    let looked_at = resume()?.into_operation().await?;
    println!("Were these carried out? {:?}", looked_at.in_doubt());
    let started = server.with_service(|service| service.started().count());
    let settlement = if started > told { Settlement::Applied } else { Settlement::NotApplied };
    let resumed = resume()?.settle(settlement).run().await.into_result()?;

    let (started, left) = server.with_service(|service| (service.started().count(), service.len()));
    assert_eq!((told, started, left), (100, 250, 0), "each run was started once");
    assert_eq!((resumed.totals.affected, resumed.totals.unconfirmed), (200, 1));
    Ok(())
}
