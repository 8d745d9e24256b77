//! One history's world: the service, what was asked of it, and what it really did.

mod files;
mod meddling;
mod objections;
mod operations;
mod pace;

use self::files::meddlings;
pub(crate) use self::files::{FOREIGN, archive_path, checkpoint_path, lock_path, messages_in};
use self::pace::Pace;
pub(crate) use self::pace::{BASE_BACKOFF_MS, MAX_BACKOFF_MS};
use crate::disk::{Life, Machine};
use crate::population::{BASE, Population, RunIndex};
use crate::schedule::{Fate, Item, Property, Schedule, Words};
use crate::service::config_of;
use crate::trace::Trace;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use upstash_dlq_core::operation::InDoubt;
use upstash_dlq_core::{Delivery, Settlement};
use upstash_dlq_emulator::{Fault, FaultPlan, LOCAL_TOKEN, Service};

/// Clients that send more do not come to an end.
const MOST_REQUESTS: usize = 6_000;

/// The same where cursors never end. Each of two processes follows up to a thousand empty pages on each of four lanes, and one of them
/// may do so once more after a crash.
const MOST_REQUESTS_WITHOUT_END: usize = 13_000;

/// How many bytes of a request a trace shows.
const TARGET: usize = 240;

/// A second token of the account.
pub(crate) const OTHER_TOKEN: &str = "another-token-of-the-account";

/// One process of a client.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Counted over all clients.
    pub(crate) number: u32,
    pub(crate) life: Life,
    /// When it began, in milliseconds of the history.
    pub(crate) began_ms: u64,
    /// The words in which it continues the checkpoint that is there, if they are others.
    pub(crate) words: Option<Words>,
}

/// One request as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) process: u32,
    pub(crate) method: Method,
    pub(crate) ids: Vec<String>,
    pub(crate) cursor: Option<String>,
    /// What it did when it arrived for the first time.
    pub(crate) effects: Vec<RunIndex>,
}

pub(crate) struct World {
    pub(crate) schedule: Schedule,
    pub(crate) population: Population,
    pub(crate) machine: Machine,
    pub(crate) trace: Trace,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    service: Service,
    /// Every run that was ever there, by its id.
    runs: HashMap<String, RunIndex>,
    fates: BTreeMap<u32, Fate>,
    asked: Vec<Asked>,
    in_flight: BTreeMap<u32, usize>,
    paces: BTreeMap<u32, Pace>,
    /// The processes that must not send anything, and why.
    silent: BTreeMap<u32, &'static str>,
    /// How many requests that change something were sent after the lock was lost.
    after_lock: BTreeMap<u32, usize>,
    started: BTreeSet<RunIndex>,
    /// The runs that have come, and those of them that have gone.
    came: BTreeSet<RunIndex>,
    went: BTreeSet<RunIndex>,
    /// The processes that have the checkpoint or the archive open.
    holders: BTreeMap<u32, Life>,
    processes: u32,
    violations: Vec<String>,
    /// What each cursor was given out for.
    cursors: HashMap<String, BTreeSet<String>>,
    /// The present of the process that has resolved the selection's times, in milliseconds since the epoch.
    resolved_at: Option<i64>,
    /// From now on nothing goes wrong.
    is_calm: bool,
}

/// What the promises are held against, when the history has ended.
pub(crate) struct Facts {
    pub(crate) asked: Vec<Asked>,
    pub(crate) started: BTreeSet<RunIndex>,
    pub(crate) came: BTreeSet<RunIndex>,
    pub(crate) went: BTreeSet<RunIndex>,
    pub(crate) violations: Vec<String>,
}

