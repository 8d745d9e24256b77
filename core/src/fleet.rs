//! Many lanes at once.

use crate::bulk::{Bulk, Settlement, Unsettled};
use crate::engine::outcome::{Halt, OutOfTurn, Outcome, Totals};
use crate::engine::rate_limiter::{Clock, Pace, rebased};
use crate::engine::retry::is_rate_limit;
use crate::engine::retry::{Cause, Event, Step, TransportFailure};
use crate::model::time::UnixMillis;
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::{BulkPage, Delete, Verb};
use crate::{BulkBuilder, FleetStep, LaneId, Lanes};
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::time::Duration;
use http::{Request, Response};

/// Acts on disjoint windows of time side by side.
///
/// A delete begins as one [`Bulk`] with the whole selection; each page that is not the last opens further lanes, and a lane
/// that runs dry takes part of the window of one that does not. Cutting a window forgets its cursor, which is harmless for
/// a delete and for nothing else. When all lanes are dry, the whole selection is asked for again, until that finds nothing
/// left. A resume or restart stays in one lane: windows could start a run twice on a server that does not keep to dates.
///
/// Pure, as [`Bulk`] is: the time comes in as what has passed since any fixed moment.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use upstash_dlq_core::{BulkDelete, Endpoint, FleetStep, Lanes, Selection, Token, UnixMillis};
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
pub struct Fleet<V: Verb = Delete> {
    pub(crate) config: BulkBuilder<V>,
    pub(crate) whole: Window,
    pub(crate) lanes: Vec<Lane<V>>,
    /// How many may be open.
    pub(crate) limit: usize,
    /// What is left of the maximum, requests in flight not yet taken off.
    pub(crate) budget: Option<u64>,
    /// Of lanes that are no more.
    pub(crate) totals: Totals,
    pub(crate) round_deleted: bool,
    pub(crate) round_unconfirmed: bool,
    pub(crate) barren_rounds: u32,
    /// What last kept a request's result unknown, to be told should rounds only repeat.
    pub(crate) last_unknown: Option<Cause>,
    /// Pages in this round that were not the last of their window.
    pub(crate) full_pages: u64,
    pace: Pace,
    pub(crate) seeds: u64,
    /// The time that was last told, and whether the next one is of another clock.
    clock: Clock,
    pub(crate) done: Option<(bool, Option<Halt>)>,
    /// Why no further request is sent.
    pub(crate) halted: Option<Halt>,
}

