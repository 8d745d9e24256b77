//! The windows of a listing, found by looking.
//!
//! A listing begins in one lane. If it goes on for more than a few pages, it is cut into windows. Windows with more than one
//! page are cut again before any of their runs is handed over, until there is work for every lane. From then on the windows
//! stay as they are, because a cursor belongs to its window.
//!
//! The runs of each window are compared with both of its ends. The first window is a probe, between runs that were seen. A
//! server that ignores dates returns some of them, and is listed in one lane. A server that begins to ignore dates later ends
//! the listing. Each run is handed over once.

use crate::bugs::bug;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::lanes::Lanes;
use crate::engine::plan::{Drained, Plan};
use crate::engine::totals::Totals;
use crate::job::list::ListJob;
use crate::job::page_size::PageSize;
use crate::model::cursor::Cursor;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::window::Window;
use crate::wire::list::{List, ListPage};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::mem;
use serde::{Deserialize, Serialize};

/// How many pages are listed in one lane before others open. So a short listing needs no further requests.
const ALONE: u32 = 8;
/// The same for a listing whose windows are cut later.
const ALONE_IF_CUT_LATER: u32 = 2;
/// With how many windows such a listing goes on.
const FIRST_WINDOWS: usize = 6;
/// How many windows are wanted for each lane. They are not cut later and end at different times, so each should be short.
const WINDOWS_A_LANE: usize = 4;
/// The most windows that are requested to find the runs, for each lane …
const LOOKS_A_LANE: usize = 8;
/// … and at least so many in all, which are enough to find an hour within months.
const LOOKS: usize = 96;

/// How many runs without a time are told apart. A listing on lanes ends if there are more.
const MOST_TIMELESS: usize = 65_536;

/// The times of a message that the service may compare with dates. Its documents name several.
const TIMES: [fn(&DlqMessage) -> Option<UnixMillis>; 2] = [DlqMessage::created_at, DlqMessage::workflow_created_at];

#[derive(Clone, Debug)]
pub(crate) struct ListingWindows {
    endpoint: Endpoint,
    /// The listing as it was given.
    list: List,
    whole: Window,
    /// How many lanes may be open.
    limit: usize,
    /// Whether the caller remembers what was listed, and cuts the windows while they are listed.
    is_cut_later: bool,
    queue: VecDeque<Part>,
    stage: Stage,
    /// How many pages were listed in one lane.
    alone: u32,
    /// The runs that were handed over before the windows were fixed. Those of the first pages have the times when they failed.
    seen: BTreeMap<DlqId, i64>,
    /// Hashes of runs without such a time, which the server may show in each window.
    timeless: BTreeSet<u64>,
    /// Which of the [`TIMES`] the server may compare with windows.
    times: [bool; TIMES.len()],
    /// Whether all runs have an id and a time. Without these, nothing shows whether the server keeps to windows.
    dated: bool,
    /// How many windows were made so far.
    made: usize,
    /// The windows of this generation that hold more than a page.
    full: Vec<Window>,
    listed: u64,
    /// How many of them were listed in one lane, before the windows.
    listed_alone: u64,
    /// The size of the last page, for lanes that begin.
    page_size: PageSize,
    dates_ignored: bool,
}

/// What a lane lists.
#[derive(Clone, Debug)]
enum Part {
    /// The listing as it was given.
    Whole,
    /// The pages after those that were listed in one lane.
    Rest(Rest),
    Window(Window),
}

/// Where the listing in one lane left off.
#[derive(Clone, Debug)]
struct Rest {
    cursor: Cursor,
    /// The count of the page that the cursor came with.
    size: u32,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The first pages, in one lane.
    Alone,
    /// One window that should be empty, between runs that were seen. A server that returns any of those does not keep to
    /// dates.
    Probe { rest: Rest },
    /// The first page of each window.
    Split { rest: Rest },
    /// The windows, each to its end.
    Through,
    /// The server does not keep to dates, or the probe proved nothing. Pages of windows that are still in flight are ignored.
    Drain { rest: Rest },
    /// The rest, in one lane.
    Rest,
}

/// How a listing ended, or how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "only this tells whether everything was listed"]
#[non_exhaustive]
pub struct ListingOutcome {
    /// How many runs were handed over.
    pub listed: u64,
    /// Counts of what was sent. A listing affects no run.
    pub totals: Totals,
    /// Whether dates could not be used: the server ignored those of a window, or showed too many runs without a time. Everything was
    /// then listed in one lane, or the listing halted.
    pub dates_ignored: bool,
    /// `None` if everything was listed. Otherwise, why it was not.
    pub halted: Option<Halt>,
}

