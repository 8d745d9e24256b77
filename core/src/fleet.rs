//! Many lanes at once, for a delete.

use crate::bulk::Bulk;
use crate::checkpoint::Position;
use crate::outcome::{Halt, OutOfTurn, Outcome, Totals};
use crate::pace::Pace;
use crate::retry::Cause;
use crate::window::Window;
use crate::{BulkDelete, Delete, DeletePage, Event, ResponseError, Selection, Step, TransportFailure, UnixMillis};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;
use http::{Request, Response, StatusCode};

/// How many more lanes each page opens that was not the last of its window: a delete of a few pages does not open sixteen.
const OPENED_BY_A_PAGE: u64 = 4;

/// Deletes disjoint windows of time side by side. It begins as one [`Bulk`] with the whole selection; each page that is
/// not the last opens further lanes, and a lane that runs dry takes part of the window of one that does not. Cutting a
/// window forgets its cursor, which is harmless for a delete and for nothing else. When all lanes are dry, the whole
/// selection is asked for again, until that finds nothing left.
///
/// Pure, as [`Bulk`] is: the time comes in as what has passed since any fixed moment.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use upstash_dlq_core::{BulkDelete, Endpoint, FleetStep, Selection, Token, UnixMillis};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let now = UnixMillis::new(1_764_000_000_000);
/// let mut fleet = BulkDelete::new(endpoint, Selection::Everything).build_fleet(NonZeroUsize::new(4).unwrap(), now);
/// let mut answers = [r#"{"deleted":100,"cursor":"x"}"#].into_iter();
/// let mut most = 0;
/// let outcome = loop {
///     match fleet.poll(Duration::ZERO) {
///         FleetStep::Send(lane, _request) => {
///             let answer = answers.next().unwrap_or(r#"{"deleted":0}"#);
///             fleet.on_response(lane, &http::Response::new(answer))?;
///             most = most.max(fleet.lanes());
///         }
///         FleetStep::WaitUntil(_) | FleetStep::Idle => unreachable!(),
///         FleetStep::Done(outcome) => break outcome,
///     }
/// };
/// assert!(outcome.verified && outcome.totals.runs == 100 && most == 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) config: BulkDelete,
    pub(crate) whole: Window,
    pub(crate) lanes: Vec<Lane>,
    /// How many may be open.
    limit: usize,
    /// What is left of the maximum, requests in flight not yet taken off.
    pub(crate) budget: Option<u64>,
    /// Of lanes that are no more.
    pub(crate) totals: Totals,
    pub(crate) round_deleted: bool,
    pub(crate) round_unconfirmed: bool,
    pub(crate) barren_rounds: u32,
    /// Pages in this round that were not the last of their window.
    pub(crate) full_pages: u64,
    pace: Pace,
    seeds: u64,
    done: Option<(bool, Option<Halt>)>,
    /// Why no further request is sent.
    halted: Option<Halt>,
}

/// A lane of a [`Fleet`], for the answer to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(usize);

#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) window: Window,
    pub(crate) bulk: Bulk<Delete>,
    pub(crate) state: LaneState,
    /// Whether its last page was not the last of its window.
    pub(crate) full: bool,
    /// Whether its last answer was a 429.
    limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneState {
    Ready,
    Waiting(Duration),
    InFlight { asked: u64 },
    Dry,
}

/// What to do next.
#[derive(Debug)]
pub enum FleetStep {
    /// Send this, and poll on; then report the answer or the failure for the lane.
    Send(LaneId, Request<()>),
    /// Nothing before this time, unless an answer comes.
    WaitUntil(Duration),
    /// Nothing before an answer comes.
    Idle,
    /// Nothing is left to do, and nothing is in flight.
    Done(Outcome),
}

impl BulkDelete {
    /// The same delete on so many lanes. `now` is where an open window is cut from, milliseconds since 1970. Ids have no
    /// window, and stay in one lane.
    pub fn build_fleet(self, lanes: NonZeroUsize, now: UnixMillis) -> Fleet {
        let mut fleet = Fleet::empty(self, lanes, now);
        fleet.begin_round();
        fleet
    }
}

