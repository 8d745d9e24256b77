//! The shared suite's driver over ureq.

use crate::suite;
use http::{Request, Response};
use std::time::Duration;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::{BulkOperation, Call, List, Overrides};
use upstash_dlq_core::{
    DlqId, DlqMessage, Driven, Endpoint, Event, Halt, Outcome, RetryPolicy, Selection, TransportFailure,
};
use upstash_dlq_ureq::Client;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::typestate::AgentScope;

pub(crate) struct Ureq;

impl suite::Driver for Ureq {
    fn send(
        endpoint: &Endpoint,
        timeout: Duration,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        Client::builder(endpoint.clone()).timeout(timeout).build().unwrap().send(request)
    }

    fn send_with(
        endpoint: &Endpoint,
        setup: &suite::Setup,
        request: Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        let builder = Client::builder(endpoint.clone()).timeout(setup.timeout).connect_timeout(setup.connect_timeout);
        let proxy = setup.proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy).unwrap());
        let builder = builder.configure(|config| if setup.trusting { trusting(config) } else { config }.proxy(proxy));
        builder.build().unwrap().send(request)
    }

    fn build(endpoint: &Endpoint) -> Result<(), String> {
        Client::new(endpoint.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn debug(endpoint: &Endpoint) -> String {
        format!("{:?} {:?}", Client::builder(endpoint.clone()), Client::new(endpoint.clone()).unwrap())
    }

    fn delete(endpoint: &Endpoint, timeout: Duration, selection: Selection, policy: RetryPolicy) -> Outcome {
        Client::builder(endpoint.clone()).timeout(timeout).build().unwrap().delete(selection).retry(policy).run()
    }

    fn list(endpoint: &Endpoint, list: List) -> Result<Vec<DlqMessage>, Halt> {
        Client::new(endpoint.clone()).unwrap().list(list).items().collect()
    }

    fn call<C: Call>(endpoint: &Endpoint, call: C) -> Result<C::Output, Halt> {
        Client::new(endpoint.clone()).unwrap().call(call).run()
    }

    fn run<O: BulkOperation>(endpoint: &Endpoint, bulk: &mut Bulk<O>) -> (Vec<O::Page>, Outcome) {
        let mut pages = Vec::new();
        let driven = Client::new(endpoint.clone()).unwrap().run(bulk, &mut |_: &Bulk<O>, event: &Event<O::Page>| {
            if let Event::Page(page) = event {
                pages.push(page.clone());
            }
        });
        let Driven::Done(outcome) = driven else { panic!() };
        (pages, outcome)
    }

    fn delete_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        Client::new(endpoint.clone()).unwrap().delete(selection).retry(suite::fast(20)).lanes(lanes).run()
    }

    fn resume_on(endpoint: &Endpoint, selection: Selection, lanes: usize) -> Outcome {
        Client::new(endpoint.clone()).unwrap().resume(selection).retry(suite::fast(2)).lanes(lanes).run()
    }

    fn count(endpoint: &Endpoint, list: List, lanes: usize) -> Result<u64, Halt> {
        let outcome = Client::new(endpoint.clone()).unwrap().count(list).lanes(lanes).run();
        outcome.halted.map_or(Ok(outcome.listed), Err)
    }

    fn each(endpoint: &Endpoint, id: &DlqId, overrides: &Overrides) -> Vec<Result<String, Halt>> {
        let client = Client::new(endpoint.clone()).unwrap();
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