impl World {
    pub(crate) fn new(schedule: Schedule, trace: Trace) -> Self {
        let troubles = schedule.items.iter().filter_map(|item| match item {
            Item::Disk(step, trouble) => Some((*step, *trouble)),
            _ => None,
        });
        let fates = schedule.items.iter().filter_map(|item| match item {
            Item::Fate(request, fate) => Some((*request, *fate)),
            _ => None,
        });
        let mut state = State {
            service: Service::new(config_of(&schedule)),
            runs: HashMap::new(),
            fates: fates.collect(),
            asked: Vec::new(),
            in_flight: BTreeMap::new(),
            paces: BTreeMap::new(),
            silent: BTreeMap::new(),
            after_lock: BTreeMap::new(),
            started: BTreeSet::new(),
            came: BTreeSet::new(),
            went: BTreeSet::new(),
            holders: BTreeMap::new(),
            processes: 0,
            violations: Vec::new(),
            cursors: HashMap::new(),
            resolved_at: None,
            is_calm: false,
        };
        let population = schedule.population();
        (0..schedule.runs()).for_each(|index| state.insert(population, index));
        let looks = schedule.items.iter().filter_map(|item| match item {
            Item::LookFails(look) => Some(*look),
            _ => None,
        });
        let machine = Machine::new(schedule.seed, troubles.collect(), looks.collect(), meddlings(&schedule));
        Self { population, machine, trace, start: Instant::now(), state: Mutex::new(state), schedule }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the history began, in milliseconds.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The server's wall clock, in milliseconds since the epoch.
    fn wall_ms(&self) -> i64 {
        BASE.saturating_add_unsigned(self.elapsed_ms())
    }

    /// The wall clock of a client's process.
    pub(crate) fn client_wall_ms(&self, process: &Process) -> i64 {
        self.client_wall_at_ms(process, self.elapsed_ms())
    }

    /// The wall clock of a client's process at this time of the history.
    fn client_wall_at_ms(&self, process: &Process, at_ms: u64) -> i64 {
        let step = if process.number == 0 { 0 } else { self.schedule.clock_step() };
        BASE.saturating_add_unsigned(at_ms).saturating_add(step).saturating_sub(self.schedule.clock_behind())
    }

    pub(crate) async fn sleep_until_ms(&self, at_ms: u64) {
        tokio::time::sleep_until(self.start + Duration::from_millis(at_ms)).await;
    }

    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        self.trace.add(|| format!("{:>7} ms  {}", self.elapsed_ms(), line()));
    }

    pub(crate) fn violated(&self, promise: String) {
        self.say(|| format!("VIOLATION: {promise}"));
        let mut state = self.lock();
        if !state.violations.contains(&promise) {
            state.violations.push(promise);
        }
    }

    pub(crate) fn begin_process(&self, life: &Life) -> Process {
        let mut state = self.lock();
        let number = state.processes;
        state.processes += 1;
        let began_ms = self.elapsed_ms();
        state.paces.entry(number).or_default().begin(began_ms);
        let has_checkpoint = self.checkpoint().is_some();
        let words = self.schedule.other_words(number).filter(|_| has_checkpoint && !state.is_calm);
        if words.is_some_and(|words| !words.are_harmless()) {
            state.silent.insert(number, "a checkpoint is not continued in other words");
        }
        Process { number, life: life.clone(), began_ms, words }
    }

    /// What the checkpoint's file holds now.
    pub(crate) fn checkpoint(&self) -> Option<Vec<u8>> {
        self.machine.files().into_iter().find(|(path, _)| *path == checkpoint_path()).map(|(_, bytes)| bytes)
    }

    /// From now on this process must not send anything.
    pub(crate) fn on_silent(&self, process: &Process, why: &'static str) {
        self.lock().silent.insert(process.number, why);
    }

    /// The process has waited for somebody who looked, and drives on.
    pub(crate) fn on_waited(&self, process: &Process) {
        let now = self.elapsed_ms();
        self.lock().paces.entry(process.number).or_default().drive_on_later(now);
    }

    /// The process drives an operation on that it has driven before. It does not know how much of a wait has passed.
    pub(crate) fn on_driven_on(&self, process: &Process) {
        let now = self.elapsed_ms();
        self.lock().paces.entry(process.number).or_default().drive_on(now, &self.schedule);
    }

    /// Says that a process has the file open that only one may have.
    pub(crate) fn on_opened(&self, process: &Process) {
        let mut state = self.lock();
        state.holders.retain(|_, life| life.is_alive());
        state.holders.insert(process.number, process.life.clone());
        // Whoever opens an archive after somebody has removed it has another file.
        // Whoever locks another lock file has another lock.
        if state.holders.len() > 1 && !self.machine.was_taken(&archive_path()) && !self.machine.was_taken(&lock_path())
        {
            let who: Vec<u32> = state.holders.keys().copied().collect();
            drop(state);
            self.violated(format!("one process has the file: {who:?} have it open at the same time"));
        }
    }

    pub(crate) fn on_closed(&self, process: &Process) {
        self.lock().holders.remove(&process.number);
    }

