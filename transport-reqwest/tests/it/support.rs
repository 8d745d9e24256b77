//! The service's model in memory and a client of it, stores in memory, and futures that are dropped in the middle.
//!
//! No test that uses this waits: time is paused, and goes on when nothing else does.

use http::{Request, Response};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::yield_now;
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore, AsyncTransport, StoreResult};
use upstash_dlq_core::client::{MAX_BODY, response_too_large};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::{Checkpoint, Delivery, DlqMessage, Endpoint, Selection, Token, TransportFailure};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, Wire, sample};
use upstash_dlq_reqwest::Client;

pub(crate) const NOW: i64 = 1_764_000_000_000;

/// The service without a network. Clones share it.
#[derive(Clone)]
pub(crate) struct Model(Arc<Mutex<Service>>);

impl Model {
    pub(crate) fn with_service<R>(&self, f: impl FnOnce(&mut Service) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

impl AsyncTransport for Model {
    async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        // Dropped here, the request never arrives.
        yield_now().await;
        let (mut response, number) = self.with_service(|service| {
            let response = service.handle(NOW, request.map(|()| Vec::new()));
            (response, service.requests_total())
        });
        // Dropped here, it was carried out, and nobody knows. Responses overtake each other.
        for _ in 0..=number % 3 {
            yield_now().await;
        }
        match response.extensions_mut().remove::<Wire>() {
            Some(Wire::CloseBeforeResponse { .. } | Wire::CutBody) => Err(Delivery::Unknown.into()),
            Some(Wire::Endless) => Err(response_too_large(MAX_BODY)),
            Some(Wire::Silent) => std::future::pending().await,
            Some(Wire::Delay(millis)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok(response)
            }
            None => Ok(response),
        }
    }
}

fn service(runs: usize, config: Config) -> Service {
    let mut service = Service::new(config);
    service.extend(sample::runs(runs, 1, NOW));
    service
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url, Token::new(LOCAL_TOKEN).unwrap()).unwrap()
}

pub(crate) fn serve_with(runs: usize, config: Config) -> (Model, Client) {
    let model = Model(Arc::new(Mutex::new(service(runs, config))));
    let client = Client::with_transport(endpoint("https://service.invalid"), model.clone());
    (model, client)
}

pub(crate) fn serve(runs: usize) -> (Model, Client) {
    serve_with(runs, Config::default())
}

/// On a socket, for `driver::block_on`: there time goes on by itself.
pub(crate) fn serve_on_a_socket(runs: usize) -> (Server, Client) {
    let server = Server::start(service(runs, Config::default()), ServerOptions::default()).unwrap();
    let client = Client::new(endpoint(&server.url())).unwrap();
    (server, client)
}

/// The first `count` runs, by their ids.
pub(crate) fn ids(model: &Model, count: usize) -> Ids {
    Ids::parse(model.with_service(|s| s.runs().take(count).map(|run| run.dlq_id.clone()).collect::<Vec<_>>())).unwrap()
}

pub(crate) fn by_ids(model: &Model, count: usize) -> Selection {
    Selection::Ids(ids(model, count))
}

pub(crate) fn requests(model: &Model) -> u64 {
    model.with_service(|service| service.requests_total())
}

/// Runs the future with its time paused. When everything waits, the next wait is over.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10_000), future).await.expect("it hangs") })
}

/// Polls a future so many times, then drops it.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn yield_often() {
    for _ in 0..2 {
        yield_now().await;
    }
}

/// A store that counts its calls, and fails at one of them. Clones share what is stored.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Stored>>);

#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) checkpoint: Option<String>,
    pub(crate) archived: BTreeSet<String>,
    pub(crate) calls: Vec<&'static str>,
    pub(crate) fail_at: Option<usize>,
}

impl Memory {
    pub(crate) fn failing_at(call: usize) -> Self {
        let memory = Self::default();
        memory.with(|stored| stored.fail_at = Some(call));
        memory
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Stored) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    /// How many calls of this name have succeeded.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.with(|stored| {
            let failed = stored.fail_at.filter(|at| *at < stored.calls.len());
            let calls = stored.calls.iter().enumerate();
            calls.filter(|(at, call)| **call == name && Some(*at) != failed).count() as u64
        })
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.with(|stored| stored.fail_at.is_some_and(|at| at < stored.calls.len()))
    }

    async fn call<R>(&self, name: &'static str, act: impl FnOnce(&mut Stored) -> R) -> StoreResult<R> {
        yield_often().await;
        let result = self.with(|stored| {
            let fails = stored.fail_at == Some(stored.calls.len());
            stored.calls.push(name);
            if fails { Err("the disk is full".into()) } else { Ok(act(stored)) }
        });
        yield_often().await;
        result
    }
}

impl AsyncCheckpointStore for Memory {
    async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        let json = self.call("load", |stored| stored.checkpoint.clone()).await?;
        Ok(json.map(|json| Checkpoint::from_json(json.as_bytes())).transpose()?)
    }

    async fn save(&mut self, checkpoint: Checkpoint) -> StoreResult {
        self.call("save", |stored| stored.checkpoint = Some(checkpoint.to_json())).await
    }

    async fn remove(&mut self) -> StoreResult {
        self.call("remove", |stored| stored.checkpoint = None).await
    }
}

impl AsyncArchiveStore for Memory {
    async fn append(&mut self, messages: Vec<DlqMessage>) -> StoreResult {
        let ids = messages.iter().filter_map(DlqMessage::dlq_id).map(|id| id.as_str().to_owned());
        self.call("append", |stored| stored.archived.extend(ids)).await
    }

    async fn finish(&mut self) -> StoreResult {
        self.call("finish", |_| ()).await
    }
}
