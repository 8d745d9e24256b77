//! The simulated world: the emulator's model of the service, a virtual clock, a network that loses things, and a driver whose
//! responses come in any order. What should happen in it is worked out by naive filters that share no code with core.

pub(crate) mod history;
pub(crate) mod scenario;

use crate::one_lane::Respond;
use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::{Delivery, Endpoint, Event, Filter, Operation, RetryPolicy, Selection, Step, Token, UnixMillis};
use upstash_dlq_emulator::{Config, FaultPlan, Run, Service, Wire, sample};

pub(crate) const NOW: i64 = 1_764_000_000_000;
pub(crate) const TOKEN: &str = "token";

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new("http://127.0.0.1:1", Token::new(TOKEN).unwrap()).unwrap()
}

/// A network that loses three responses in ten loses so many in a row in none of a billion runs.
pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy::default().max_attempts(NonZeroU32::new(30).unwrap())
}

pub(crate) fn lanes(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) clock: Duration,
    pub(crate) dice: u64,
    /// What came of the requests in flight.
    pub(crate) in_flight: BTreeMap<RequestId, Option<Response<Vec<u8>>>>,
    pub(crate) most_in_flight: usize,
    pub(crate) requests: u64,
}

impl World {
    pub(crate) fn new(service: Service, seed: u64) -> Self {
        Self {
            service,
            clock: Duration::ZERO,
            dice: seed | 1,
            in_flight: BTreeMap::new(),
            most_in_flight: 0,
            requests: 0,
        }
    }

    pub(crate) fn dice(&mut self, below: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice % (below as u64)).unwrap()
    }

    /// The service's response, or `None` where none arrives.
    pub(crate) fn serve(&mut self, request: &Request<()>) -> Option<Response<Vec<u8>>> {
        let mut arriving = Request::new(Vec::new());
        *arriving.method_mut() = request.method().clone();
        *arriving.uri_mut() = request.uri().clone();
        *arriving.headers_mut() = request.headers().clone();
        self.requests += 1;
        let now = NOW + i64::try_from(self.clock.as_millis()).unwrap();
        let mut response = self.service.handle(now, arriving);
        match response.extensions().get::<Wire>() {
            None | Some(Wire::Delay(_)) => Some(response),
            Some(Wire::CutBody) => {
                let half = response.body().len() / 2;
                response.body_mut().truncate(half);
                Some(response)
            }
            Some(_) => None,
        }
    }

    pub(crate) fn deliver(&mut self, id: RequestId, request: &Request<()>) {
        let response = self.serve(request);
        assert!(self.in_flight.insert(id, response).is_none(), "two requests of one name");
        self.most_in_flight = self.most_in_flight.max(self.in_flight.len());
    }

    /// Whoever drove has gone, with the requests in flight; somebody else goes on, whose clock begins anew.
    pub(crate) fn another_driver<L: Operation>(&mut self, lanes: &mut L) -> u64 {
        let lost = self.in_flight.len() as u64;
        self.in_flight.clear();
        lanes.connection_lost();
        self.clock = Duration::ZERO;
        lost
    }

    /// Hands over any one of the responses that wait.
    pub(crate) fn respond<L: Operation>(&mut self, lanes: &mut L) -> Event<L::Page> {
        let at = self.dice(self.in_flight.len());
        let id = *self.in_flight.keys().nth(at).unwrap();
        self.clock += Duration::from_millis(20);
        match self.in_flight.remove(&id).unwrap() {
            Some(response) => lanes.respond(id, &response).unwrap(),
            None => lanes.on_failure(id, Delivery::Unknown.into()).unwrap(),
        }
    }

    /// To the end, or for so many steps. Looks on before each, and at what comes of each response.
    pub(crate) fn run<L: Operation>(
        &mut self,
        lanes: &mut L,
        steps: usize,
        mut look: impl FnMut(&L, Option<&Event<L::Page>>),
    ) -> Option<L::Outcome> {
        for _ in 0..steps {
            look(lanes, None);
            let responds = match lanes.poll(self.clock) {
                Step::Done(outcome) => {
                    assert!(self.in_flight.is_empty(), "done with requests in flight");
                    return Some(outcome);
                }
                Step::Send(id, request) => {
                    self.deliver(id, &request);
                    // Sometimes a response comes before the next request goes.
                    self.dice(3) == 0
                }
                Step::WaitUntil(at) => {
                    assert!(at > self.clock);
                    assert!(at - self.clock < Duration::from_secs(62), "a time of another clock");
                    if self.in_flight.is_empty() {
                        self.clock = at;
                    }
                    !self.in_flight.is_empty()
                }
                Step::AwaitResponse => {
                    assert!(!self.in_flight.is_empty(), "nothing is in flight: it would wait for ever");
                    true
                }
            };
            if responds {
                let event = self.respond(lanes);
                look(lanes, Some(&event));
            }
        }
        None
    }
}

pub(crate) fn matches(kind: u8, run: &Run) -> bool {
    match kind {
        0 => true,
        1 => run.labels.iter().any(|label| label == "nightly"),
        2 => (NOW - 3 * 86_400_000..=NOW - 86_400_000).contains(&run.created_at),
        _ => run.created_at <= NOW - 86_400_000,
    }
}

pub(crate) fn selection(kind: u8) -> Selection {
    let at = |ago: i64| UnixMillis::new(NOW - ago * 86_400_000);
    let filter = Filter::builder();
    match kind {
        0 => Selection::Everything,
        1 => Selection::Filter(filter.label("nightly").build().unwrap()),
        2 => Selection::Filter(filter.from(at(3)).to(at(1)).build().unwrap()),
        _ => Selection::Filter(filter.to(at(1)).build().unwrap()),
    }
}

pub(crate) fn service(runs: usize, config: Config) -> Service {
    let mut service = Service::new(config.token(TOKEN));
    sample::runs(runs, 11, NOW).into_iter().for_each(|run| service.insert(run));
    // Beyond both ends of what a lane's window would be without open ends.
    for (n, at) in [i64::MIN, 0, NOW - 93 * 86_400_000, NOW + 1, i64::MAX].into_iter().enumerate() {
        service.insert(Run::default().dlq_id(format!("far-{n}")).created_at(at).labels(vec!["nightly".into()]));
    }
    service
}

pub(crate) fn faults() -> impl Strategy<Value = FaultPlan> {
    (prop::sample::select(vec!["none", "flaky", "lost-responses", "garbage"]), any::<u64>())
        .prop_map(|(profile, seed)| FaultPlan::profile(profile, seed).unwrap())
}

pub(crate) fn runs_at(times: impl Iterator<Item = i64>) -> Vec<Run> {
    times.enumerate().map(|(n, at)| Run::default().dlq_id(format!("r{n}")).created_at(at)).collect()
}
