//! An emulator and a client of it, stores in memory, and futures that are dropped in the middle.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore, StoreResult};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::{Checkpoint, DlqMessage, Endpoint, Selection, Token};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::Client;

pub(crate) const NOW: i64 = 1_764_000_000_000;

pub(crate) fn serve_with(runs: usize, config: Config) -> (Server, Client) {
    let mut service = Service::new(config);
    sample::runs(runs, 1, NOW).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
    (server, client)
}

pub(crate) fn serve(runs: usize) -> (Server, Client) {
    serve_with(runs, Config::default())
}

/// The first `count` runs, by their ids.
pub(crate) fn ids(server: &Server, count: usize) -> Ids {
    Ids::parse(server.with_service(|s| s.runs().take(count).map(|run| run.dlq_id.clone()).collect::<Vec<_>>())).unwrap()
}

pub(crate) fn by_ids(server: &Server, count: usize) -> Selection {
    Selection::Ids(ids(server, count))
}

pub(crate) fn requests(server: &Server) -> u64 {
    server.with_service(|service| service.requests_total())
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs") })
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
        tokio::task::yield_now().await;
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
