//! What can happen, as plain data that proptest makes and shrinks.

use proptest::prelude::*;
use proptest::sample::select;
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::{FilterBuilder, Ids};
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{BulkDelete, Endpoint, Filter, RetryPolicy, Selection, Token, UnixMillis};
use upstash_dlq_emulator::{Fault, FaultPlan, Run, sample};

/// What becomes of one request, from the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chaos {
    /// It is sent; what the server makes of it is the fault plan's business.
    Deliver,
    /// No connection.
    NotSent,
    /// Its future is dropped before it is sent.
    DropBefore,
    /// Its future is dropped after it was sent.
    DropAfter,
    /// The process ends before it is sent, and another goes on from the file.
    CrashBefore,
    /// The process ends when it has been sent.
    CrashAfter,
    /// The process ends when its response was understood and the file written.
    CrashAfterResponse,
    /// The process ends in the next wait.
    CrashWaiting,
    /// It is taken back.
    CancelUnsent,
}

/// What is to be deleted.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Ids(Vec<String>),
    Filter(Wanted),
    Everything,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    from: Option<i64>,
    to: Option<i64>,
    created_at: Option<i64>,
    run_id: Option<String>,
    labels: Vec<String>,
    urls: Vec<String>,
    states: Vec<String>,
    ips: Vec<String>,
    keys: Vec<String>,
}

impl Target {
    /// The rules of the contract, read naively.
    pub(crate) fn wants(&self, run: &Run) -> bool {
        let wanted = match self {
            Self::Everything => return true,
            Self::Ids(ids) => return ids.contains(&run.dlq_id),
            Self::Filter(wanted) => wanted,
        };
        let one_of = |list: &Vec<String>, value: Option<&String>| {
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        };
        if wanted.from.is_some_and(|from| run.created_at < from) || wanted.to.is_some_and(|to| run.created_at > to) {
            return false;
        }
        if wanted.created_at.is_some_and(|at| run.workflow_created_at != at) {
            return false;
        }
        if wanted.run_id.as_ref().is_some_and(|prefix| !run.workflow_run_id.starts_with(prefix.as_str())) {
            return false;
        }
        (wanted.labels.is_empty() || run.labels.iter().any(|label| wanted.labels.contains(label)))
            && one_of(&wanted.urls, Some(&run.workflow_url))
            && one_of(&wanted.states, run.failure_function_state.as_ref())
            && one_of(&wanted.ips, Some(&run.caller_ip))
            && one_of(&wanted.keys, run.flow_control_key.as_ref())
    }

    pub(crate) fn selection(&self) -> Selection {
        match self {
            Self::Everything => Selection::Everything,
            Self::Ids(ids) => Selection::Ids(Ids::parse(ids.iter().cloned()).unwrap()),
            Self::Filter(wanted) => Selection::Filter(wanted.builder().build().unwrap()),
        }
    }
}

impl Wanted {
    fn builder(&self) -> FilterBuilder {
        let mut builder = Filter::builder();
        builder = self.from.map(UnixMillis::new).into_iter().fold(builder, FilterBuilder::from);
        builder = self.to.map(UnixMillis::new).into_iter().fold(builder, FilterBuilder::to);
        let created_at = self.created_at.map(UnixMillis::new);
        builder = created_at.into_iter().fold(builder, FilterBuilder::workflow_created_at);
        builder = self.run_id.iter().fold(builder, FilterBuilder::workflow_run_id);
        builder = self.labels.iter().fold(builder, FilterBuilder::label);
        builder = self.urls.iter().fold(builder, FilterBuilder::workflow_url);
        let states = self.states.iter().map(|state| FailureFunctionState::from(state.as_str()));
        builder = states.fold(builder, |builder, state| builder.failure_function_state(&state));
        builder = self.ips.iter().fold(builder, FilterBuilder::caller_ip);
        self.keys.iter().fold(builder, FilterBuilder::flow_control_key)
    }

    /// What every request has to hold besides `count` and `cursor`, in the order of the API's description.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut all = |name: &str, values: Vec<String>| pairs.extend(values.into_iter().map(|v| (name.to_owned(), v)));
        all("fromDate", self.from.iter().map(i64::to_string).collect());
        all("toDate", self.to.iter().map(i64::to_string).collect());
        all("workflowUrl", self.urls.clone());
        all("workflowRunId", self.run_id.iter().cloned().collect());
        all("workflowCreatedAt", self.created_at.iter().map(i64::to_string).collect());
        all("label", self.labels.clone());
        all("failureFunctionState", self.states.clone());
        all("callerIp", self.ips.clone());
        all("flowControlKey", self.keys.clone());
        pairs
    }

    /// Has one value of a run besides what it has, so that it matches something.
    fn like(mut self, run: &Run, which: u8) -> Self {
        match which {
            0 => self.from = Some(run.created_at),
            1 => self.to = Some(run.created_at),
            2 => self.created_at = Some(run.workflow_created_at),
            3 => self.run_id = run.workflow_run_id.get(..5).map(str::to_owned),
            4 | 5 => self.labels.extend(run.labels.first().cloned()),
            6 => self.urls.push(run.workflow_url.clone()),
            7 => self.states.extend(run.failure_function_state.clone()),
            8 => self.ips.push(run.caller_ip.clone()),
            _ => self.keys.extend(run.flow_control_key.clone()),
        }
        self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) runs: usize,
    pub(crate) seed: u64,
    pub(crate) offset_cursors: bool,
    pub(crate) target: Target,
    pub(crate) page_size: u32,
    pub(crate) max: Option<u64>,
    pub(crate) verify: bool,
    pub(crate) attempts: u32,
    pub(crate) rates: Vec<(u16, Fault)>,
    pub(crate) chaos: Vec<Chaos>,
}

