//! What one process works with: its disk, its client, and what the schedule says about it.

use crate::client::end::Claim;
use crate::disk::{Life, ProcessDisk};
use crate::network::Network;
use crate::schedule::{Driving, Item, Settings, Target, Words};
use crate::world::{BASE_BACKOFF_MS, MAX_BACKOFF_MS, OTHER_TOKEN, Process, World};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use upstash_dlq_core::checkpoint::Fingerprint;
use upstash_dlq_core::operation::{Bulk, BulkBuilder, OperationBuilder, Paged};
use upstash_dlq_core::selection::RelativeTimes;
use upstash_dlq_core::wire::{BulkOperation, FlowControl, Overrides};
use upstash_dlq_core::{Endpoint, Operation, RetryPolicy, Selection, Token, Totals, UnixMillis};
use upstash_dlq_emulator::LOCAL_TOKEN;
use upstash_dlq_reqwest::{Client, Prepared};

/// Which process began the work that each process has continued, and the present of that first one.
#[derive(Clone, Default)]
pub(super) struct Since(Arc<Mutex<BTreeMap<u32, Beginning>>>);

/// The first process whose counts a checkpoint carries.
#[derive(Clone, Copy, Default)]
struct Beginning {
    process: u32,
    wall: i64,
}

/// What one process works with.
pub(crate) struct Context {
    pub(crate) world: Arc<World>,
    since: Since,
    pub(crate) process: Process,
    pub(crate) disk: ProcessDisk,
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) seed: u64,
}

impl Context {
    /// A process that begins now.
    pub(super) fn begin(world: &Arc<World>, since: &Since, life: &Life, round: u32) -> Self {
        let process = world.begin_process(life);
        let disk = world.machine.begin(process.number, life, &world.trace);
        let address =
            if process.words == Some(Words::Address) { "https://other.invalid" } else { "https://service.invalid" };
        let token = if process.words == Some(Words::Token) { OTHER_TOKEN } else { LOCAL_TOKEN };
        let token = Token::new(token).unwrap_or_else(|_| unreachable!("it is valid"));
        let endpoint = Endpoint::new(address, token).unwrap_or_else(|_| unreachable!("it is valid"));
        let seed = world.schedule.seed.wrapping_add(u64::from(round));
        let network = Network { world: Arc::clone(world), process: process.clone() };
        let client = Client::with_transport(endpoint.clone(), network).with_retry(policy(world)).with_seed(seed);
        let (world, since) = (Arc::clone(world), since.clone());
        Self { world, since, process, disk, client, endpoint, seed }
    }

    /// Counts begin anew with this process, or go on from the checkpoint that another has written. A loss of power may bring back
    /// one that was removed.
    pub(super) fn begin_counts(&self, written_by: Option<u32>) {
        let number = self.process.number;
        let mut beginnings = self.since.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = written_by.and_then(|writer| beginnings.get(&writer).copied());
        let beginning = earlier.unwrap_or(Beginning { process: number, wall: self.wall().get() });
        beginnings.insert(number, beginning);
        self.world.on_resolved(beginning.wall);
    }

    /// The first process whose counts this one carries on.
    fn since(&self) -> u32 {
        let beginnings = self.since.0.lock().unwrap_or_else(PoisonError::into_inner);
        beginnings.get(&self.process.number).map_or(0, |beginning| beginning.process)
    }

    pub(super) fn wall(&self) -> UnixMillis {
        UnixMillis::new(self.world.client_wall_ms(&self.process))
    }

    /// The selection as this process resolves it. `None` if it selects nothing.
    pub(super) fn selection(&self) -> Option<Selection> {
        self.target().selection(self.world.population, self.wall().get())
    }

    fn target(&self) -> Target {
        let target = self.world.schedule.target();
        if self.process.words == Some(Words::Target) { target.other() } else { target }
    }

    pub(super) fn page_size(&self) -> u32 {
        match (self.process.words, self.world.schedule.page_size()) {
            (Some(Words::PageSize), 1) => 2,
            (Some(Words::PageSize), _) => 1,
            (_, size) => size,
        }
    }

    pub(super) fn max(&self) -> Option<NonZeroU64> {
        let max = self.world.schedule.max();
        let max = if self.process.words == Some(Words::Max) { Some(max.unwrap_or(4) + 1) } else { max };
        max.and_then(NonZeroU64::new)
    }

    pub(super) fn verifies(&self) -> bool {
        self.world.schedule.verifies() != (self.process.words == Some(Words::Verification))
    }

    /// Whether this process continues a checkpoint in words that must be refused.
    pub(super) fn must_be_refused(&self) -> bool {
        self.process.words.is_some_and(|words| !words.are_harmless())
    }

