//! A bulk operation on one window, page after page. It follows the cursor, and handles one that repeats or is refused.

use crate::bugs::bug;
use crate::engine::cycle::CycleDetector;
use crate::engine::halt::Halt;
use crate::engine::job::{Job, Next, Repeat};
use crate::model::cursor::Cursor;
use crate::model::endpoint::Endpoint;
use crate::model::hash::hash_of;
use crate::selection::window::Window;
use crate::wire::bulk::{BulkOperation, BulkPage};
use crate::wire::error::ResponseError;
use crate::wire::overrides::Overrides;
use crate::wire::query::Prefix;
use crate::wire::request;
use alloc::collections::BTreeSet;
use core::marker::PhantomData;
use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

/// After so many empty pages in a row there is no progress.
pub(crate) const MAX_EMPTY_PAGES: u32 = 1_000;

/// The statuses of a server that no longer accepts a cursor it gave out.
pub(crate) const CURSOR_GONE: [StatusCode; 4] =
    [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::PRECONDITION_FAILED];

#[derive(Clone, Debug)]
pub(crate) struct PagesJob<O> {
    pub(crate) window: Window,
    pub(crate) place: Place,
    /// Whether the last page acted on runs and was not the last of its window.
    pub(crate) full: bool,
    /// How many runs the pages of this window have acted on.
    pub(crate) acted: u64,
    prefix: Prefix,
    page_size: u64,
    overrides: Overrides,
    operation: PhantomData<O>,
}

/// How far a window has come. A checkpoint keeps this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    pub(crate) cursor: Option<Cursor>,
    empty_pages: u32,
    /// Whether a cursor was refused since the last progress.
    cursor_refused: bool,
    /// A cursor came again, and no request may be repeated. So there is no request left to send.
    pub(crate) in_circles: bool,
    cycle: CycleDetector,
    /// Hashes of the cursors so far, for operations that must not send one twice. The cycle detector finds a cycle only after
    /// one turn of it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    cursors: BTreeSet<u64>,
}

impl<O: BulkOperation> PagesJob<O> {
    pub(crate) fn new(prefix: Prefix, page_size: u64, overrides: Overrides, window: Window, place: Place) -> Self {
        Self { window, place, full: false, acted: 0, prefix, page_size, overrides, operation: PhantomData }
    }
}

impl Place {
    /// Starts the window over.
    fn restart(&mut self) {
        *self = Self { cursor_refused: self.cursor_refused, ..Self::default() };
    }

    /// As if it had not kept the cursors that were sent.
    pub(crate) fn without_cursors(self) -> Self {
        Self { cursors: BTreeSet::new(), ..self }
    }
}

impl<O: BulkOperation> Job for PagesJob<O> {
    type Page = O::Page;

    fn asks(&self, allowance: Option<u64>) -> u64 {
        allowance.map_or(self.page_size, |left| left.min(self.page_size))
    }

    fn request(&self, endpoint: &Endpoint, asked: u64) -> Result<Request<()>, http::Error> {
        let target = self.prefix.page(asked, self.place.cursor.as_ref(), endpoint.query_overhead());
        let overrides = Some(&self.overrides).filter(|_| self.place.cursor.is_none() || !bug!(SettingsLost));
        request::build(endpoint, O::METHOD, target, overrides)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<O::Page, ResponseError> {
        O::parse(response)
    }

    fn on_page(&mut self, page: &O::Page) -> Next {
        let place = &mut self.place;
        if page.affected() == 0 {
            place.empty_pages = place.empty_pages.saturating_add(1);
        } else {
            place.empty_pages = 0;
            if O::RETRY_SAFE {
                place.cursor_refused = false;
                place.cycle = CycleDetector::new();
            }
        }
        self.full = page.affected() > 0 && page.cursor().is_some();
        self.acted = self.acted.saturating_add(page.affected());
        let cursor = page.cursor().filter(|_| self.full || !bug!(EmptyPageTakenAsLast));
        let Some(cursor) = cursor else {
            place.restart();
            return Next::Finished;
        };
        place.cursor = Some(cursor.clone());
        let repeats =
            place.cycle.sees_again(cursor) || (!O::RETRY_SAFE && !place.cursors.insert(hash_of(cursor.as_str())));
        let repeats = repeats && !bug!(CyclesFollowed);
        if repeats && O::RETRY_SAFE {
            place.restart();
            Next::Halt(Halt::NoProgress)
        } else if repeats {
            // The cycle detector stays as it is: requests with a repeated cursor would start the same runs again.
            place.in_circles = true;
            Next::Halt(Halt::NoProgress)
        } else if place.empty_pages >= MAX_EMPTY_PAGES && !bug!(EmptyPagesFollowed) {
            // No request was sent with the next cursor. Going on begins there.
            place.empty_pages = 0;
            Next::Halt(Halt::NoProgress)
        } else {
            Next::More
        }
    }

    fn repeat(&self) -> Repeat {
        if O::RETRY_SAFE { Repeat::Harmless } else { Repeat::InDoubt }
    }

    /// If the server refuses a cursor that it gave out, the window starts over, once per progress.
    fn on_refused(&mut self, error: &ResponseError) -> bool {
        if !O::RETRY_SAFE || self.place.cursor.is_none() || !CURSOR_GONE.contains(&error.status()) {
            return false;
        }
        let is_first = !self.place.cursor_refused || bug!(CursorRefusedForEver);
        self.full = false;
        self.place.cursor_refused = true;
        self.place.restart();
        is_first
    }

    fn affected(page: &O::Page) -> u64 {
        page.affected()
    }
}
