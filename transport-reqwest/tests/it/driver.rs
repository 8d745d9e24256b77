//! The shared suite's driver over reqwest, and what only a future can do.

use crate::own_transport::Counting;
use crate::suite;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::{Request, Response};
use reqwest::redirect::Policy;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;
use upstash_dlq_core::operation::{Bulk, GetManyOutcome};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Call, List, Overrides};
use upstash_dlq_core::{
    BulkDelete, DlqId, DlqMessage, Driven, Endpoint, Event, Halt, Outcome, RetryPolicy, Selection, Token,
    TransportFailure,
};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_reqwest::{Client, ClientBuilder};

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// How the suite's clients are built.
pub(crate) trait Build {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client;
    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client;
}

/// By our builder, or from a builder of the caller's.
pub(crate) struct Ours;

impl Build for Ours {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client {
        Client::builder(endpoint.clone()).timeout(timeout).build().unwrap()
    }

    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client {
        settings(endpoint, setup).http(theirs(setup)).build().unwrap()
    }
}

/// Around a ready client that is set up as the documentation says.
pub(crate) struct Ready;

impl Build for Ready {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client {
        Self::with(endpoint, &suite::Setup { timeout, ..suite::Setup::default() })
    }

    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client {
        let connect_timeout = setup.connect_timeout.min(setup.timeout / 2);
        let ready = theirs(setup).redirect(Policy::none()).connect_timeout(connect_timeout).build().unwrap();
        settings(endpoint, setup).client(ready).build().unwrap()
    }
}

/// Over a transport of the caller's: a middleware around ours.
pub(crate) struct Wrapped;

impl Build for Wrapped {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client {
        wrapped(endpoint, Client::builder(endpoint.clone()).timeout(timeout))
    }

    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client {
        wrapped(endpoint, settings(endpoint, setup).http(theirs(setup)))
    }
}

fn wrapped(endpoint: &Endpoint, ours: ClientBuilder) -> Client {
    Client::with_transport(endpoint.clone(), Counting::around(ours.build_transport().unwrap()))
}

fn settings(endpoint: &Endpoint, setup: &suite::Setup) -> ClientBuilder {
    let builder = Client::builder(endpoint.clone()).timeout(setup.timeout).connect_timeout(setup.connect_timeout);
    builder.max_body(setup.max_body).max_message_body(setup.max_message_body).body_budget(setup.body_budget)
}

fn theirs(setup: &suite::Setup) -> reqwest::ClientBuilder {
    let mut http = reqwest::Client::builder().no_proxy();
    #[cfg(target_os = "linux")]
    {
        // Otherwise the kernel tells of what is not acknowledged after half a minute.
        http = http.tcp_user_timeout(Duration::from_secs(1));
    }
    if let Some(proxy) = &setup.proxy {
        http = http.proxy(reqwest::Proxy::all(proxy).unwrap());
    }
    if setup.trusting {
        http = http.tls_certs_only([reqwest::Certificate::from_pem(suite::tls::CA.as_bytes()).unwrap()]);
    }
    http
}

pub(crate) struct Reqwest<B>(PhantomData<B>);

fn client<B: Build>(endpoint: &Endpoint) -> Client {
    B::usual(endpoint, suite::LONG)
}

impl<B: Build> suite::Driver for Reqwest<B> {
    fn send(
        endpoint: &Endpoint,
        timeout: Duration,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        block_on(B::usual(endpoint, timeout).send(request))
    }

    fn send_each<const N: usize>(
        endpoint: &Endpoint,
        setup: &suite::Setup,
        requests: [Request<()>; N],
    ) -> Vec<Result<Response<Vec<u8>>, TransportFailure>> {
        block_on(async {
            let client = B::with(endpoint, setup);
            let mut responses = Vec::new();
            for request in requests {
                responses.push(client.send(request).await);
            }
            responses
        })
    }

