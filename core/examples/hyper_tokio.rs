//! A transport over hyper's own client on tokio, driven by `drive_async`.
//!
//! The client repeats nothing by itself, time and size are bounded, and only a failed connection counts as "not sent".

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use upstash_dlq_core::http::{Request, Response};
use upstash_dlq_core::{BulkResume, Endpoint, Selection, Token, TransportFailure, drive_async};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};

type HyperClient = Client<HttpConnector, Empty<&'static [u8]>>;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 16 * 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(120, 1, 1_764_000_000_000));
    let server = Server::start(service, ServerOptions::default())?;
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?;

    let client: HyperClient = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let mut resume = BulkResume::builder(endpoint, Selection::Everything).build();
    let start = Instant::now();
    let driven = drive_async(&mut resume, |request| send(&client, request), || start.elapsed(), sleep, &mut ()).await;
    assert_eq!(driven.into_outcome(&resume).into_result()?.totals.affected, 120);
    assert_eq!(server.with_service(|service| service.started().count()), 120);
    Ok(())
}

async fn send(client: &HyperClient, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
    let exchange = async {
        let response = client.request(request.map(|()| Empty::new())).await.map_err(|error| {
            if error.is_connect() { TransportFailure::not_sent(error) } else { TransportFailure::unknown(error) }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(TransportFailure::unknown)?;
        Ok(Response::from_parts(head, body.to_bytes().to_vec()))
    };
    timeout(TIMEOUT, exchange).await.map_err(TransportFailure::unknown)?
}