#[derive(Clone, Debug)]
pub(crate) struct Lane<V: Verb> {
    pub(crate) window: Window,
    pub(crate) bulk: Bulk<V>,
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

impl<V: Verb> BulkBuilder<V> {
    /// The same on so many lanes. `now` is where an open window is cut from, milliseconds since 1970. Ids have no window,
    /// and stay in one lane. So does whatever must not be repeated: it trusts no date.
    pub fn build_fleet(self, lanes: NonZeroUsize, now: UnixMillis) -> Fleet<V> {
        let mut fleet = Fleet::empty(self, lanes, now);
        fleet.begin_round();
        fleet
    }
}

impl<V: Verb> Fleet<V> {
    pub(crate) fn empty(config: BulkBuilder<V>, lanes: NonZeroUsize, now: UnixMillis) -> Self {
        let one = !V::REPEATABLE || matches!(config.selection, Selection::Ids(_));
        Self {
            whole: Window::of(&config.selection, now),
            lanes: Vec::new(),
            limit: if one { 1 } else { lanes.get() },
            budget: config.max.map(core::num::NonZeroU64::get),
            totals: Totals::default(),
            round_deleted: false,
            round_unconfirmed: false,
            barren_rounds: 0,
            last_unknown: None,
            full_pages: 0,
            pace: Pace::new(if one { 1 } else { lanes.get() }),
            seeds: 0,
            clock: Clock::default(),
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
    pub fn poll(&mut self, now: Duration) -> FleetStep<Outcome> {
        if let Some(old) = self.clock.told(now) {
            self.pace.rebase(old, now);
            for lane in &mut self.lanes {
                if let LaneState::Waiting(until) = &mut lane.state {
                    *until = rebased(*until, old, now);
                }
            }
        }
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
                let halt = self.maximum_is_unconfirmed().then_some(Halt::MaximumUnconfirmed);
                self.done = Some((false, halt));
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
            // It is not dry: a checkpoint has its window, too.
            self.halted.get_or_insert(halt);
            return;
        }
        if matches!(self.config.selection, Selection::Ids(_)) {
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
    ) -> Result<Event<V::Page>, OutOfTurn> {
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
    ) -> Result<Event<V::Page>, OutOfTurn> {
        let failure = failure.into();
        self.told(lane, |bulk| bulk.on_failure(failure))
    }

    fn told(
        &mut self,
        LaneId(at): LaneId,
        tell: impl FnOnce(&mut Bulk<V>) -> Result<Event<V::Page>, OutOfTurn>,
    ) -> Result<Event<V::Page>, OutOfTurn> {
        let lane = self.lanes.get_mut(at).ok_or(OutOfTurn)?;
        let LaneState::InFlight { asked } = lane.state else { return Err(OutOfTurn) };
        let unconfirmed = lane.bulk.position.totals.unconfirmed;
        let event = tell(&mut lane.bulk)?;
        lane.state = LaneState::Ready;
        // The others learn of it before they send anything more.
        if let Some(halt) = lane.bulk.outcome_so_far().halted {
            self.halted.get_or_insert(halt);
        }
        let lost = lane.bulk.position.totals.unconfirmed > unconfirmed;
        let mut spent = if lost { asked } else { 0 };
        self.round_unconfirmed |= lost;
        if lost {
            self.last_unknown = lane.bulk.last_unknown.take();
        }
        lane.limited = false;
        // Only a lane that gets on is cut: cutting forgets its attempts.
        lane.full = false;
        match &event {
            Event::Page(page) => {
                spent = page.runs();
                self.round_deleted |= page.runs() > 0;
                lane.full = page.runs() > 0 && page.cursor().is_some();
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

    fn in_flight(&self) -> usize {
        self.lanes.iter().filter(|lane| matches!(lane.state, LaneState::InFlight { .. })).count()
    }

    /// Where to look to find out what became of a request that is not settled; `None` while there is none.
    pub fn unsettled(&self) -> Option<Unsettled<'_>> {
        self.lanes.iter().find_map(|lane| lane.bulk.unsettled())
    }

    /// Tells what became of the request that [`Self::unsettled`] speaks of, see [`Bulk::settle`]. Several lanes may have
    /// lost an answer: then the next one is to be settled before anything is sent.
    ///
    /// # Errors
    /// When nothing is to be settled.
    pub fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn> {
        let lane = self.lanes.iter_mut().find(|lane| lane.bulk.unsettled().is_some()).ok_or(OutOfTurn)?;
        let asked = lane.bulk.position.unsettled.unwrap_or_default();
        lane.bulk.settle(settlement)?;
        if settlement == Settlement::NotApplied {
            let max = self.config.max.map_or(u64::MAX, core::num::NonZeroU64::get);
            self.budget = self.budget.map(|budget| budget.saturating_add(asked).min(max));
        }
        self.done = None;
        self.halted = None;
        self.halt_if_unsettled();
        Ok(())
    }

    pub(crate) fn halt_if_unsettled(&mut self) {
        let outcome = self.lanes.iter().find(|lane| lane.bulk.unsettled().is_some());
        self.halted = outcome.and_then(|lane| lane.bulk.outcome_so_far().halted).or(self.halted.take());
    }

    /// What has happened so far. Requests in flight count as unconfirmed, until their responses come.
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

impl<V: Verb> Lanes for Fleet<V> {
    type Page = V::Page;
    type Outcome = Outcome;

    fn poll(&mut self, now: Duration) -> FleetStep<Outcome> {
        Self::poll(self, now)
    }

    fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<V::Page>, OutOfTurn> {
        Self::on_response(self, lane, response)
    }

    fn on_failure(&mut self, lane: LaneId, failure: TransportFailure) -> Result<Event<V::Page>, OutOfTurn> {
        Self::on_failure(self, lane, failure)
    }

    fn withdraw(&mut self, LaneId(at): LaneId) -> Result<(), OutOfTurn> {
        let lane = self.lanes.get_mut(at).ok_or(OutOfTurn)?;
        lane.bulk.withdraw()?;
        lane.state = LaneState::Ready;
        Ok(())
    }

    fn abandon(&mut self) {
        for at in 0..self.lanes.len() {
            // Out of turn where nothing is in flight, which changes nothing.
            let _ = Self::on_failure(self, LaneId(at), crate::engine::retry::Delivery::Unknown);
        }
        self.clock.begin_anew();
    }

    fn lanes(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.state != LaneState::Dry).count().min(self.limit)
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

impl<V: Verb> Lane<V> {
    pub(crate) fn restored(window: Window, bulk: Bulk<V>) -> Self {
        Self { window, bulk, state: LaneState::Ready, full: false, limited: false }
    }

    pub(crate) fn asked(&self) -> u64 {
        match self.state {
            LaneState::InFlight { asked } => asked,
            LaneState::Ready | LaneState::Waiting(_) | LaneState::Dry => 0,
        }
    }
}
