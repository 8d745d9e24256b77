//! Windows of time listed side by side.

use crate::engine::outcome::{Halt, OutOfTurn};
use crate::engine::rate_limiter::{Clock, Pace, rebased};
use crate::engine::retry::is_rate_limit;
use crate::engine::retry::{Delivery, Event, RetryPolicy, Step, TransportFailure};
use crate::model::endpoint::Endpoint;
use crate::selection::window::Window;
use crate::wire::list::{List, ListPage};
use crate::{FleetStep, LaneId, Pager};
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;
use http::Response;

/// A queue of windows, and as many [`Pager`]s as may be at work on them.
#[derive(Clone, Debug)]
pub(crate) struct Pagers {
    endpoint: Endpoint,
    /// What is listed, of all time that matters.
    pub(crate) list: List,
    policy: RetryPolicy,
    seed: u64,
    opened: u64,
    pub(crate) limit: usize,
    pub(crate) queue: VecDeque<Window>,
    lanes: Vec<Option<Lane>>,
    pub(crate) pace: Pace,
    clock: Clock,
    pub(crate) pages: u64,
    pub(crate) requests: u64,
    halted: Option<Halt>,
}

#[derive(Clone, Debug)]
struct Lane {
    window: Window,
    pager: Pager,
    state: LaneState,
    /// Whether its last answer was a 429.
    limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    Ready,
    Waiting(Duration),
    InFlight,
}

impl Pagers {
    pub(crate) fn new(endpoint: Endpoint, list: List, policy: RetryPolicy, seed: u64, limit: usize) -> Self {
        Self {
            endpoint,
            list,
            policy,
            seed,
            opened: 0,
            limit,
            queue: VecDeque::new(),
            lanes: Vec::new(),
            pace: Pace::new(limit),
            clock: Clock::default(),
            pages: 0,
            requests: 0,
            halted: None,
        }
    }

    /// Done when no window is left, or when one of them could not be listed.
    pub(crate) fn poll(&mut self, now: Duration) -> FleetStep<Option<Halt>> {
        if let Some(old) = self.clock.told(now) {
            self.pace.rebase(old, now);
            for lane in self.lanes.iter_mut().flatten() {
                if let LaneState::Waiting(until) = &mut lane.state {
                    *until = rebased(*until, old, now);
                }
            }
        }
        loop {
            if self.halted.is_some() {
                return if self.in_flight() > 0 { FleetStep::Idle } else { FleetStep::Done(self.halted.clone()) };
            }
            self.fill();
            let gate = self.pace.gate(now);
            let room = self.pace.has_room(self.in_flight());
            let mut next: Option<Duration> = None;
            let mut wake = |at: Duration| next = Some(next.map_or(at, |next| next.min(at)));
            let mut changed = false;
            for at in 0..self.lanes.len() {
                let Some(lane) = self.lanes.get_mut(at).and_then(Option::as_mut) else { continue };
                match lane.state {
                    LaneState::InFlight => {}
                    LaneState::Waiting(until) if until > now => wake(until),
                    LaneState::Waiting(_) | LaneState::Ready if gate > now => wake(gate),
                    // An answer will make room.
                    LaneState::Waiting(_) | LaneState::Ready if !room => {}
                    LaneState::Waiting(_) | LaneState::Ready => match lane.pager.poll() {
                        Step::Send(request) => {
                            lane.state = LaneState::InFlight;
                            self.pace.sent(now);
                            return FleetStep::Send(LaneId(at), request);
                        }
                        Step::Wait(wait) => {
                            lane.state = LaneState::Waiting(now.saturating_add(wait));
                            changed = true;
                        }
                        Step::Done(halt) => {
                            self.close(LaneId(at));
                            self.halted = self.halted.take().or(halt);
                            changed = true;
                        }
                    },
                }
            }
            if changed {
                continue;
            }
            return match next {
                Some(next) => FleetStep::WaitUntil(next),
                None if self.in_flight() > 0 => FleetStep::Idle,
                None => FleetStep::Done(None),
            };
        }
    }