impl Fleet {
    pub(crate) fn empty(config: BulkDelete, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        let one = matches!(config.selection, Selection::Ids(_));
        Self {
            whole: Window::of(&config.selection, now),
            lanes: Vec::new(),
            limit: if one { 1 } else { lanes.get() },
            budget: config.max.map(core::num::NonZeroU64::get),
            totals: Totals::default(),
            round_deleted: false,
            round_unconfirmed: false,
            barren_rounds: 0,
            full_pages: 0,
            pace: Pace::new(if one { 1 } else { lanes.get() }),
            seeds: 0,
            done: None,
            halted: None,
            config,
        }
    }

    /// At most so many requests a second, all lanes together.
    #[must_use]
    pub fn rate(mut self, per_second: core::num::NonZeroU32) -> Self {
        self.pace.limit(per_second.get());
        self
    }

    /// What to do now, `now` being the time since any fixed moment.
    pub fn poll(&mut self, now: Duration) -> FleetStep {
        loop {
            if let Some((verified, halted)) = &self.done {
                return FleetStep::Done(Outcome { totals: self.totals(), verified: *verified, halted: halted.clone() });
            }
            if self.halted.is_some() {
                if self.in_flight() > 0 {
                    return FleetStep::Idle;
                }
                self.done = Some((false, self.halted.take()));
                continue;
            }
            let gate = self.pace.gate(now);
            let mut next = None;
            let mut sendable = false;
            let mut changed = false;
            for at in 0..self.lanes.len() {
                match self.lanes[at].state {
                    LaneState::Waiting(until) if until > now => {
                        next = Some(next.map_or(until, |next: Duration| next.min(until)));
                    }
                    LaneState::Waiting(_) | LaneState::Ready => {
                        sendable = true;
                        if gate > now || !self.pace.has_room(self.in_flight()) {
                            continue;
                        }
                        let opened = self.seeds;
                        match self.poll_lane(at, now) {
                            Some(request) => return FleetStep::Send(LaneId(at), request),
                            None if self.halted.is_some() || self.done.is_some() => break,
                            None => match self.lanes[at].state {
                                LaneState::Waiting(until) if until > now => {
                                    next = Some(next.map_or(until, |n| n.min(until)));
                                }
                                LaneState::Waiting(_) => changed = true,
                                state => changed |= state == LaneState::Dry || self.seeds != opened,
                            },
                        }
                    }
                    LaneState::InFlight { .. } | LaneState::Dry => {}
                }
            }
            if changed || self.halted.is_some() || self.done.is_some() {
                continue;
            }
            if sendable && gate > now {
                next = Some(next.map_or(gate, |n| n.min(gate)));
            }
            if let Some(next) = next {
                return FleetStep::WaitUntil(next);
            }
            if self.in_flight() > 0 {
                return FleetStep::Idle;
            }
            self.end_round();
        }
    }

    fn poll_lane(&mut self, at: usize, now: Duration) -> Option<Request<()>> {
        let reserved: u64 = self.lanes.iter().map(Lane::asked).sum();
        let available = self.budget.map(|budget| budget.saturating_sub(reserved));
        let by_ids = matches!(self.config.selection, Selection::Ids(_));
        if available == Some(0) && !by_ids {
            if reserved == 0 {
                self.retire_all();
                self.done = Some((false, None));
            } else if let Some(lane) = self.lanes.get_mut(at) {
                // What others have reserved may come back to it.
                lane.state = LaneState::Ready;
            }
            return None;
        }
        let lane = self.lanes.get_mut(at)?;
        if !by_ids {
            lane.bulk.position.remaining = available;
        }
        match lane.bulk.poll() {
            Step::Send(request) => {
                lane.state = LaneState::InFlight { asked: lane.bulk.asked() };
                self.pace.sent(now);
                Some(request)
            }
            Step::Wait(wait) => {
                lane.state = LaneState::Waiting(now.saturating_add(wait));
                None
            }
            Step::Done(outcome) => {
                self.dry(at, outcome);
                None
            }
        }
    }

