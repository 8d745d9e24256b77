//! The windows of a listing, found by looking.
//!
//! A listing begins in one lane. One that goes on for more than a few pages is cut into windows. Those that hold more than a
//! page are cut again before anything of them is handed over, until there is work for every lane. From then on the windows
//! stay as they are: a cursor is opaque and belongs to its window.
//!
//! Each window is judged by the runs it shows, at both ends. A window between runs that were seen is asked for first: a
//! server that does not keep to dates shows some of them, and is listed in one lane. One that stops keeping to dates later
//! ends the listing. Each run is handed over once.

use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::lanes::Lanes;
use crate::engine::outcome::Totals;
use crate::engine::plan::{Drained, Plan};
use crate::job::list::ListJob;
use crate::model::cursor::Cursor;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::window::Window;
use crate::wire::list::{List, ListPage};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;

/// So many pages are listed in one lane before others open: a short listing costs no request more.
const ALONE: u32 = 8;
/// So many windows a lane are wanted: they stay as they are and end at different times, and the last ones should be short.
const WINDOWS_A_LANE: usize = 4;
/// No more windows than so many a lane are looked at, but always enough to find an hour within months.
const LOOKS_A_LANE: usize = 8;
const LOOKS: usize = 96;

/// What the service holds dates against is not promised: official texts name several times.
const TIMES: [fn(&DlqMessage) -> Option<UnixMillis>; 2] = [DlqMessage::created_at, DlqMessage::workflow_created_at];

#[derive(Clone, Debug)]
pub(crate) struct Found {
    endpoint: Endpoint,
    /// What is listed, without windows.
    list: List,
    whole: Window,
    /// How many lanes may be open.
    limit: usize,
    queue: VecDeque<Part>,
    stage: Stage,
    /// Pages that were listed in one lane.
    alone: u32,
    /// The runs that were handed over before windows were taken as they are, and when those of the first pages failed.
    seen: BTreeMap<DlqId, i64>,
    /// Which of a message's times the server may hold windows against, by their places in [`TIMES`].
    times: [bool; TIMES.len()],
    /// Whether all runs have an id and a time. Without them it cannot be told whether the server keeps to windows.
    dated: bool,
    /// How many windows were made so far.
    made: usize,
    /// The windows of this generation that hold more than a page.
    full: Vec<Window>,
    listed: u64,
    dates_ignored: bool,
}

/// What a lane lists.
#[derive(Clone, Debug)]
enum Part {
    /// The listing as it was given.
    Whole,
    /// What follows the pages that were listed in one lane.
    Rest(Cursor),
    Window(Window),
}

#[derive(Clone, Debug)]
enum Stage {
    /// One lane, from the start of everything.
    Alone,
    /// One window that holds nothing, between runs that were seen: whatever the server shows of them tells that it does not
    /// keep to dates.
    Probe { rest: Cursor },
    /// The first page of each window.
    Split { rest: Cursor },
    /// Windows that are listed to their ends.
    Through,
    /// The server does not keep to dates: pages of windows that are still in flight are passed over.
    Drain { rest: Cursor },
    /// The rest is listed in one lane.
    Rest,
}

/// How a listing ended, or how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether everything was listed"]
#[non_exhaustive]
pub struct ListingOutcome {
    /// How many runs were handed over.
    pub listed: u64,
    /// What was sent. A listing affects no run.
    pub totals: Totals,
    /// Whether the server does not keep to the dates of a window, so that everything was listed in one lane.
    pub dates_ignored: bool,
    /// `None` when everything was listed. Otherwise why not.
    pub halted: Option<Halt>,
}

impl Found {
    /// `now` is where an open window is cut from. A listing that begins at a cursor stays in one lane.
    pub(crate) fn new(endpoint: &Endpoint, list: List, lanes: usize, now: UnixMillis) -> Self {
        Self {
            endpoint: endpoint.clone(),
            whole: Window::of(&list.selection(), now),
            limit: if list.cursor.is_some() { 1 } else { lanes },
            list,
            queue: VecDeque::from([Part::Whole]),
            stage: Stage::Alone,
            alone: 0,
            seen: BTreeMap::new(),
            times: [true; TIMES.len()],
            dated: true,
            made: 0,
            full: Vec::new(),
            listed: 0,
            dates_ignored: false,
        }
    }

    fn push(&mut self, windows: impl IntoIterator<Item = Window>) {
        self.queue.extend(windows.into_iter().map(Part::Window));
    }

    fn hand_over(&mut self, page: ListPage) -> ListPage {
        self.listed = self.listed.saturating_add(page.messages.len() as u64);
        page
    }

    fn on_page_alone(&mut self, page: &ListPage, next: &mut Next) {
        if self.limit == 1 || self.alone == ALONE {
            return;
        }
        self.alone += 1;
        for message in &page.messages {
            // A time that not even the first runs carry tells nothing about windows.
            self.times.iter_mut().zip(TIMES).for_each(|(held, time)| *held &= time(message).is_some());
            match (message.dlq_id(), message.created_at()) {
                (Some(id), Some(at)) => drop(self.seen.insert(id, at.get())),
                _ => self.dated = false,
            }
        }
        let Some(cursor) = page.cursor.clone().filter(|_| self.alone == ALONE) else { return };
        match self.probe() {
            Some(probe) if self.dated && self.whole.width() > 1 && *next == Next::More => {
                *next = Next::Finished;
                self.push([probe]);
                self.stage = Stage::Probe { rest: cursor };
            }
            _ => {}
        }
    }