    /// Numbers a request and notes what it asks for. Returns its number and what becomes of it.
    pub(crate) fn on_sent(&self, process: &Process, request: &Request<()>) -> (usize, Option<Fate>) {
        let query = request.uri().query().unwrap_or_default();
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let one = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let ids: Vec<String> = query.iter().filter(|(name, _)| name == "dlqIds").map(|(_, id)| id.clone()).collect();
        let asked = Asked {
            process: process.number,
            method: request.method().clone(),
            cursor: one("cursor"),
            ids,
            effects: Vec::new(),
        };
        let objections = [
            self.objection_to_operation(request, &asked),
            self.objection(process, request, &asked, &query),
            self.objection_after_a_stop(process),
            self.objection_to_words(process, request),
            self.objection_to_meddling(process, &asked),
        ];
        objections.into_iter().flatten().for_each(|objection| self.violated(objection));
        let strange = asked.cursor.as_ref().filter(|cursor| {
            self.lock().cursors.get(*cursor).is_none_or(|purposes| !purposes.contains(&purpose_of(request)))
        });
        if let Some(cursor) = strange {
            self.violated(format!("a cursor stays with its filter: {cursor} is sent with {}", request.uri()));
        }
        let is_endless = self.schedule.has(|property| property == Property::EndlessCursors);
        let most = if is_endless { MOST_REQUESTS_WITHOUT_END } else { MOST_REQUESTS };
        let mut state = self.lock();
        let number = state.asked.len();
        if number >= most {
            process.life.end();
            let told = format!("it ends: not after {most} requests");
            if !state.violations.contains(&told) {
                state.violations.push(told);
            }
        }
        state.asked.push(asked);
        let in_flight = state.in_flight.entry(process.number).or_default();
        *in_flight += 1;
        let in_flight = *in_flight;
        let now = self.elapsed_ms();
        let wrong = state.paces.entry(process.number).or_default().on_sent(now, in_flight == 1, &self.schedule);
        let fate = u32::try_from(number).ok().and_then(|number| state.fates.get(&number).copied());
        let fate = fate.filter(|_| !state.is_calm);
        drop(state);
        wrong.into_iter().for_each(|wrong| self.violated(wrong));
        self.say(|| {
            let target = request.uri().path_and_query().map_or("", |target| target.as_str());
            let target = match target.get(..TARGET) {
                Some(beginning) if target.len() > TARGET => format!("{beginning}… ({} bytes)", target.len()),
                _ => target.to_owned(),
            };
            let fate = fate.map_or(String::new(), |fate| format!("   !! {fate:?}"));
            format!("p{} #{number} {} {target}{fate}", process.number, request.method())
        });
        let lanes = self.lanes_of(process);
        if in_flight > lanes {
            self.violated(format!("lanes hold: {in_flight} requests are in flight on {lanes} lanes"));
        }
        (number, fate)
    }

    pub(crate) fn on_landed(
        &self,
        process: &Process,
        request: &Request<()>,
        result: Result<&Response<Vec<u8>>, Delivery>,
        is_odd: bool,
    ) {
        let now = self.elapsed_ms();
        let mut state = self.lock();
        state.paces.entry(process.number).or_default().on_landed(now, request, result, is_odd, &self.schedule);
        if let Some(in_flight) = state.in_flight.get_mut(&process.number) {
            *in_flight = in_flight.saturating_sub(1);
        }
    }

    /// Says that a process has resolved the times of the selection, which counts from then on.
    pub(crate) fn on_resolved(&self, at: i64) {
        self.lock().resolved_at = Some(at);
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.say(|| "from now on nothing goes wrong".into());
        self.lock().is_calm = true;
        self.machine.calm();
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.lock().is_calm
    }

    /// The number of the run with this id.
    pub(crate) fn index_of(&self, id: &str) -> Option<RunIndex> {
        self.lock().runs.get(id).copied()
    }

    /// Notes what a cursor was given out for.
    pub(crate) fn on_cursor(&self, request: &Request<()>, cursor: &str) {
        self.lock().cursors.entry(cursor.to_owned()).or_default().insert(purpose_of(request));
    }

    /// The messages in the archive that would survive a loss of power now.
    pub(crate) fn lasting_lines(&self) -> BTreeSet<String> {
        messages_in(&self.machine.lasting(&archive_path()).unwrap_or_default())
    }

    /// The request arrives at the service.
    pub(crate) fn serve(
        &self,
        number: usize,
        request: &Request<()>,
        fault: Option<Fault>,
        is_second: bool,
    ) -> Response<Vec<u8>> {
        let mut state = self.lock();
        let started = state.service.started().count();
        let total = state.service.deleted_total();
        state.service.set_faults(fault.map_or_else(FaultPlan::none, |fault| FaultPlan::script(vec![Some(fault)])));
        let (mut parts, ()) = request.clone().into_parts();
        // Another token of the same account.
        if parts.headers.get("authorization").is_some_and(|value| value == &format!("Bearer {OTHER_TOKEN}")) {
            parts.headers.extend(format!("Bearer {LOCAL_TOKEN}").parse().ok().map(|value| (AUTHORIZATION, value)));
        }
        let response = state.service.handle(self.wall_ms(), Request::from_parts(parts, Vec::new()));
        let mut effects = if state.service.deleted_total() > total { state.gone() } else { Vec::new() };
        let new: Vec<String> = state.service.started().skip(started).map(|started| started.dlq_id.clone()).collect();
        for id in new {
            if let Some(index) = state.runs.get(&id).copied() {
                state.started.insert(index);
                effects.push(index);
            }
        }
        if !effects.is_empty() {
            let _ = state.gone();
        }
        self.say(|| format!("       #{number} arrives: {} {effects:?}", response.status()));
        // What a request does when it arrives a second time is no doing of the client's.
        if let Some(asked) = state.asked.get_mut(number).filter(|_| !is_second) {
            asked.effects.extend(effects);
        }
        response
    }

