//! Listing on many lanes at once.

use crate::engine::outcome::{Halt, OutOfTurn};
use crate::engine::retry::{Event, RetryPolicy, TransportFailure};
use crate::model::cursor::Cursor;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::pagers::Pagers;
use crate::selection::window::Window;
use crate::wire::list::{List, ListPage};
use crate::{FleetStep, LaneId, Lanes};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::num::{NonZeroU32, NonZeroUsize};
use core::time::Duration;
use http::Response;

/// So many pages are listed in one lane before others open: a short listing costs no request more.
const ALONE: u32 = 8;
/// So many windows a lane are wanted: they stay as they are and end at different times, and the last ones should be short.
const WINDOWS_A_LANE: usize = 4;
/// No more windows than so many a lane are looked at, but always enough to find an hour within months.
const LOOKS_A_LANE: usize = 8;
const LOOKS: usize = 96;

/// Lists disjoint windows of time side by side, for whoever does not mind the order: to count, to sum up.
///
/// It begins in one lane. A listing that goes on for more than a few pages is cut into windows; those that turn out to
/// hold more than a page are cut again before anything of them is handed over, until there is work for every lane. From
/// then on the windows stay as they are: a cursor is opaque and belongs to its window.
///
/// Each window is judged by the runs it shows, at both ends. A window between runs that were seen is asked for first: a
/// server that does not keep to its dates shows some of them, and is listed in one lane
/// ([`ListOutcome::dates_ignored`]). One that stops keeping to dates later ends the listing ([`Halt::DatesIgnored`]). Each
/// run is handed over once.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use upstash_dlq_core::{Endpoint, FleetStep, List, ListFleet, RetryPolicy, Token, UnixMillis};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let (lanes, now) = (NonZeroUsize::new(4).unwrap(), UnixMillis::new(1_764_000_000_000));
/// let mut fleet = ListFleet::new(endpoint, List::everything(), RetryPolicy::default(), 0, lanes, now);
/// let outcome = loop {
///     match fleet.poll(Duration::ZERO) {
///         FleetStep::Send(lane, _request) => {
///             fleet.on_response(lane, &http::Response::new(r#"{"messages":[{"dlqId":"a"}]}"#))?;
///         }
///         FleetStep::WaitUntil(_) | FleetStep::Idle => unreachable!(),
///         FleetStep::Done(outcome) => break outcome,
///     }
/// };
/// assert!(outcome.listed == 1 && outcome.requests == 1 && outcome.halted.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListFleet {
    pagers: Pagers,
    whole: Window,
    stage: Stage,
    /// Pages listed in one lane.
    alone: u32,
    /// The runs that were handed over before windows were taken as they are, and when those of the first pages failed.
    seen: BTreeMap<DlqId, i64>,
    /// Which of a message's times the server may hold windows against, by their places in [`TIMES`].
    times: [bool; TIMES.len()],
    /// Whether all of them have an id and a time, without which windows cannot be told to be kept to.
    dated: bool,
    /// Windows that were made so far.
    made: usize,
    /// Those of this generation that hold more than a page.
    full: Vec<Window>,
    listed: u64,
    dates_ignored: bool,
    done: Option<ListOutcome>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// One lane, from the start of everything.
    Alone,
    /// One window that holds nothing, between runs that were seen: whatever the server shows of them tells that it does not
    /// keep to its dates.
    Probe { rest: Cursor },
    /// The first page of each window.
    Split { rest: Cursor },
    /// Windows that are listed to their ends.
    Through,
    /// The server does not keep to dates: what is still out of windows is passed over, …
    Drain { rest: Cursor },
    /// … and the rest is listed in one lane.
    Rest,
}

/// What the service holds dates against is not promised: official texts name several times.
const TIMES: [fn(&DlqMessage) -> Option<UnixMillis>; 2] = [DlqMessage::created_at, DlqMessage::workflow_created_at];