    /// A lane's window is empty, for all that its pass can tell.
    fn dry(&mut self, at: usize, outcome: Outcome) {
        if let Some(halt) = outcome.halted {
            self.halted.get_or_insert(halt);
        } else if matches!(self.config.selection, Selection::Ids(_)) {
            self.retire_all();
            self.done = Some((outcome.verified, None));
            return;
        }
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.state = LaneState::Dry;
            lane.full = false;
        }
        // Somebody may stand at a page boundary with more to do.
        let busiest = (0..self.lanes.len())
            .filter(|at| {
                self.lanes[*at].full && matches!(self.lanes[*at].state, LaneState::Ready | LaneState::Waiting(_))
            })
            .max_by_key(|at| self.lanes[*at].window.width());
        if let Some(busiest) = busiest {
            self.share(busiest);
        }
    }

    /// Takes the answer to a lane's request.
    ///
    /// # Errors
    /// When the lane has none in flight.
    pub fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<DeletePage>, OutOfTurn> {
        self.pace.heard(response.headers());
        self.told(lane, |bulk| bulk.on_response(response))
    }

    /// Takes the news that no answer will come to a lane's request.
    ///
    /// # Errors
    /// When the lane has none in flight.
    pub fn on_failure(
        &mut self,
        lane: LaneId,
        failure: impl Into<TransportFailure>,
    ) -> Result<Event<DeletePage>, OutOfTurn> {
        let failure = failure.into();
        self.told(lane, |bulk| bulk.on_failure(failure))
    }

    fn told(
        &mut self,
        LaneId(at): LaneId,
        tell: impl FnOnce(&mut Bulk<Delete>) -> Result<Event<DeletePage>, OutOfTurn>,
    ) -> Result<Event<DeletePage>, OutOfTurn> {
        let lane = self.lanes.get_mut(at).ok_or(OutOfTurn)?;
        let LaneState::InFlight { asked } = lane.state else { return Err(OutOfTurn) };
        let unconfirmed = lane.bulk.totals().unconfirmed;
        let event = tell(&mut lane.bulk)?;
        lane.state = LaneState::Ready;
        let lost = lane.bulk.totals().unconfirmed > unconfirmed;
        let mut spent = if lost { asked } else { 0 };
        self.round_unconfirmed |= lost;
        lane.limited = false;
        // Only a lane that gets on is cut: cutting forgets its attempts.
        lane.full = false;
        match &event {
            Event::Page(page) => {
                spent = page.deleted;
                self.round_deleted |= page.deleted > 0;
                lane.full = page.deleted > 0 && page.cursor.is_some();
                self.full_pages = self.full_pages.saturating_add(u64::from(lane.full));
                self.pace.page();
                // What was refused for the others' sake is no failed attempt while the others get on.
                self.lanes.iter_mut().filter(|lane| lane.limited).for_each(|lane| lane.bulk.forgive());
                self.share(at);
            }
            Event::Retry(retried) if is_rate_limit(&retried.cause) => {
                lane.limited = true;
                // All lanes wait; it need not wait again by itself.
                lane.bulk.waited();
                self.pace.refused(retried.after);
            }
            Event::Retry(_) | Event::Ended => {}
        }
        self.budget = self.budget.map(|budget| budget.saturating_sub(spent));
        Ok(event)
    }

    /// Counts every request that is out as lost ([`Delivery::Unknown`](crate::Delivery::Unknown)): whoever drove the lanes
    /// before has gone, and no answer will come.
    pub fn abandon(&mut self) {
        for at in 0..self.lanes.len() {
            // Out of turn where nothing is in flight, which changes nothing.
            let _ = self.on_failure(LaneId(at), crate::Delivery::Unknown);
        }
    }

    /// How many lanes may be open.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes back a request that was handed out and not sent.
    ///
    /// # Errors
    /// When the lane has none in flight.
    pub fn withdraw(&mut self, LaneId(at): LaneId) -> Result<(), OutOfTurn> {
        let lane = self.lanes.get_mut(at).ok_or(OutOfTurn)?;
        lane.bulk.withdraw()?;
        lane.state = LaneState::Ready;
        Ok(())
    }

    /// Cuts the window of a lane with more to do, and gives the lanes that are idle their parts.
    fn share(&mut self, at: usize) {
        if !self.lanes.get(at).is_some_and(|lane| lane.full && !matches!(lane.state, LaneState::InFlight { .. })) {
            return;
        }
        let active = self.lanes.iter().filter(|lane| lane.state != LaneState::Dry).count();
        let allowed = usize::try_from(self.full_pages.saturating_mul(OPENED_BY_A_PAGE)).unwrap_or(usize::MAX);
        let idle = self.limit.min(allowed).saturating_sub(active);
        if idle == 0 {
            return;
        }
        let busy = self.lanes.iter().filter(|lane| lane.full).count().max(1);
        let parts = self.lanes[at].window.split(1 + idle.div_ceil(busy));
        let [first, rest @ ..] = parts.as_slice() else { return };
        if rest.is_empty() {
            return;
        }
        self.open(Some(at), *first);
        for part in rest {
            let dry = self.lanes.iter().position(|lane| lane.state == LaneState::Dry);
            self.open(dry, *part);
        }
    }

    /// Begins a window from its start, in this lane or a new one.
    fn open(&mut self, at: Option<usize>, window: Window) {
        self.seeds = self.seeds.wrapping_add(1);
        let selection = match window.narrow(&self.config.selection) {
            Ok(selection) => selection,
            // Cannot happen: a part of a window that was valid is one, too.
            Err(error) => {
                self.halted.get_or_insert(Halt::Unbuildable(alloc::format!("{error}")));
                return;
            }
        };
        let by_ids = matches!(selection, Selection::Ids(_));
        let config = BulkDelete { selection, ..self.config.clone() }
            .verify(false)
            .max(self.config.max.filter(|_| by_ids))
            .retry(self.config.policy, self.config.seed.wrapping_add(self.seeds));
        let position = Position::start(config.max.map(core::num::NonZeroU64::get));
        let lane =
            Lane { window, bulk: Bulk::new(config, position), state: LaneState::Ready, full: false, limited: false };
        match at.and_then(|at| self.lanes.get_mut(at)) {
            Some(old) => {
                self.totals = self.totals.and(old.bulk.totals());
                *old = lane;
            }
            None => self.lanes.push(lane),
        }
    }

    fn retire_all(&mut self) {
        let lanes = core::mem::take(&mut self.lanes);
        self.totals = lanes.iter().fold(self.totals, |totals, lane| totals.and(lane.bulk.totals()));
    }

    fn begin_round(&mut self) {
        self.retire_all();
        self.round_deleted = false;
        self.round_unconfirmed = false;
        self.full_pages = 0;
        self.open(None, self.whole);
    }

    pub(crate) fn end_round(&mut self) {
        let clean = !self.round_deleted && !self.round_unconfirmed;
        if self.round_deleted {
            self.barren_rounds = 0;
        } else {
            self.barren_rounds = self.barren_rounds.saturating_add(1);
        }
        if clean || !self.config.verify {
            self.retire_all();
            self.done = Some((clean, None));
        } else if self.barren_rounds >= self.config.policy.max_attempts.get() {
            self.retire_all();
            self.done = Some((false, Some(Halt::NoProgress)));
        } else {
            self.begin_round();
        }
    }

    fn in_flight(&self) -> usize {
        self.lanes.iter().filter(|lane| matches!(lane.state, LaneState::InFlight { .. })).count()
    }

    /// How many lanes have something to do.
    pub fn lanes(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.state != LaneState::Dry).count()
    }

    /// What has happened so far.
    pub fn totals(&self) -> Totals {
        self.lanes.iter().fold(self.totals, |totals, lane| totals.and(lane.bulk.totals()))
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// How it ended, or how it stands: not verified and not halted.
    pub fn outcome_so_far(&self) -> Outcome {
        let (verified, halted) = self.done.clone().unwrap_or_default();
        Outcome { totals: self.totals(), verified, halted }
    }

    /// The lanes' windows, for tests that look at them.
    #[doc(hidden)]
    pub fn windows(&self) -> Vec<(i64, i64, bool, bool)> {
        let open = self.lanes.iter().filter(|lane| lane.state != LaneState::Dry);
        open.map(|lane| (lane.window.lo, lane.window.hi, lane.window.open_below, lane.window.open_above)).collect()
    }
}

impl Lane {
    pub(crate) fn restored(window: Window, bulk: Bulk<Delete>) -> Self {
        Self { window, bulk, state: LaneState::Ready, full: false, limited: false }
    }

    pub(crate) fn asked(&self) -> u64 {
        match self.state {
            LaneState::InFlight { asked } => asked,
            LaneState::Ready | LaneState::Waiting(_) | LaneState::Dry => 0,
        }
    }
}

fn is_rate_limit(cause: &Cause) -> bool {
    matches!(cause, Cause::Response(ResponseError::Status { status: StatusCode::TOO_MANY_REQUESTS, .. }))
}