impl ListingWindows {
    /// An open window is cut up to `now`. A listing that begins at a cursor stays in one lane.
    pub(crate) fn new(endpoint: &Endpoint, list: List, lanes: usize, now: UnixMillis) -> Self {
        Self {
            endpoint: endpoint.clone(),
            whole: Window::of(&list.selection(), now),
            limit: if list.cursor.is_some() { 1 } else { lanes },
            is_cut_later: false,
            page_size: PageSize::new(list.page_size),
            list,
            queue: VecDeque::from([Part::Whole]),
            stage: Stage::Alone,
            alone: 0,
            seen: BTreeMap::new(),
            timeless: BTreeSet::new(),
            times: [true; TIMES.len()],
            dated: true,
            made: 0,
            full: Vec::new(),
            listed: 0,
            listed_alone: 0,
            dates_ignored: false,
        }
    }

    /// The same for a caller who remembers what was listed, and calls [`cut`](Self::cut). The listing then begins with a few wide
    /// windows, instead of looking for the runs first.
    pub(crate) fn cut_later(self) -> Self {
        Self { is_cut_later: true, ..self }
    }

    /// How many pages are listed in one lane before others open.
    fn alone(&self) -> u32 {
        if self.is_cut_later { ALONE_IF_CUT_LATER } else { ALONE }
    }

    /// The size of the last page.
    pub(crate) fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Begins with pages of this size, or with smaller ones.
    pub(crate) fn begin_with(&mut self, page_size: PageSize) {
        self.page_size = page_size.at_most(self.list.page_size);
    }

    /// Whether the server has shown that it does not keep to dates.
    pub(crate) fn are_dates_ignored(&self) -> bool {
        self.dates_ignored
    }