/// How a listing on many lanes ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether everything was listed"]
#[non_exhaustive]
pub struct ListOutcome {
    /// How many runs were handed over.
    pub listed: u64,
    /// Answers that were understood.
    pub pages: u64,
    /// Requests that were, or may have been, sent.
    pub requests: u64,
    /// Whether the server does not keep to the dates of a window, so that everything was listed in one lane.
    pub dates_ignored: bool,
    /// `None` when everything was listed. Otherwise why not.
    pub halted: Option<Halt>,
}

impl ListFleet {
    /// The seed decides the random part of the waits between attempts; `now` is where an open window is cut from. A list
    /// that begins at a cursor stays in one lane.
    pub fn new(
        endpoint: Endpoint,
        list: List,
        policy: RetryPolicy,
        seed: u64,
        lanes: NonZeroUsize,
        now: UnixMillis,
    ) -> Self {
        let whole = Window::of(&list.selection(), now);
        let limit = if list.cursor.is_some() { 1 } else { lanes.get() };
        let mut pagers = Pagers::new(endpoint, list.clone(), policy, seed, limit);
        pagers.put(whole, list);
        Self {
            pagers,
            whole,
            stage: Stage::Alone,
            alone: 0,
            seen: BTreeMap::new(),
            times: [true; TIMES.len()],
            dated: true,
            made: 0,
            full: Vec::new(),
            listed: 0,
            dates_ignored: false,
            done: None,
        }
    }

    /// At most so many requests a second, all lanes together.
    #[must_use]
    pub fn rate(mut self, per_second: NonZeroU32) -> Self {
        self.pagers.pace.limit(per_second.get());
        self
    }

    /// What to do now, `now` being the time since any fixed moment.
    pub fn poll(&mut self, now: Duration) -> FleetStep<ListOutcome> {
        loop {
            if let Some(outcome) = &self.done {
                return FleetStep::Done(outcome.clone());
            }
            match self.pagers.poll(now) {
                FleetStep::Send(lane, request) => return FleetStep::Send(lane, request),
                FleetStep::WaitUntil(at) => return FleetStep::WaitUntil(at),
                FleetStep::Idle => return FleetStep::Idle,
                FleetStep::Done(None) if self.next_windows() => {}
                FleetStep::Done(halted) => self.done = Some(ListOutcome { halted, ..self.outcome_so_far() }),
            }
        }
    }

    /// Takes the answer to a lane's request. A page holds what is handed over, which may be nothing; its cursor is of its
    /// window.
    ///
    /// # Errors
    /// When the lane has none in flight.
    pub fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<ListPage>, OutOfTurn> {
        let (window, event) = self.pagers.on_response(lane, response)?;
        Ok(match event {
            Event::Page(page) => Event::Page(self.on_page(lane, window, page)),
            event => self.on_event(lane, event),
        })
    }

    /// Takes the news that no answer will come to a lane's request: it is asked again.
    ///
    /// # Errors
    /// When the lane has none in flight.
    pub fn on_failure(
        &mut self,
        lane: LaneId,
        failure: impl Into<TransportFailure>,
    ) -> Result<Event<ListPage>, OutOfTurn> {
        let (_, event) = self.pagers.on_failure(lane, failure.into())?;
        Ok(self.on_event(lane, event))
    }

