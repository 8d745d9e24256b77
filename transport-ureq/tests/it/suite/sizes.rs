//! Messages of any size: a bound for one message, and one budget for all lanes.

use super::wire::{Reply, Wire};
use super::{Driver, Setup, endpoint};
use http::{Request, Response};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::{Call, GetMessage, List};
use upstash_dlq_core::{BulkDelete, Delivery, DlqId, Endpoint, Operation, Selection, Step, TransportFailure};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Server, ServerOptions, Service, sample};

/// More than is free of the budget.
const LARGE: usize = 1_100_000;

fn get(endpoint: &Endpoint) -> Request<()> {
    GetMessage(DlqId::new("a").unwrap()).to_request(endpoint).unwrap()
}

fn page(endpoint: &Endpoint, size: u32) -> Request<()> {
    List::everything().page_size(size).to_request(endpoint).unwrap()
}

fn send<D: Driver>(
    reply: Reply,
    setup: &Setup,
    request: impl Fn(&Endpoint) -> Request<()>,
) -> Result<Response<Vec<u8>>, TransportFailure> {
    let wire = Wire::start(vec![reply]);
    let endpoint = endpoint(&wire.url());
    D::send_with(&endpoint, setup, request(&endpoint))
}

pub(crate) fn one_message_may_be_larger_than_a_page<D: Driver>() {
    // Below what is free of the budget, and above it.
    for bounds in [(1_000, 5_000), (LARGE, LARGE + 1_000)] {
        let setup = Setup { max_body: bounds.0, max_message_body: bounds.1, body_budget: 1, ..Setup::default() };
        for reply in [Reply::Sized as fn(usize) -> Reply, Reply::Chunked, Reply::UntilTheEnd] {
            let fits = |request: &dyn Fn(&Endpoint) -> Request<()>, bound: usize| {
                let whole = send::<D>(reply(bound), &setup, request).unwrap();
                assert_eq!(whole.body().len(), bound);
                let failure = send::<D>(reply(bound + 1), &setup, request).unwrap_err();
                assert_eq!((failure.delivery, failure.larger_than), (Delivery::Unknown, Some(bound as u64)));
            };
            fits(&get, bounds.1);
            if bounds.0 < LARGE {
                fits(&|endpoint| page(endpoint, 1), bounds.1);
                fits(&|endpoint| page(endpoint, 2), bounds.0);
            }
        }
    }
    // The bound of a page is never the larger one.
    let setup = Setup { max_body: 3_000, max_message_body: 1_000, ..Setup::default() };
    assert_eq!(send::<D>(Reply::Sized(3_000), &setup, get).unwrap().body().len(), 3_000);
    // No byte of the body ever comes.
    let promise = Reply::Bytes("HTTP/1.1 200 OK\r\ncontent-length: 67108865\r\n\r\n".into());
    let failure = send::<D>(promise, &Setup::default(), get).unwrap_err();
    assert_eq!(failure.message, "the response is larger than 64 MiB");
}

/// Each body is larger than a lane's share, or than the whole budget, and some are cut off.
pub(crate) fn lanes_share_a_budget_and_all_come_to_their_end<D: Driver>() {
    let mut service = Service::new(Config::default());
    let runs: Vec<_> = sample::runs(6, 1, 1_764_000_000_000).into_iter().map(|run| run.with_body_len(LARGE)).collect();
    let ids = Ids::parse(runs.iter().map(|run| run.dlq_id.clone())).unwrap();
    service.extend(runs);
    let server = Server::start(service, ServerOptions::default()).unwrap();
    for body_budget in [1, 2 * LARGE] {
        let faults = [None, Some(Fault::CutBody), None, None, Some(Fault::LostResponse), Some(Fault::CutBody)];
        server.with_service(|service| service.set_faults(FaultPlan::script(faults.to_vec())));
        let setup = Setup { body_budget, ..Setup::default() };
        let outcome = D::get_many(&endpoint(&server.url()), &setup, ids.clone(), 4);
        assert!(outcome.halted.is_none() && outcome.found == 6, "{outcome:?}");
        assert_eq!(outcome.totals.retries, 3);
    }
}

/// Nobody would know what became of it if its time was up.
pub(crate) fn a_change_is_never_kept_waiting<D: Driver>() {
    let setup = Setup { body_budget: 0, max_body: 2 * LARGE, ..Setup::default() };
    for reply in [Reply::Sized(LARGE), Reply::Chunked(LARGE)] {
        let change = |endpoint: &Endpoint| {
            let mut delete = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
            let Step::Send(_, request) = Operation::poll(&mut delete, std::time::Duration::ZERO) else { panic!() };
            request
        };
        assert_eq!(send::<D>(reply, &setup, change).unwrap().body().len(), LARGE);
    }
}