    /// Whether windows were given up, so that lanes with one have nothing left to do.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Drain { .. })
    }

    /// Cuts the window of a lane, whose first part starts over. Only for callers who remember what was listed. Nothing happens while
    /// the windows are looked for, or if the window cannot be cut.
    pub(crate) fn cut(&mut self, job: &mut ListJob, parts: usize) {
        if !matches!(self.stage, Stage::Through) {
            return;
        }
        let windows = job.window.split(parts);
        let [first, rest @ ..] = windows.as_slice() else { return };
        if rest.is_empty() {
            return;
        }
        // A part of a valid window is valid, too. If it is not, the window stays whole.
        if let Ok(first) = self.job(*first) {
            *job = first;
            self.push(rest.iter().copied());
        }
    }

    /// The job of one window.
    fn job(&self, window: Window) -> Result<ListJob, Halt> {
        let selection = window.narrow(&self.list.selection());
        // A part of a valid window is valid, too. If it is not, the listing halts.
        let list = self.list.of(&selection.map_err(|error| Halt::Unbuildable(error.to_string()))?);
        Ok(ListJob::new(&self.endpoint, list, window, self.page_size, 0, self.list.page_size))
    }

    fn push(&mut self, windows: impl IntoIterator<Item = Window>) {
        self.queue.extend(windows.into_iter().map(Part::Window));
    }

    fn hand_over(&mut self, page: ListPage) -> ListPage {
        self.listed = self.listed.saturating_add(page.messages.len() as u64);
        page
    }

    fn on_page_alone(&mut self, job: &ListJob, page: &ListPage, next: &mut Next) {
        if self.limit == 1 || self.alone == self.alone() {
            return;
        }
        self.alone += 1;
        for message in &page.messages {
            // A time that the first runs lack tells nothing about windows.
            self.times.iter_mut().zip(TIMES).for_each(|(held, time)| *held &= time(message).is_some());
            match (message.dlq_id(), message.created_at()) {
                (Some(id), Some(at)) => drop(self.seen.insert(id, at.get())),
                _ => self.dated = false,
            }
        }
        let Some(cursor) = page.cursor.clone().filter(|_| self.alone == self.alone()) else { return };
        match self.probe() {
            Some(probe) if self.dated && self.whole.width() > 1 && *next == Next::More => {
                *next = Next::Finished;
                self.push([probe]);
                self.stage = Stage::Probe { rest: Rest { cursor, size: job.cursor_size() } };
            }
            _ => {}
        }
    }

    /// The narrowest window without any of the runs that were seen, between two of them. If runs failed in every millisecond,
    /// the window with the fewest of them.
    fn probe(&self) -> Option<Window> {
        let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
        // Runs from outside the listing's own dates do not count.
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

    /// Whether every run of the page lies in its window, by one of the times that fit all pages so far. Then each run is in one
    /// window and in no other. A run without that time fits.
    fn keeps_to(&mut self, window: Window, page: &ListPage) -> bool {
        for (held, time) in self.times.iter_mut().zip(TIMES) {
            let inside = |message: &DlqMessage| time(message).is_none_or(|at| window.contains(at.get()));
            *held &= page.messages.iter().all(inside);
        }
        self.times.contains(&true) || bug!(DatesTrusted)
    }

    /// Whether its time says which window it is in.
    fn is_in_one_window(&self, message: &DlqMessage) -> bool {
        self.times.iter().zip(TIMES).all(|(held, time)| !held || time(message).is_some())
    }

    fn on_probe(&mut self, window: Window, page: &ListPage, rest: Rest) -> Stage {
        if !self.keeps_to(window, page) {
            self.dates_ignored = true;
            Stage::Drain { rest }
        } else if page.cursor.is_some() {
            // The window has more than one page, so it proves nothing.
            Stage::Drain { rest }
        } else if self.is_cut_later {
            self.push(self.whole.split(self.limit.min(FIRST_WINDOWS)));
            Stage::Through
        } else {
            let windows = self.whole.split(self.limit);
            self.made = windows.len();
            self.push(windows);
            Stage::Split { rest }
        }
    }

    /// Cuts the windows with more than one page, until there are enough for all lanes. Then lists them to their ends. Returns
    /// whether there is more to do.
    pub(crate) fn next_windows(&mut self) -> bool {
        if let Stage::Drain { rest } = &self.stage {
            // The listing goes on as if windows had not been tried.
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
        // A few windows hold all runs. They are cut to find where, not yet to share the work.
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

impl Plan for ListingWindows {
    type Job = ListJob;
    type Page = ListPage;
    type Outcome = ListingOutcome;

    fn next(&mut self) -> Result<Option<ListJob>, Halt> {
        let Some(part) = self.queue.pop_front() else { return Ok(None) };
        let (list, before, size) = match part {
            Part::Whole => (self.list.clone(), 0, self.list.page_size),
            Part::Rest(Rest { cursor, size }) => (self.list.clone().after(cursor), self.listed_alone, size),
            Part::Window(window) => return self.job(window).map(Some),
        };
        Ok(Some(ListJob::new(&self.endpoint, list, self.whole, self.page_size, before, size)))
    }

    fn queued(&self) -> usize {
        self.queue.len()
    }

    fn on_page(&mut self, job: &mut ListJob, mut page: ListPage, next: &mut Next) -> ListPage {
        let window = job.window;
        self.page_size = job.size();
        match mem::replace(&mut self.stage, Stage::Rest) {
            Stage::Alone => {
                self.stage = Stage::Alone;
                self.on_page_alone(job, &page, next);
                job.hand_over(&mut page);
                self.listed_alone = self.listed_alone.saturating_add(page.messages.len() as u64);
                return self.hand_over(page);
            }
            Stage::Probe { rest } => {
                *next = Next::Finished;
                self.stage = self.on_probe(window, &page, rest);
                // These runs come again, with their windows.
                page.messages.clear();
            }
            Stage::Split { rest } if self.keeps_to(window, &page) => {
                if page.cursor.is_some() {
                    // The window may be cut. Its runs are handed over only if this page has all of them.
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
                // It is too late to start over: the runs that were handed over are not remembered.
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
        if matches!(self.stage, Stage::Split { .. } | Stage::Through) {
            page.messages.retain(|message| self.is_in_one_window(message) || self.timeless.insert(message.identity()));
            if self.timeless.len() > MOST_TIMELESS {
                // Their times do not say which window they are in, so a further pass needs one lane, too.
                self.dates_ignored = true;
                *next = Next::Halt(Halt::DatesIgnored);
            }
        }
        job.hand_over(&mut page);
        if let Stage::Split { .. } = self.stage {
            // If another window shows that the server ignores dates, these runs are listed again.
            let ids = page.messages.iter().filter_map(DlqMessage::dlq_id);
            self.seen.extend(ids.map(|id| (id, 0)));
        }
        self.hand_over(page)
    }

    fn rebalance(&mut self, lanes: &mut Lanes<'_, ListJob>) {
        if self.is_draining() {
            lanes.close_idle_if(|_| true);
        }
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        if self.next_windows() { Drained::Again } else { Drained::Done }
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> ListingOutcome {
        ListingOutcome { listed: self.listed, totals, dates_ignored: self.dates_ignored, halted }
    }
}