    fn on_page(&mut self, lane: LaneId, window: Window, mut page: ListPage) -> ListPage {
        match mem::replace(&mut self.stage, Stage::Rest) {
            Stage::Alone => {
                self.stage = Stage::Alone;
                self.on_page_alone(lane, &page);
                return self.hand_over(page);
            }
            Stage::Probe { rest } => {
                self.pagers.close(lane);
                self.stage = if !self.keeps_to(window, &page) {
                    self.dates_ignored = true;
                    Stage::Drain { rest }
                } else if page.cursor.is_some() {
                    // It holds more than was seen of it, and so proves nothing.
                    Stage::Drain { rest }
                } else {
                    let windows = self.whole.split(self.pagers.limit);
                    self.made = windows.len();
                    self.pagers.queue.extend(windows);
                    Stage::Split { rest }
                };
                // They come again, with the rest of their windows.
                page.messages.clear();
            }
            Stage::Split { rest } if self.keeps_to(window, &page) => {
                self.on_first_page(lane, window, &mut page);
                self.stage = Stage::Split { rest };
            }
            Stage::Split { rest } => {
                self.dates_ignored = true;
                self.pagers.queue.clear();
                self.pagers.close_idle();
                self.pagers.close(lane);
                page.messages.clear();
                self.stage = Stage::Drain { rest };
            }
            Stage::Through if self.keeps_to(window, &page) => self.stage = Stage::Through,
            Stage::Through => {
                // Too late to begin anew: what was handed over is not remembered.
                self.dates_ignored = true;
                self.pagers.halt(Halt::DatesIgnored);
                page.messages.clear();
                self.stage = Stage::Through;
            }
            Stage::Drain { rest } => {
                self.pagers.close(lane);
                page.messages.clear();
                self.stage = Stage::Drain { rest };
            }
            Stage::Rest => {}
        }
        page.messages.retain(|message| message.dlq_id().is_none_or(|id| !self.seen.contains_key(&id)));
        if let Stage::Split { .. } = self.stage {
            // Should another window give the server away, all of it is listed again.
            let ids = page.messages.iter().filter_map(DlqMessage::dlq_id);
            self.seen.extend(ids.map(|id| (id, 0)));
        }
        self.hand_over(page)
    }

    /// A lane whose request is to be sent again has nothing to do any more.
    fn on_event(&mut self, lane: LaneId, event: Event<ListPage>) -> Event<ListPage> {
        if let (Stage::Drain { .. }, Event::Retry(_)) = (&self.stage, &event) {
            self.pagers.close(lane);
        }
        event
    }

    fn hand_over(&mut self, page: ListPage) -> ListPage {
        self.listed = self.listed.saturating_add(page.messages.len() as u64);
        page
    }

    fn on_page_alone(&mut self, lane: LaneId, page: &ListPage) {
        if self.pagers.limit == 1 || self.alone == ALONE {
            return;
        }
        self.alone += 1;
        for message in &page.messages {
            // A time that not even the first runs carry tells nothing of windows.
            self.times.iter_mut().zip(TIMES).for_each(|(held, time)| *held &= time(message).is_some());
            match (message.dlq_id(), message.created_at()) {
                (Some(id), Some(at)) => drop(self.seen.insert(id, at.get())),
                _ => self.dated = false,
            }
        }
        let Some(cursor) = page.cursor.clone().filter(|_| self.alone == ALONE) else { return };
        match self.probe() {
            Some(probe) if self.dated && self.whole.width() > 1 => {
                self.pagers.close(lane);
                self.pagers.queue.push_back(probe);
                self.stage = Stage::Probe { rest: cursor };
            }
            _ => {}
        }
    }

    /// The narrowest window that holds nothing of what was seen, with runs before and after it; or one of as little as
    /// possible where runs fail in every millisecond.
    fn probe(&self) -> Option<Window> {
        let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
        // What a server shows from beyond the listing's own dates is no reason to ask there.
        let within = self.seen.values().filter(|at| self.whole.contains(**at));
        within.for_each(|at| *seen.entry(*at).or_default() += 1);
        let window = |lo, hi| Window { lo, hi, open_below: false, open_above: false };
        let pairs = seen.keys().zip(seen.keys().skip(1));
        let gaps = pairs.filter(|(before, after)| after.checked_sub(**before).is_none_or(|gap| gap > 1));
        let narrowest = gaps.min_by_key(|(before, after)| i128::from(**after) - i128::from(**before));
        if let Some((before, after)) = narrowest {
            return Some(window(before + 1, after - 1));
        }
        let inner = seen.iter().skip(1).take(seen.len().saturating_sub(2));
        inner.min_by_key(|(_, runs)| **runs).map(|(at, _)| window(*at, *at))
    }