    /// The settings of started runs.
    pub(super) fn overrides(&self) -> Overrides {
        let overrides = Overrides::builder();
        let overrides = match self.world.schedule.settings() {
            None => overrides,
            Some(Settings::Retries) => overrides.retries(5),
            Some(Settings::LabelsAndDelay) => {
                "10s".parse().map(|delay| overrides.delay(delay).label("a b").label("c&d")).unwrap_or_default()
            }
            Some(Settings::FlowControl) => {
                let flow = FlowControl::key("k=1").parallelism(3);
                let flow = "1m".parse().map(|period| flow.rate(10, period)).unwrap_or(FlowControl::key("?"));
                overrides.flow_control(flow).retry_delay("1000 * (1 + retried)")
            }
        };
        let more = self.process.words == Some(Words::Settings);
        let overrides = if more { overrides.retries(9) } else { overrides };
        overrides.build().unwrap_or_else(|_| unreachable!("they are valid"))
    }

    pub(super) fn lanes(&self) -> NonZeroUsize {
        let more = usize::from(self.process.words == Some(Words::Lanes));
        NonZeroUsize::new(self.world.schedule.lanes() + more).unwrap_or(NonZeroUsize::MIN)
    }

    /// Everything that a bulk operation is built with, but its selection.
    pub(super) fn bulk<O: BulkOperation>(&self, selection: Selection) -> BulkBuilder<O> {
        let schedule = &self.world.schedule;
        let builder = Bulk::<O>::builder(self.endpoint.clone(), selection)
            .page_size(NonZeroU32::new(self.page_size()).unwrap_or(NonZeroU32::MIN))
            .max(self.max())
            .max_requests_per_second(schedule.rate().and_then(NonZeroU32::new))
            .lanes(self.lanes(), self.wall());
        let (words, relative) = self.words(builder.selection());
        builder.fingerprint(words).relative_times(relative)
    }

    /// The words in which the selection was given, and which of its times are relative to the present.
    pub(super) fn words(&self, selection: &Selection) -> (Fingerprint, RelativeTimes) {
        let fingerprint = match self.target() {
            // Each process says "until now", and means its own present.
            target if target.is_until_now() => {
                let refine =
                    if let Target::Refined(_, refine) = target { format!("{refine:?}") } else { String::new() };
                let pairs = [("label", self.world.population.red()), ("to", "now"), ("refine", refine.as_str())];
                Fingerprint::from_pairs(&self.endpoint, pairs)
            }
            _ => Fingerprint::from_selection(&self.endpoint, selection),
        };
        let to = self.target().is_until_now();
        (fingerprint, RelativeTimes { from: false, to })
    }

    /// How requests are retried.
    pub(super) fn client_policy(&self) -> RetryPolicy {
        policy(&self.world)
    }

    /// A claim about what this process did, and those whose checkpoint it has continued.
    pub(super) fn claim(&self, totals: Totals) -> Claim {
        Claim { totals, since: self.since(), until: self.process.number, ..Claim::default() }
    }

    /// A claim about what this process did alone.
    pub(super) fn claim_alone(&self, totals: Totals) -> Claim {
        Claim { totals, since: self.process.number, until: self.process.number, ..Claim::default() }
    }

    /// Done when somebody asks this process to stop.
    fn asked_to_stop(&self) -> impl Future<Output = ()> + Send + 'static {
        let stops = self.world.schedule.items.iter().filter_map(|item| match item {
            Item::Stop { at_ms } => Some(*at_ms),
            _ => None,
        });
        let next = stops.filter(|at_ms| *at_ms > self.process.began_ms && !self.world.is_calm()).min();
        let world = Arc::clone(&self.world);
        async move {
            match next {
                Some(at_ms) => world.sleep_until_ms(at_ms).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Whether somebody has asked this process to stop.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        let now = self.world.elapsed_ms();
        let is_past =
            |item: &Item| matches!(item, Item::Stop { at_ms } if *at_ms > self.process.began_ms && now >= *at_ms);
        !self.world.is_calm() && self.world.schedule.items.iter().any(is_past)
    }

    /// Drives an operation as the schedule says. `None` if it was left before its end.
    pub(super) async fn drive<B>(&self, prepared: Prepared<'_, B>) -> Option<<B::Operation as Operation>::Outcome>
    where
        B: OperationBuilder + Send,
        B::Operation: Paged,
    {
        let prepared = prepared.stop_when(self.asked_to_stop());
        match self.driving() {
            Driving::Run => Some(prepared.run().await),
            Driving::Slices { ms } => tokio::time::timeout(Duration::from_millis(ms), prepared.run()).await.ok(),
            Driving::Pages(pages) | Driving::TakenBack(pages) => {
                let mut stream = prepared.pages();
                for _ in 0..pages {
                    match stream.next().await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Some(stream.outcome()),
                    }
                }
                None
            }
        }
    }

    /// How this process drives its operation. After a few that leave early, one stays to the end.
    pub(super) fn driving(&self) -> Driving {
        if self.process.number >= 8 || self.world.is_calm() { Driving::Run } else { self.world.schedule.driving() }
    }
}

fn policy(world: &World) -> RetryPolicy {
    RetryPolicy::default()
        .max_attempts(NonZeroU32::new(world.schedule.attempts()).unwrap_or(NonZeroU32::MIN))
        .base(Duration::from_millis(BASE_BACKOFF_MS))
        .max_backoff(Duration::from_millis(MAX_BACKOFF_MS))
        .max_wait(Duration::from_secs(4))
}