    /// Puts idle lanes to work.
    fn fill(&mut self) {
        while self.lanes() < self.limit && self.halted.is_none() {
            let Some(window) = self.queue.pop_front() else { return };
            let list = match window.narrow(&self.list.selection()) {
                Ok(selection) => self.list.of(selection),
                // Cannot happen: a part of a window that was valid is one, too.
                Err(error) => {
                    self.halted = Some(Halt::Unbuildable(error.to_string()));
                    return;
                }
            };
            self.put(window, list);
        }
    }

    /// Opens a lane.
    pub(crate) fn put(&mut self, window: Window, list: List) {
        let seed = self.seed.wrapping_add(self.opened);
        self.opened = self.opened.wrapping_add(1);
        let pager = Pager::new(self.endpoint.clone(), list, self.policy, seed);
        let lane = Some(Lane { window, pager, state: LaneState::Ready, limited: false });
        match self.lanes.iter_mut().find(|lane| lane.is_none()) {
            Some(free) => *free = lane,
            None => self.lanes.push(lane),
        }
    }

    /// What is left of its window is not listed.
    pub(crate) fn close(&mut self, LaneId(at): LaneId) {
        if let Some(lane) = self.lanes.get_mut(at) {
            *lane = None;
        }
    }

    /// The same for all lanes that wait for no response.
    pub(crate) fn close_idle(&mut self) {
        for lane in &mut self.lanes {
            lane.take_if(|lane| lane.state != LaneState::InFlight);
        }
    }

    /// Sends nothing more.
    pub(crate) fn halt(&mut self, halt: Halt) {
        self.halted.get_or_insert(halt);
    }

    pub(crate) fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<(Window, Event<ListPage>), OutOfTurn> {
        self.pace.heard(response.headers());
        self.told(lane, true, |pager| pager.on_response(response))
    }

    pub(crate) fn on_failure(
        &mut self,
        lane: LaneId,
        failure: TransportFailure,
    ) -> Result<(Window, Event<ListPage>), OutOfTurn> {
        let sent = failure.delivery != Delivery::NotSent;
        self.told(lane, sent, |pager| pager.on_failure(failure))
    }

    fn told(
        &mut self,
        lane: LaneId,
        sent: bool,
        tell: impl FnOnce(&mut Pager) -> Result<Event<ListPage>, OutOfTurn>,
    ) -> Result<(Window, Event<ListPage>), OutOfTurn> {
        let lane = self.in_flight_lane(lane)?;
        let event = tell(&mut lane.pager)?;
        let window = lane.window;
        lane.state = LaneState::Ready;
        lane.limited = false;
        let halted = lane.pager.halted().cloned();
        match &event {
            Event::Page(_) => {
                self.pages = self.pages.saturating_add(1);
                self.pace.page();
                // What was refused for the others' sake is no failed attempt while the others get on.
                let limited = self.lanes.iter_mut().flatten().filter(|lane| lane.limited);
                limited.for_each(|lane| lane.pager.forgive());
            }
            Event::Retry(retried) if is_rate_limit(&retried.cause) => {
                lane.limited = true;
                // All lanes wait; it need not wait again by itself.
                lane.pager.waited();
                self.pace.refused(retried.after);
            }
            Event::Retry(_) | Event::Ended => {}
        }
        // The others learn of it before they send anything more.
        self.halted = self.halted.take().or(halted);
        self.requests = self.requests.saturating_add(u64::from(sent));
        Ok((window, event))
    }

    pub(crate) fn withdraw(&mut self, lane: LaneId) -> Result<(), OutOfTurn> {
        let lane = self.in_flight_lane(lane)?;
        lane.pager.withdraw()?;
        lane.state = LaneState::Ready;
        Ok(())
    }

    fn in_flight_lane(&mut self, LaneId(at): LaneId) -> Result<&mut Lane, OutOfTurn> {
        let lane = self.lanes.get_mut(at).and_then(Option::as_mut);
        lane.filter(|lane| lane.state == LaneState::InFlight).ok_or(OutOfTurn)
    }

    pub(crate) fn abandon(&mut self) {
        for at in 0..self.lanes.len() {
            // Out of turn where nothing is in flight, which changes nothing.
            let _ = self.on_failure(LaneId(at), Delivery::Unknown.into());
        }
        self.clock.begin_anew();
    }

    /// How many are open.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.iter().flatten().count()
    }

    fn in_flight(&self) -> usize {
        self.lanes.iter().flatten().filter(|lane| lane.state == LaneState::InFlight).count()
    }
}
