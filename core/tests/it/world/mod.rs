//! The emulator's model of the service on the other end of many lanes, in virtual time, with answers in any order.

use http::{Request, Response};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::{
    Delivery, Endpoint, Event, Filter, FleetStep, LaneId, Lanes, RetryPolicy, Selection, Token, UnixMillis,
};
use upstash_dlq_emulator::{Config, FaultPlan, Run, Service, Wire, sample};

pub(crate) const NOW: i64 = 1_764_000_000_000;
pub(crate) const TOKEN: &str = "token";

pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let deep = std::env::var_os("DLQ_DEEP").is_some();
    ProptestConfig {
        cases: if deep { usual * 50 } else { usual },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new("http://127.0.0.1:1", Token::new(TOKEN).unwrap()).unwrap()
}

pub(crate) fn policy() -> RetryPolicy {
    RetryPolicy { max_attempts: NonZeroU32::new(12).unwrap(), ..RetryPolicy::default() }
}

pub(crate) fn lanes(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) clock: Duration,
    pub(crate) dice: u64,
    /// What came of the requests that are out.
    pub(crate) out: BTreeMap<LaneId, Option<Response<Vec<u8>>>>,
    pub(crate) most_out: usize,
    pub(crate) requests: u64,
}

impl World {
    pub(crate) fn new(service: Service, seed: u64) -> Self {
        Self { service, clock: Duration::ZERO, dice: seed | 1, out: BTreeMap::new(), most_out: 0, requests: 0 }
    }

    pub(crate) fn dice(&mut self, below: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice % (below as u64)).unwrap()
    }

    pub(crate) fn deliver(&mut self, lane: LaneId, request: &Request<()>) {
        let mut arriving = Request::new(Vec::new());
        *arriving.method_mut() = request.method().clone();
        *arriving.uri_mut() = request.uri().clone();
        *arriving.headers_mut() = request.headers().clone();
        self.requests += 1;
        let now = NOW + i64::try_from(self.clock.as_millis()).unwrap();
        let mut response = self.service.handle(now, arriving);
        let answer = match response.extensions().get::<Wire>() {
            None | Some(Wire::Delay(_)) => Some(response),
            Some(Wire::CutBody) => {
                let half = response.body().len() / 2;
                response.body_mut().truncate(half);
                Some(response)
            }
            Some(_) => None,
        };
        assert!(self.out.insert(lane, answer).is_none(), "a lane with two requests");
        self.most_out = self.most_out.max(self.out.len());
    }

    /// Whoever drove has gone, with the requests that were out; somebody else goes on, whose clock begins anew.
    pub(crate) fn another_driver<L: Lanes>(&mut self, lanes: &mut L) -> u64 {
        let lost = self.out.len() as u64;
        self.out.clear();
        lanes.abandon();
        self.clock = Duration::ZERO;
        lost
    }

    /// Any one of the answers that are out.
    pub(crate) fn answer<L: Lanes>(&mut self, lanes: &mut L) -> Event<L::Page> {
        let at = self.dice(self.out.len());
        let lane = *self.out.keys().nth(at).unwrap();
        self.clock += Duration::from_millis(20);
        match self.out.remove(&lane).unwrap() {
            Some(response) => lanes.on_response(lane, &response).unwrap(),
            None => lanes.on_failure(lane, Delivery::Unknown.into()).unwrap(),
        }
    }

    /// To the end, or for so many steps. Looks on before each, and at what comes of each answer.
    pub(crate) fn run<L: Lanes>(
        &mut self,
        lanes: &mut L,
        steps: usize,
        mut look: impl FnMut(&L, Option<&Event<L::Page>>),
    ) -> Option<L::Outcome> {
        for _ in 0..steps {
            look(lanes, None);
            let answers = match lanes.poll(self.clock) {
                FleetStep::Done(outcome) => {
                    assert!(self.out.is_empty(), "done with requests out");
                    return Some(outcome);
                }
                FleetStep::Send(lane, request) => {
                    self.deliver(lane, &request);
                    // Sometimes an answer comes before the next request goes.
                    self.dice(3) == 0
                }
                FleetStep::WaitUntil(at) => {
                    assert!(at > self.clock);
                    assert!(at - self.clock < Duration::from_secs(62), "a time of another clock");
                    if self.out.is_empty() {
                        self.clock = at;
                    }
                    !self.out.is_empty()
                }
                FleetStep::Idle => {
                    assert!(!self.out.is_empty(), "idle with nothing out: it would wait for ever");
                    true
                }
            };
            if answers {
                let event = self.answer(lanes);
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
    let mut service = Service::new(Config { token: TOKEN.into(), ..config });
    sample::runs(runs, 11, NOW).into_iter().for_each(|run| service.insert(run));
    // Beyond both ends of what a lane's window would be without open ends.
    for (n, at) in [i64::MIN, 0, NOW - 93 * 86_400_000, NOW + 1, i64::MAX].into_iter().enumerate() {
        service.insert(Run {
            dlq_id: format!("far-{n}"),
            created_at: at,
            labels: vec!["nightly".into()],
            ..Run::default()
        });
    }
    service
}

pub(crate) fn faults() -> impl Strategy<Value = FaultPlan> {
    (prop::sample::select(vec!["none", "flaky", "lost-answers", "garbage"]), any::<u64>())
        .prop_map(|(profile, seed)| FaultPlan::profile(profile, seed).unwrap())
}

pub(crate) fn runs_at(times: impl Iterator<Item = i64>) -> Vec<Run> {
    times.enumerate().map(|(n, at)| Run { dlq_id: format!("r{n}"), created_at: at, ..Run::default() }).collect()
}