    fn build(endpoint: &Endpoint) -> Result<(), String> {
        Client::new(endpoint.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn debug(endpoint: &Endpoint) -> Vec<String> {
        let builder = || Client::builder(endpoint.clone());
        let ready = || {
            let ready = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
            builder().client(ready)
        };
        vec![
            format!("{:?}", builder()),
            format!("{:?}", ready()),
            format!("{:?}", builder().build_transport().unwrap()),
            format!("{:?}", ready().build_transport().unwrap()),
            format!("{:?}", client::<B>(endpoint)),
            format!("{:?}", client::<B>(endpoint).delete(Selection::Everything)),
        ]
    }

    fn delete(endpoint: &Endpoint, timeout: Duration, selection: Selection, policy: RetryPolicy) -> Outcome {
        block_on(B::usual(endpoint, timeout).delete(selection).retry(policy).run())
    }

    fn list(endpoint: &Endpoint, list: List) -> Result<Vec<DlqMessage>, Halt> {
        block_on(client::<B>(endpoint).list(list).items().try_collect())
    }

    fn call<C: Call>(endpoint: &Endpoint, call: C) -> Result<C::Output, Halt> {
        block_on(client::<B>(endpoint).call(call).run())
    }

    fn run<O: BulkOperation>(endpoint: &Endpoint, bulk: &mut Bulk<O>) -> (Vec<O::Page>, Outcome) {
        let mut pages = Vec::new();
        let client = client::<B>(endpoint);
        let driven = block_on(client.run(bulk, &mut |_: &Bulk<O>, event: &Event<O::Page>| {
            if let Event::Page(page) = event {
                pages.push(page.clone());
            }
        }));
        let Driven::Done(outcome) = driven else { panic!() };
        (pages, outcome)
    }

    fn delete_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        let client = client::<B>(endpoint);
        block_on(client.delete(selection).retry(suite::fast(20)).lanes(lanes).run())
    }

    fn resume_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        let client = client::<B>(endpoint);
        block_on(client.resume(selection).retry(suite::fast(2)).lanes(lanes).run())
    }

    fn count(endpoint: &Endpoint, list: List, lanes: usize) -> Result<u64, Halt> {
        let client = client::<B>(endpoint);
        let outcome = block_on(client.count(list).lanes(lanes).run());
        outcome.halted.map_or(Ok(outcome.listed), Err)
    }

    fn get_many(endpoint: &Endpoint, setup: &suite::Setup, ids: Ids, lanes: usize) -> GetManyOutcome {
        let client = B::with(endpoint, setup);
        block_on(client.get_many(ids).retry(suite::fast(20)).lanes(lanes).run())
    }

    fn each(endpoint: &Endpoint, id: &DlqId, overrides: &Overrides) -> Vec<Result<String, Halt>> {
        let client = client::<B>(endpoint);
        let id = || id.clone();
        block_on(async {
            vec![
                client.get(id()).await.map(|message| message.as_json().to_owned()),
                client.delete_one(id()).await.map(|()| "()".into()),
                client.resume_one(id(), overrides.clone()).await.map(|run| run.workflow_run_id),
                client.restart_one(id(), overrides.clone()).await.map(|run| run.workflow_run_id),
                client.retry_callback(id()).await.map(|run| run.workflow_run_id),
                client.cancel_callback(id()).await.map(|()| "()".into()),
            ]
        })
    }
}

fn emulator(runs: usize) -> (Server, Endpoint) {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap();
    (server, endpoint)
}

#[test]
fn futures_can_be_spawned() {
    let (_server, endpoint) = emulator(120);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = Client::new(endpoint).unwrap();
    let outcome =
        runtime.block_on(async move { tokio::spawn(client.delete(Selection::Everything).run()).await.unwrap() });
    assert_eq!(outcome.totals.affected, 120);
}

#[test]
fn a_stream_deletes_only_as_far_as_it_is_asked() {
    let (server, endpoint) = emulator(250);
    let mut pages = Client::new(endpoint).unwrap().delete(Selection::Everything).pages();
    block_on(async {
        assert_eq!(pages.next().await.unwrap().unwrap().deleted, 100);
        assert_eq!(server.with_service(|s| s.deleted_total()), 100);
        assert_eq!(pages.operation().totals().affected, 100);
        let rest: Vec<_> = (&mut pages).try_collect().await.unwrap();
        assert_eq!(rest.iter().map(|page| page.deleted).sum::<u64>(), 150);
        assert!(pages.next().await.is_none());
    });
    assert_eq!(server.with_service(|s| s.len()), 0);
}

#[test]
fn a_dropped_future_counts_as_unknown_and_the_operation_continues() {
    let (server, endpoint) = emulator(150);
    let client = Client::new(endpoint.clone()).unwrap();
    let mut bulk = BulkDelete::builder(endpoint, Selection::Everything).build();
    let driven = block_on(async {
        // Polled once, so that the request is out, then dropped.
        assert!(client.run(&mut bulk, &mut |_: &_, _: &_| ()).now_or_never().is_none());
        client.run(&mut bulk, &mut |_: &_, _: &_| ()).await
    });
    let Driven::Done(outcome) = driven else { panic!("stopped") };
    assert!(outcome.halted.is_none() && outcome.verified && outcome.totals.unconfirmed == 1, "{outcome:?}");
    assert_eq!(server.with_service(|s| s.len()), 0);
}
