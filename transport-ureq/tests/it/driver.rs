//! The shared suite's driver over ureq.

use crate::own_transport::Counting;
use crate::suite;
use http::{Request, Response};
use std::marker::PhantomData;
use std::time::Duration;
use upstash_dlq_core::operation::{Bulk, GetManyOutcome};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{BulkOperation, Call, List, Overrides};
use upstash_dlq_core::{
    DlqId, DlqMessage, Driven, Endpoint, Event, Halt, Outcome, RetryPolicy, Selection, TransportFailure,
};
use upstash_dlq_ureq::{Client, ClientBuilder};
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;

/// How the suite's clients are built.
pub(crate) trait Build {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client;
    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client;
}

/// By our builder.
pub(crate) struct Ours;

impl Build for Ours {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client {
        Client::builder(endpoint.clone()).timeout(timeout).build().unwrap()
    }

    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client {
        settings(endpoint, setup).build().unwrap()
    }
}

/// Over a transport of the caller's: a middleware around ours.
pub(crate) struct Wrapped;

impl Build for Wrapped {
    fn usual(endpoint: &Endpoint, timeout: Duration) -> Client {
        wrapped(endpoint, Client::builder(endpoint.clone()).timeout(timeout))
    }

    fn with(endpoint: &Endpoint, setup: &suite::Setup) -> Client {
        wrapped(endpoint, settings(endpoint, setup))
    }
}

fn wrapped(endpoint: &Endpoint, ours: ClientBuilder) -> Client {
    Client::with_transport(endpoint.clone(), Counting::around(ours.build_transport().unwrap()))
}

fn settings(endpoint: &Endpoint, setup: &suite::Setup) -> ClientBuilder {
    let builder = Client::builder(endpoint.clone()).timeout(setup.timeout).connect_timeout(setup.connect_timeout);
    let proxy = setup.proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy).unwrap());
    let builder = builder.configure(|config| if setup.trusting { trusting(config) } else { config }.proxy(proxy));
    builder.max_body(setup.max_body).max_message_body(setup.max_message_body).body_budget(setup.body_budget)
}

pub(crate) struct Ureq<B>(PhantomData<B>);

fn client<B: Build>(endpoint: &Endpoint) -> Client {
    B::usual(endpoint, suite::LONG)
}

impl<B: Build> suite::Driver for Ureq<B> {
    fn send(
        endpoint: &Endpoint,
        timeout: Duration,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        B::usual(endpoint, timeout).send(request)
    }

    fn send_each<const N: usize>(
        endpoint: &Endpoint,
        setup: &suite::Setup,
        requests: [Request<()>; N],
    ) -> Vec<Result<Response<Vec<u8>>, TransportFailure>> {
        let client = B::with(endpoint, setup);
        requests.into_iter().map(|request| client.send(request)).collect()
    }

    fn build(endpoint: &Endpoint) -> Result<(), String> {
        Client::new(endpoint.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn debug(endpoint: &Endpoint) -> Vec<String> {
        let builder = || Client::builder(endpoint.clone());
        let agent = || builder().agent(ureq::Agent::new_with_defaults());
        vec![
            format!("{:?}", builder()),
            format!("{:?}", agent()),
            format!("{:?}", builder().build_transport().unwrap()),
            format!("{:?}", agent().build_transport().unwrap()),
            format!("{:?}", client::<B>(endpoint)),
            format!("{:?}", client::<B>(endpoint).delete(Selection::Everything)),
        ]
    }

    fn delete(endpoint: &Endpoint, timeout: Duration, selection: Selection, policy: RetryPolicy) -> Outcome {
        B::usual(endpoint, timeout).delete(selection).retry(policy).run()
    }

    fn list(endpoint: &Endpoint, list: List) -> Result<Vec<DlqMessage>, Halt> {
        client::<B>(endpoint).list(list).items().collect()
    }

    fn call<C: Call>(endpoint: &Endpoint, call: C) -> Result<C::Output, Halt> {
        client::<B>(endpoint).call(call).run()
    }

    fn run<O: BulkOperation>(endpoint: &Endpoint, bulk: &mut Bulk<O>) -> (Vec<O::Page>, Outcome) {
        let mut pages = Vec::new();
        let driven = client::<B>(endpoint).run(bulk, &mut |_: &Bulk<O>, event: &Event<O::Page>| {
            if let Event::Page(page) = event {
                pages.push(page.clone());
            }
        });
        let Driven::Done(outcome) = driven else { panic!() };
        (pages, outcome)
    }

    fn delete_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        client::<B>(endpoint).delete(selection).retry(suite::fast(20)).lanes(lanes).run()
    }

    fn resume_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        client::<B>(endpoint).resume(selection).retry(suite::fast(2)).lanes(lanes).run()
    }

    fn count(endpoint: &Endpoint, list: List, lanes: usize) -> Result<u64, Halt> {
        let outcome = client::<B>(endpoint).count(list).lanes(lanes).run();
        outcome.halted.map_or(Ok(outcome.listed), Err)
    }

    fn get_many(endpoint: &Endpoint, setup: &suite::Setup, ids: Ids, lanes: usize) -> GetManyOutcome {
        B::with(endpoint, setup).get_many(ids).retry(suite::fast(20)).lanes(lanes).run()
    }

    fn each(endpoint: &Endpoint, id: &DlqId, overrides: &Overrides) -> Vec<Result<String, Halt>> {
        let client = client::<B>(endpoint);
        let id = || id.clone();
        vec![
            client.get(id()).map(|message| message.as_json().to_owned()),
            client.delete_one(id()).map(|()| "()".into()),
            client.resume_one(id(), overrides.clone()).map(|run| run.workflow_run_id),
            client.restart_one(id(), overrides.clone()).map(|run| run.workflow_run_id),
            client.retry_callback(id()).map(|run| run.workflow_run_id),
            client.cancel_callback(id()).map(|()| "()".into()),
        ]
    }
}

fn trusting(config: ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> {
    let provider = if cfg!(feature = "rustls") { TlsProvider::Rustls } else { TlsProvider::NativeTls };
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(suite::tls::CA.as_bytes()).unwrap()]);
    config.tls_config(TlsConfig::builder().provider(provider).root_certs(roots).build())
}
