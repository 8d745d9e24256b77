//! A listing of one window, page after page.

use crate::engine::cycle::CycleDetector;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::job::pages::{CURSOR_GONE, MAX_EMPTY_PAGES};
use crate::model::endpoint::Endpoint;
use crate::selection::window::Window;
use crate::wire::call::Call;
use crate::wire::error::ResponseError;
use crate::wire::list::{List, ListPage};
use crate::wire::query::Prefix;
use core::mem;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) struct ListJob {
    pub(crate) window: Window,
    list: List,
    prefix: Prefix,
    cycle: CycleDetector,
    empty_pages: u32,
    /// Whether a cursor was refused since the last progress.
    cursor_refused: bool,
}

impl ListJob {
    pub(crate) fn new(endpoint: &Endpoint, list: List, window: Window) -> Self {
        Self {
            window,
            prefix: list.prefix(endpoint),
            list,
            cycle: CycleDetector::new(),
            empty_pages: 0,
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
        self.list.cursor = None;
        self.cycle = CycleDetector::new();
        self.empty_pages = 0;
        true
    }

    /// Whether a page has come, and more follow.
    pub(crate) fn has_begun(&self) -> bool {
        self.list.cursor.is_some()
    }

    /// A page of this window has brought runs that are new to the caller.
    pub(crate) fn on_progress(&mut self) {
        self.cursor_refused = false;
        self.cycle = CycleDetector::new();
    }
}

impl Job for ListJob {
    type Page = ListPage;

    fn request(&self, endpoint: &Endpoint, _asked: u64) -> Result<Request<()>, http::Error> {
        self.list.page(endpoint, &self.prefix)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<ListPage, ResponseError> {
        self.list.parse(response)
    }

    fn on_page(&mut self, page: &ListPage) -> Next {
        self.empty_pages = if page.messages.is_empty() { self.empty_pages.saturating_add(1) } else { 0 };
        self.list.cursor.clone_from(&page.cursor);
        match &page.cursor {
            None => Next::Finished,
            // A listing removes nothing. After a repeated cursor the same pages would follow forever.
            Some(cursor) if self.cycle.sees_again(cursor) || self.empty_pages >= MAX_EMPTY_PAGES => {
                Next::Halt(Halt::NoProgress)
            }
            Some(_) => Next::More,
        }
    }

    fn repeat(&self) -> Repeat {
        Repeat::Reads
    }
}