    /// Somebody else deletes a run.
    pub(crate) fn delete(&self, index: RunIndex) {
        let id: String = form_urlencoded::byte_serialize(self.population.id_of(index).as_bytes()).collect();
        let request = Request::delete(format!("https://service.invalid/v2/workflows/dlq/{}", id.replace('+', "%20")))
            .header("authorization", format!("Bearer {LOCAL_TOKEN}"))
            .body(Vec::new());
        let mut state = self.lock();
        state.service.set_faults(FaultPlan::none());
        if let Ok(request) = request {
            let _ = state.service.handle(self.wall_ms(), request);
        }
        let _ = state.gone();
        drop(state);
        self.say(|| format!("somebody else deletes run {index}"));
    }

    /// A run arrives.
    pub(crate) fn insert(&self, index: RunIndex) {
        self.lock().insert(self.population, index);
        self.say(|| format!("run {index} arrives"));
    }

    /// A person looks whether a request was carried out. `None` if that cannot be settled, because its runs are still listed.
    pub(crate) fn look(&self, in_doubt: &InDoubt<'_>, cursor: Option<&str>) -> Option<Settlement> {
        let state = self.lock();
        let is_it = |asked: &&Asked| {
            asked.method == Method::POST
                && match in_doubt {
                    InDoubt::Ids(ids) => asked.ids.iter().map(String::as_str).eq(ids.iter().map(|id| id.as_str())),
                    InDoubt::Listing(_) => asked.ids.is_empty() && asked.cursor.as_deref() == cursor,
                }
        };
        let is_applied = state.asked.iter().rev().find(is_it).is_some_and(|asked| !asked.effects.is_empty());
        drop(state);
        let is_by_filter = matches!(in_doubt, InDoubt::Listing(_));
        if is_applied && is_by_filter && self.schedule.has(|property| property == Property::StartedRunsStay) {
            return None;
        }
        let settlement = if is_applied { Settlement::Applied } else { Settlement::NotApplied };
        self.say(|| format!("a person looks: {settlement:?}"));
        Some(settlement)
    }

    /// Whether any request that may change something was sent by these processes.
    pub(crate) fn has_sent_changes(&self) -> bool {
        self.lock().asked.iter().any(|asked| asked.method != Method::GET)
    }

    /// Whether any request has deleted or started a run.
    pub(crate) fn has_done_something(&self) -> bool {
        self.lock().asked.iter().any(|asked| !asked.effects.is_empty())
    }

    pub(crate) fn facts(&self) -> Facts {
        let state = self.lock();
        Facts {
            asked: state.asked.clone(),
            started: state.started.clone(),
            came: state.came.clone(),
            went: state.went.clone(),
            violations: state.violations.clone(),
        }
    }
}

impl State {
    fn insert(&mut self, population: Population, index: RunIndex) {
        self.runs.insert(population.id_of(index), index);
        self.service.insert(population.run(index));
        self.came.insert(index);
    }

    /// The runs that were there until now and have gone.
    fn gone(&mut self) -> Vec<RunIndex> {
        let Self { service, runs, went, .. } = self;
        let is_gone = |(id, index): &(&String, &RunIndex)| !went.contains(*index) && !service.contains(id);
        let mut gone: Vec<RunIndex> = runs.iter().filter(is_gone).map(|(_, index)| *index).collect();
        gone.sort_unstable();
        went.extend(gone.iter().copied());
        gone
    }
}

/// What a cursor of this request's response is good for: the same operation with the same filter.
fn purpose_of(request: &Request<()>) -> String {
    let query = request.uri().query().unwrap_or_default();
    let kept = query.split('&').filter(|pair| !pair.starts_with("cursor=") && !pair.starts_with("count="));
    format!("{} {} {}", request.method(), request.uri().path(), kept.collect::<Vec<_>>().join("&"))
}
