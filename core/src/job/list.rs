//! A listing of one window, page after page. It asks for fewer messages at once when a page was too large.
//!
//! So the count of a request may differ from that of the page that its cursor came with. The service's documents allow that. A
//! server that does not is met with a 400: the listing then keeps to the count of its cursor, or, if that page is the one that is
//! too large, starts its window again with the smaller count. It does so once for each smaller count, so a few times at most, and
//! only if it still knows every run that it has handed over.

use crate::bugs::bug;
use crate::engine::cycle::CycleDetector;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::engine::oversized::Oversized;
use crate::job::page_size::PageSize;
use crate::job::pages::{CURSOR_GONE, MAX_EMPTY_PAGES};
use crate::model::cursor::Cursor;
use crate::model::endpoint::Endpoint;
use crate::model::hash::hash_of;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::window::Window;
use crate::wire::call::Call;
use crate::wire::error::ResponseError;
use crate::wire::list::{List, ListPage};
use crate::wire::query::Prefix;
use alloc::collections::BTreeSet;
use core::mem;
use http::{Request, Response, StatusCode};

/// How many runs a window remembers, so that it can start again without handing one over twice. It bounds the memory of a lane.
const REMEMBERED: usize = 4_096;

#[derive(Clone, Debug)]
pub(crate) struct ListJob {
    pub(crate) window: Window,
    list: List,
    prefix: Prefix,
    size: PageSize,
    /// The count of the page that the cursor came with.
    cursor_size: u32,
    /// Where the window begins: at its first page, or after pages that another lane has listed.
    start: Option<Cursor>,
    /// How many messages came before the cursor.
    before: u64,
    /// How many runs of the window the caller has passed over. They stay in the listing.
    pub(crate) staying: u64,
    cycle: CycleDetector,
    empty_pages: u32,
    /// Finds pages that come again, whatever their cursors, by how many messages they have, and the first and the last of them.
    pages: CycleDetector<(usize, u64, u64)>,
    repeated_pages: u32,
    /// Whether the page at this cursor was too large.
    is_too_large: bool,
    /// Whether the server has refused a cursor with another count. The size then grows no more.
    is_fixed: bool,
    /// Whether the window has started again.
    is_restarted: bool,
    /// Hashes of the runs that were handed over.
    handed_over: BTreeSet<u64>,
    /// Whether it has all of them. Not if there are too many, or if some have no id.
    knows_all: bool,
    /// Whether a cursor was refused since the last progress.
    cursor_refused: bool,
}

impl ListJob {
    /// A listing that begins at a cursor of its own has had `before` messages, in pages of `cursor_size`.
    pub(crate) fn new(
        endpoint: &Endpoint,
        list: List,
        window: Window,
        size: PageSize,
        before: u64,
        cursor_size: u32,
    ) -> Self {
        Self {
            window,
            prefix: list.prefix(endpoint),
            size: size.at_most(list.page_size),
            cursor_size,
            start: list.cursor.clone(),
            before,
            staying: 0,
            list,
            cycle: CycleDetector::new(),
            empty_pages: 0,
            pages: CycleDetector::new(),
            repeated_pages: 0,
            is_too_large: false,
            is_fixed: false,
            is_restarted: false,
            handed_over: BTreeSet::new(),
            knows_all: true,
            cursor_refused: false,
        }
    }

    /// Starts the window over if the server refuses a cursor that it gave out, once per progress. Returns whether it does. Only for
    /// callers who remember what was listed.
    pub(crate) fn start_over(&mut self, error: &ResponseError) -> bool {
        let is_gone = self.list.cursor.is_some() && CURSOR_GONE.contains(&error.status());
        if !is_gone || mem::replace(&mut self.cursor_refused, true) {
            return false;
        }
        self.start = None;
        self.restart();
        true
    }

    /// Whether a page has come, and more follow.
    pub(crate) fn has_begun(&self) -> bool {
        self.list.cursor.is_some()
    }

    /// How many messages came before the next page.
    pub(crate) fn listed(&self) -> u64 {
        self.before
    }

    /// A page of this window has brought runs that are new to the caller.
    pub(crate) fn on_progress(&mut self) {
        self.cursor_refused = false;
        self.cycle = CycleDetector::new();
        self.repeated_pages = 0;
    }

    /// The size of the next page, for a lane that begins.
    pub(crate) fn size(&self) -> PageSize {
        self.size
    }