impl Scenario {
    pub(crate) fn faults(&self) -> FaultPlan {
        FaultPlan::random(self.seed, self.rates.clone())
    }

    /// By ids, done means that each request got its response: the server is trusted about ids it did not touch.
    pub(crate) fn lies_about_ids(&self) -> bool {
        let lie = |fault: &Fault| matches!(fault, Fault::RepeatCursor | Fault::FreshCursor);
        matches!(self.target, Target::Ids(_)) && self.rates.iter().any(|(_, fault)| lie(fault))
    }

    pub(crate) fn delete(&self, token: &str) -> BulkBuilder<Delete> {
        let endpoint = Endpoint::new("http://127.0.0.1:8080", Token::new(token).unwrap()).unwrap();
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(self.attempts).unwrap());
        BulkDelete::builder(endpoint, self.target.selection())
            .page_size(NonZeroU32::new(self.page_size).unwrap())
            .max(self.max.and_then(NonZeroU64::new))
            .verify(self.verify)
            .retry(policy, self.seed)
    }
}

fn faults() -> impl Strategy<Value = Vec<(u16, Fault)>> {
    let fault = select(vec![
        Fault::LostRequest,
        Fault::LostResponse,
        Fault::LostResponse,
        Fault::TooManyRequests { retry_after_s: None },
        Fault::TooManyRequests { retry_after_s: Some(3) },
        Fault::ServerError(500),
        Fault::ServerError(503),
        Fault::AppliedServerError,
        Fault::CutBody,
        Fault::Html,
        Fault::HtmlGateway,
        Fault::NoDeleted,
        Fault::NegativeDeleted,
        Fault::RepeatCursor,
        Fault::FreshCursor,
        Fault::RefuseCursor,
        Fault::EndlessBody,
        Fault::Slow { ms: 900 },
        Fault::Silent,
    ]);
    // A third of the worlds is well behaved, so that exact counts are looked at often.
    prop_oneof![1 => Just(Vec::new()), 2 => prop::collection::vec((0..200_u16, fault), 0..5)]
}

fn chaos() -> impl Strategy<Value = Vec<Chaos>> {
    let one = prop_oneof![
        12 => Just(Chaos::Deliver),
        1 => Just(Chaos::NotSent),
        1 => Just(Chaos::DropBefore),
        1 => Just(Chaos::DropAfter),
        1 => Just(Chaos::CrashBefore),
        1 => Just(Chaos::CrashAfter),
        2 => Just(Chaos::CrashAfterResponse),
        2 => Just(Chaos::CrashWaiting),
        2 => Just(Chaos::CancelUnsent),
    ];
    let harmless = select(vec![Chaos::Deliver, Chaos::CrashAfterResponse, Chaos::CancelUnsent, Chaos::NotSent]);
    prop_oneof![prop::collection::vec(one, 0..40), prop::collection::vec(harmless, 0..20), Just(Vec::new())]
}

fn target(runs: usize, seed: u64) -> impl Strategy<Value = Target> {
    let sample = sample::runs(runs.max(1), seed, super::NOW);
    let other = sample.clone();
    let filter = prop::collection::vec((any::<prop::sample::Index>(), 0..10_u8), 1..4).prop_map(move |like| {
        let wanted = like.iter().fold(Wanted::default(), |wanted, (at, which)| wanted.like(at.get(&sample), *which));
        // The window may have come out backwards; and a run without the value adds no condition.
        let wanted = match (wanted.from, wanted.to) {
            (Some(from), Some(to)) if from > to => Wanted { from: Some(to), to: Some(from), ..wanted },
            _ => wanted,
        };
        if wanted.pairs().is_empty() { Target::Everything } else { Target::Filter(wanted) }
    });
    let ids = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 0..400_usize), 1..40).prop_map(
        move |picked| {
            let id = |(at, there, pad): &(prop::sample::Index, bool, usize)| {
                let id = &at.get(&other).dlq_id;
                if *there { id.clone() } else { format!("{id}-gone{}", "x".repeat(*pad)) }
            };
            Target::Ids(picked.iter().map(id).collect())
        },
    );
    prop_oneof![3 => filter, 2 => Just(Target::Everything), 2 => ids]
}

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    (prop_oneof![0..12_usize, 0..300_usize], 0..1_000_u64).prop_flat_map(|(runs, seed)| {
        let options = (
            any::<bool>(),
            prop_oneof![1..8_u32, 1..60_u32],
            prop::option::of(1..120_u64),
            prop::bool::weighted(0.8),
            2..9_u32,
        );
        (target(runs, seed), options, faults(), chaos()).prop_map(move |(target, options, rates, chaos)| {
            let (offset_cursors, page_size, max, verify, attempts) = options;
            Scenario { runs, seed, offset_cursors, target, page_size, max, verify, attempts, rates, chaos }
        })
    })
}