    /// Whether every run of the page lies in its window, by a time that holds for all pages so far: then each run is in one
    /// window and in no other. A run that does not carry the time says nothing against it.
    fn keeps_to(&mut self, window: Window, page: &ListPage) -> bool {
        for (held, time) in self.times.iter_mut().zip(TIMES) {
            let inside = |message: &DlqMessage| time(message).is_none_or(|at| window.contains(at.get()));
            *held &= page.messages.iter().all(inside);
        }
        self.times.contains(&true)
    }

    /// Of a window that may be cut: nothing of it is handed over unless this is all of it.
    fn on_first_page(&mut self, lane: LaneId, window: Window, page: &mut ListPage) {
        if page.cursor.is_some() {
            self.pagers.close(lane);
            self.full.push(window);
            page.messages.clear();
        }
    }

    /// Cuts the windows that hold more than a page while there are not enough of them for all lanes, and then takes them
    /// as they are. Whether there is more to do.
    fn next_windows(&mut self) -> bool {
        if let Stage::Drain { rest } = &self.stage {
            // Goes on as if nothing had been tried.
            self.pagers.put(self.whole, self.pagers.list.clone().after(rest.clone()));
            self.stage = Stage::Rest;
            return true;
        }
        if !matches!(self.stage, Stage::Split { .. }) || self.full.is_empty() {
            return false;
        }
        let wanted = self.pagers.limit.saturating_mul(WINDOWS_A_LANE);
        let full = self.full.len();
        let affordable = self.pagers.limit.saturating_mul(LOOKS_A_LANE).max(LOOKS).saturating_sub(self.made) / full;
        // Few of them hold it all, wherever in them it lies: these are cut to find it, not to share it.
        let aim = if full < self.pagers.limit { wanted / 2 } else { wanted };
        let parts = aim.div_ceil(full).min(affordable).max(1);
        let cut: Vec<Window> = self.full.iter().flat_map(|window| window.split(parts)).collect();
        if full < wanted && cut.len() > full {
            self.made = self.made.saturating_add(cut.len());
            self.full.clear();
            self.pagers.queue.extend(cut);
            return true;
        }
        self.stage = Stage::Through;
        self.pagers.queue.extend(mem::take(&mut self.full));
        true
    }

    /// How it ended, or how it stands.
    pub fn outcome_so_far(&self) -> ListOutcome {
        self.done.clone().unwrap_or(ListOutcome {
            listed: self.listed,
            pages: self.pagers.pages,
            requests: self.pagers.requests,
            dates_ignored: self.dates_ignored,
            halted: None,
        })
    }
}

impl Lanes for ListFleet {
    type Page = ListPage;
    type Outcome = ListOutcome;

    fn poll(&mut self, now: Duration) -> FleetStep<ListOutcome> {
        Self::poll(self, now)
    }

    fn on_response<B: AsRef<[u8]>>(
        &mut self,
        lane: LaneId,
        response: &Response<B>,
    ) -> Result<Event<ListPage>, OutOfTurn> {
        Self::on_response(self, lane, response)
    }

    fn on_failure(&mut self, lane: LaneId, failure: TransportFailure) -> Result<Event<ListPage>, OutOfTurn> {
        Self::on_failure(self, lane, failure)
    }

    fn withdraw(&mut self, lane: LaneId) -> Result<(), OutOfTurn> {
        self.pagers.withdraw(lane)
    }

    fn abandon(&mut self) {
        self.pagers.abandon();
    }

    fn lanes(&self) -> usize {
        // Those that are about to open, too: whoever drives them starts as many threads.
        self.pagers.lanes().saturating_add(self.pagers.queue.len()).min(self.pagers.limit)
    }

    fn limit(&self) -> usize {
        self.pagers.limit
    }
}