    /// The narrowest window that holds nothing of what was seen, with runs before and after it. Where runs fail in every
    /// millisecond, one that holds as few as possible.
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

    fn on_probe(&mut self, window: Window, page: &ListPage, rest: Cursor) -> Stage {
        if !self.keeps_to(window, page) {
            self.dates_ignored = true;
            Stage::Drain { rest }
        } else if page.cursor.is_some() {
            // It holds more than was seen of it, and so proves nothing.
            Stage::Drain { rest }
        } else {
            let windows = self.whole.split(self.limit);
            self.made = windows.len();
            self.push(windows);
            Stage::Split { rest }
        }
    }

    /// Cuts the windows that hold more than a page while there are not enough of them for all lanes, and then takes them as
    /// they are. Returns whether there is more to do.
    fn next_windows(&mut self) -> bool {
        if let Stage::Drain { rest } = &self.stage {
            // Goes on as if nothing had been tried.
            self.queue.push_back(Part::Rest(rest.clone()));
            self.stage = Stage::Rest;
            return true;
        }
        if !matches!(self.stage, Stage::Split { .. }) || self.full.is_empty() {
            return false;
        }
        let wanted = self.limit.saturating_mul(WINDOWS_A_LANE);
        let full = self.full.len();
        let affordable = self.limit.saturating_mul(LOOKS_A_LANE).max(LOOKS).saturating_sub(self.made) / full;
        // Few of them hold it all, wherever in them it lies: these are cut to find it, not to share it.
        let aim = if full < self.limit { wanted / 2 } else { wanted };
        let parts = aim.div_ceil(full).min(affordable).max(1);
        let cut: Vec<Window> = self.full.iter().flat_map(|window| window.split(parts)).collect();
        if full < wanted && cut.len() > full {
            self.made = self.made.saturating_add(cut.len());
            self.full.clear();
            self.push(cut);
            return true;
        }
        self.stage = Stage::Through;
        let full = mem::take(&mut self.full);
        self.push(full);
        true
    }
}

impl Plan for Found {
    type Job = ListJob;
    type Page = ListPage;
    type Outcome = ListingOutcome;

    fn next(&mut self) -> Result<Option<ListJob>, Halt> {
        let Some(part) = self.queue.pop_front() else { return Ok(None) };
        let (window, list) = match part {
            Part::Whole => (self.whole, self.list.clone()),
            Part::Rest(cursor) => (self.whole, self.list.clone().after(cursor)),
            Part::Window(window) => {
                let selection = window.narrow(&self.list.selection());
                // A part of a window that was valid is one, too. If it is not, the error is passed on.
                (window, self.list.of(selection.map_err(|error| Halt::Unbuildable(error.to_string()))?))
            }
        };
        Ok(Some(ListJob::new(&self.endpoint, list, window)))
    }

    fn queued(&self) -> usize {
        self.queue.len()
    }

    fn on_page(&mut self, job: &mut ListJob, mut page: ListPage, next: &mut Next) -> ListPage {
        let window = job.window;
        match mem::replace(&mut self.stage, Stage::Rest) {
            Stage::Alone => {
                self.stage = Stage::Alone;
                self.on_page_alone(&page, next);
                return self.hand_over(page);
            }
            Stage::Probe { rest } => {
                *next = Next::Finished;
                self.stage = self.on_probe(window, &page, rest);
                // They come again, with the rest of their windows.
                page.messages.clear();
            }
            Stage::Split { rest } if self.keeps_to(window, &page) => {
                if page.cursor.is_some() {
                    // The window may be cut: nothing of it is handed over unless this is all of it.
                    *next = Next::Finished;
                    self.full.push(window);
                    page.messages.clear();
                }
                self.stage = Stage::Split { rest };
            }
            Stage::Split { rest } => {
                self.dates_ignored = true;
                self.queue.clear();
                *next = Next::Finished;
                page.messages.clear();
                self.stage = Stage::Drain { rest };
            }
            Stage::Through if self.keeps_to(window, &page) => self.stage = Stage::Through,
            Stage::Through => {
                // Too late to begin anew: what was handed over is not remembered.
                self.dates_ignored = true;
                *next = Next::Halt(Halt::DatesIgnored);
                page.messages.clear();
                self.stage = Stage::Through;
            }
            Stage::Drain { rest } => {
                *next = Next::Finished;
                page.messages.clear();
                self.stage = Stage::Drain { rest };
            }
            Stage::Rest => {}
        }
        page.messages.retain(|message| message.dlq_id().is_none_or(|id| !self.seen.contains_key(&id)));
        if let Stage::Split { .. } = self.stage {
            // If another window shows that the server ignores dates, all of it is listed again.
            let ids = page.messages.iter().filter_map(DlqMessage::dlq_id);
            self.seen.extend(ids.map(|id| (id, 0)));
        }
        self.hand_over(page)
    }

    fn rebalance(&mut self, lanes: &mut Lanes<'_, ListJob>) {
        if let Stage::Drain { .. } = self.stage {
            lanes.close_idle();
        }
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        if self.next_windows() { Drained::Again } else { Drained::Done }
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> ListingOutcome {
        ListingOutcome { listed: self.listed, totals, dates_ignored: self.dates_ignored, halted }
    }
}