    /// The count of the page that the cursor came with.
    pub(crate) fn cursor_size(&self) -> u32 {
        self.cursor_size
    }

    /// Takes out of a page what was handed over before the window started again, and remembers the rest.
    pub(crate) fn hand_over(&mut self, page: &mut ListPage) {
        let hash = |message: &DlqMessage| message.dlq_id().map(|id| hash_of(id.as_str()));
        if self.is_restarted && !bug!(RestartedHandedOverAgain) {
            page.messages.retain(|message| hash(message).is_none_or(|id| !self.handed_over.contains(&id)));
        }
        if !self.knows_all {
            return;
        }
        for message in &page.messages {
            self.knows_all &= hash(message).map(|id| self.handed_over.insert(id)).is_some();
        }
        self.knows_all &= self.handed_over.len() <= REMEMBERED;
        if !self.knows_all && !self.is_restarted {
            self.handed_over.clear();
        }
    }

    /// Starts the window again.
    fn restart(&mut self) {
        self.is_restarted = true;
        self.list.cursor.clone_from(&self.start);
        self.before = 0;
        self.staying = 0;
        self.cycle = CycleDetector::new();
        self.empty_pages = 0;
        self.pages = CycleDetector::new();
        self.repeated_pages = 0;
        self.is_too_large = false;
    }
}

impl Job for ListJob {
    type Page = ListPage;

    fn request(&self, endpoint: &Endpoint, _asked: u64) -> Result<Request<()>, http::Error> {
        self.list.page(endpoint, &self.prefix, self.size.get())
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<ListPage, ResponseError> {
        self.list.parse(response)
    }

    fn on_page(&mut self, page: &ListPage) -> Next {
        self.empty_pages = if page.messages.is_empty() { self.empty_pages.saturating_add(1) } else { 0 };
        if let (Some(first), Some(last)) = (page.messages.first(), page.messages.last()) {
            let is_repeated = self.pages.sees_again(&(page.messages.len(), first.identity(), last.identity()));
            self.repeated_pages = self.repeated_pages.saturating_add(u32::from(is_repeated));
        }
        self.before = self.before.saturating_add(page.messages.len() as u64);
        // The next page would have the same runs.
        let leads_to_itself = !page.messages.is_empty() && page.cursor == self.list.cursor;
        self.list.cursor.clone_from(&page.cursor);
        self.cursor_size = self.size.get();
        self.is_too_large = false;
        if !self.is_fixed {
            self.size.grow_after(page.messages.iter().map(|message| message.as_json().len() as u64 + 1).sum());
        }
        match &page.cursor {
            None => Next::Finished,
            // A listing removes nothing. After a repeated cursor the same pages would follow forever.
            Some(cursor)
                if leads_to_itself
                    || self.cycle.sees_again(cursor)
                    || self.empty_pages >= MAX_EMPTY_PAGES
                    || self.repeated_pages >= MAX_EMPTY_PAGES =>
            {
                Next::Halt(Halt::NoProgress)
            }
            Some(_) => Next::More,
        }
    }

    fn repeat(&self) -> Repeat {
        Repeat::Reads
    }

    /// A cursor may be valid only with the count that it was given out for.
    fn on_refused(&mut self, error: &ResponseError) -> bool {
        let has_other_count = self.list.cursor.is_some() && self.size.get() != self.cursor_size;
        if error.status() != StatusCode::BAD_REQUEST || !has_other_count {
            return false;
        }
        self.is_fixed = true;
        if !self.is_too_large {
            self.size.set(self.cursor_size);
            return true;
        }
        // A window that begins at a cursor cannot start with another count.
        if self.start.is_some() || !self.knows_all {
            return false;
        }
        self.restart();
        true
    }

    fn on_too_large(&mut self, bound: u64) -> bool {
        self.is_too_large = true;
        if bug!(SmallerPageWithoutCursor) {
            self.list.cursor.clone_from(&self.start);
        }
        self.size.shrink(bound)
    }

    fn oversized(&self) -> Oversized {
        let end = |is_open: bool, at: i64| (!is_open).then_some(UnixMillis::new(at));
        Oversized::Listed {
            number: self.before.saturating_add(1),
            after: self.list.cursor.clone(),
            from: end(self.window.open_below, self.window.lo),
            to: end(self.window.open_above, self.window.hi),
        }
    }
}
