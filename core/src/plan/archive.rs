//! Deletes only what the caller has stored.
//!
//! ```text
//!         page or messages      stored()          all responded
//! Fetch ------------------> Store -----> Delete -------------> Fetch (the listing from its start again)
//!   |  nothing left but ids whose deletion was requested: the listing lags, and is fetched again, within the attempts
//!   +-----------------------------------------------------> Fetch
//!   |  nothing left; ids: all handled; maximum reached
//!   +-----------------------------------------------------> Done: complete
//!   |  a message without an id, or one that does not match; refused; attempts used up
//!   +-----------------------------------------------------> Done: halted
//! ```

use crate::bugs::bug;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::operation::InvalidState;
use crate::engine::outcome::{Totals, add_one};
use crate::engine::plan::{Drained, Plan};
use crate::engine::retry::Attempts;
use crate::job::archive::{ArchiveJob, ArchivePart};
use crate::job::fetch::FetchJob;
use crate::job::list::ListJob;
use crate::job::pages::MAX_EMPTY_PAGES;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::hash::hash_of;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::plan::batches::Batches;
use crate::selection::ids::Ids;
use crate::selection::matches::Match;
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::Delete;
use crate::wire::list::{List, ListPage};
use crate::wire::overrides::Overrides;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;
use core::num::{NonZeroU32, NonZeroU64};
use serde::{Deserialize, Serialize};

/// The most runs of a batch whose runs are fetched one by one, …
const BATCH: usize = 100;
/// … and the length of its messages in bytes at which it is complete, too.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) scope: ArchiveScope,
    /// How many of the given ids have been fetched.
    fetched: usize,
    /// How many of the given ids may be deleted.
    limit: usize,
    /// Hashes of the ids whose deletion was requested.
    asked: BTreeSet<u64>,
    /// What is left of the maximum.
    left: Option<u64>,
    phase: Phase,
    /// Where the next batch begins.
    batch_from: Position,
    /// Messages for the next batch, if they are fetched one by one.
    messages: Vec<DlqMessage>,
    bytes: usize,
    /// How many batches were handed over.
    batches: u64,
    /// Whether the listing ended with the last batch.
    is_last: bool,
    archived: u64,
    absent: u64,
    unchecked: u64,
    /// Whether this listing has shown runs whose deletion was requested before.
    is_stale: bool,
    /// How many pages showed nothing new since the server last deleted something.
    stale_pages: u32,
    /// Counts the attempts at a listing that shows nothing but such runs.
    looks: Attempts,
    /// How many batches in a row deleted nothing, by what the server says.
    barren: u32,
    is_verified: bool,
}

/// What is archived and deleted.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveScope {
    pub(crate) endpoint: Endpoint,
    pub(crate) selection: Selection,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    /// How many ids of the same list earlier operations have handled.
    pub(crate) before: u64,
    pub(crate) verify: bool,
    pub(crate) trust_server: bool,
}

/// What counts up to a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    fetched: usize,
    absent: u64,
    unchecked: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The next listing or the next id is to be requested.
    Begin,
    Fetching,
    /// The caller stores the batch of this number.
    Storing {
        number: u64,
        ids: Ids,
        /// Where the batch began.
        from: Position,
    },
    Deleting {
        batches: Box<Batches<Delete>>,
        size: u64,
        deleted: u64,
    },
}

/// Runs to be stored, which are then deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The number for [`ArchivedDelete::stored`](crate::ArchivedDelete::stored). Call that once a crash can no longer lose the
    /// messages. None of the runs is deleted before.
    pub number: u64,
    /// The messages of the runs, as the server sent them. Never empty.
    pub messages: Vec<DlqMessage>,
}

/// What one response of an archived delete brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArchivePage {
    /// Runs to be stored. `None` if the response completed no batch: it brought one run of the next batch, or a deletion.
    pub batch: Option<Batch>,
}

/// How an archived delete ended, or how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct ArchiveOutcome {
    /// What was done. `pages` counts the responses to listings and to deletions.
    pub totals: Totals,
    /// How many messages the caller has stored.
    pub archived: u64,
    /// How many of the given ids were not in the DLQ.
    pub absent: u64,
    /// How many of the runs lacked a field that the filter speaks of, so that it could not be checked.
    pub unchecked: u64,
    /// For a filter or everything: the last listing showed nothing left. For ids: every request got its response.
    pub verified: bool,
    /// `None` if the operation is complete. Otherwise, why it is not.
    pub halted: Option<Halt>,
}

impl Archive {
    pub(crate) fn new(scope: ArchiveScope, looks: Attempts) -> Self {
        let limit = match &scope.selection {
            Selection::Ids(ids) => {
                let max = scope.max.map_or(u64::MAX, |max| max.get().saturating_sub(scope.before));
                ids.len().min(usize::try_from(max).unwrap_or(usize::MAX))
            }
            Selection::Filter(_) | Selection::Everything => 0,
        };
        Self {
            left: scope.max.map(NonZeroU64::get),
            scope,
            fetched: 0,
            limit,
            asked: BTreeSet::new(),
            phase: Phase::Begin,
            batch_from: Position::default(),
            messages: Vec::new(),
            bytes: 0,
            batches: 0,
            is_last: false,
            archived: 0,
            absent: 0,
            unchecked: 0,
            is_stale: false,
            stale_pages: 0,
            looks,
            barren: 0,
            is_verified: false,
        }
    }

    /// Begins to delete the batch, which the caller has stored.
    pub(crate) fn stored(&mut self, number: u64) -> Result<(), InvalidState> {
        let ids = match &self.phase {
            Phase::Storing { number: current, ids, .. } if *current == number => ids.clone(),
            _ if bug!(DeletedBeforeStored) => return Ok(()),
            _ => return Err(InvalidState),
        };
        let size = ids.len() as u64;
        self.archived = self.archived.saturating_add(size);
        self.asked.extend(ids.as_slice().iter().map(|id| hash_of(id.as_str())));
        let batches = Batches::new(&self.scope.endpoint, ids, Overrides::default(), None, 0);
        self.phase = Phase::Deleting { batches: Box::new(batches), size, deleted: 0 };
        Ok(())
    }

    /// Forgets the batch, which the caller will not store. Its runs are requested again.
    pub(crate) fn not_stored(&mut self, number: u64) -> Result<(), InvalidState> {
        match self.phase {
            Phase::Storing { number: current, from, .. } if current == number => {
                (self.fetched, self.absent, self.unchecked) = (from.fetched, from.absent, from.unchecked);
                self.batch_from = from;
                self.is_last = false;
                self.phase = Phase::Begin;
                Ok(())
            }
            _ => Err(InvalidState),
        }
    }

    /// Whether there is anything left to request.
    fn has_more(&self) -> bool {
        match &self.scope.selection {
            Selection::Ids(_) => self.fetched < self.limit,
            Selection::Filter(_) | Selection::Everything => {
                self.left != Some(0) && (self.scope.verify || !self.is_last)
            }
        }
    }

    /// The next request for messages. `None` if there is none.
    fn begin(&self) -> Option<ArchiveJob> {
        if !self.has_more() {
            return None;
        }
        match &self.scope.selection {
            Selection::Ids(ids) => {
                let id = ids.as_slice().get(self.fetched)?;
                Some(ArchiveJob::Fetch(FetchJob::new(id.clone())))
            }
            Selection::Filter(_) | Selection::Everything => {
                let list = match &self.scope.selection {
                    Selection::Filter(filter) => List::matching(filter.clone()),
                    Selection::Ids(_) | Selection::Everything => List::everything(),
                };
                let page_size = self.scope.page_size.get().min(List::MAX_PAGE_SIZE);
                let left = self.left.and_then(|left| u32::try_from(left).ok()).unwrap_or(u32::MAX);
                let window = Window::of(&self.scope.selection, UnixMillis::new(0));
                let list = list.page_size(page_size.min(left));
                Some(ArchiveJob::List(Box::new(ListJob::new(&self.scope.endpoint, list, window))))
            }
        }
    }

    fn hand_over(&mut self, messages: Vec<DlqMessage>) -> Option<Batch> {
        let ids: Vec<DlqId> = messages.iter().filter_map(DlqMessage::dlq_id).collect();
        // There is at least one id, and none twice.
        let ids = Ids::new(ids).ok()?;
        let number = self.batches;
        self.batches = self.batches.wrapping_add(1);
        let from = self.batch_from;
        let (fetched, absent, unchecked) = (self.fetched, self.absent, self.unchecked);
        self.batch_from = Position { fetched, absent, unchecked };
        self.phase = Phase::Storing { number, ids, from };
        if bug!(DeletedBeforeStored) {
            let _ = self.stored(number);
        }
        Some(Batch { number, messages })
    }

    /// Takes from a page the runs that are to be deleted.
    fn on_listed(&mut self, page: ListPage, next: &mut Next) -> Option<Batch> {
        let mut batch = Vec::with_capacity(page.messages.len());
        let mut unchecked = Vec::new();
        let mut shown = BTreeSet::new();
        for message in page.messages {
            let Some(id) = message.dlq_id() else {
                *next = Next::Halt(Halt::UnusableMessage);
                return None;
            };
            if self.asked.contains(&hash_of(id.as_str())) {
                self.is_stale = true;
                continue;
            }
            if !shown.insert(id.clone()) {
                // A run that is on the page twice is archived once.
                continue;
            }
            match self.scope.selection.matches(&message) {
                Match::No(field) if !self.scope.trust_server && !bug!(MatchNotChecked) => {
                    *next = Next::Halt(Halt::Mismatch { id, field });
                    return None;
                }
                met => unchecked.push(matches!(met, Match::Unknown(_))),
            }
            batch.push(message);
        }
        if batch.is_empty() {
            // The listing lags, or is not at its end. Its next page may have new runs.
            self.stale_pages = self.stale_pages.saturating_add(1);
            if self.is_stale && self.stale_pages >= MAX_EMPTY_PAGES && *next == Next::More {
                *next = Next::Halt(Halt::StillListed);
            }
            return None;
        }
        self.looks.reset();
        // A server may send more than it was asked for.
        let left = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        batch.truncate(left);
        let unchecked = unchecked.into_iter().take(left).filter(|unchecked| *unchecked).count();
        self.unchecked = self.unchecked.saturating_add(unchecked as u64);
        self.is_last = page.cursor.is_none();
        *next = Next::Finished;
        self.hand_over(batch)
    }

    fn on_fetched(&mut self, message: Option<DlqMessage>, next: &mut Next) -> Option<Batch> {
        let Selection::Ids(ids) = &self.scope.selection else { return None };
        match message {
            Some(message) if message.dlq_id().as_ref() == ids.as_slice().get(self.fetched) => {
                self.bytes = self.bytes.saturating_add(message.as_json().len());
                self.messages.push(message);
            }
            Some(_) => {
                *next = Next::Halt(Halt::UnusableMessage);
                return None;
            }
            None => add_one(&mut self.absent),
        }
        self.fetched += 1;
        self.phase = Phase::Begin;
        let is_full = self.messages.len() >= BATCH || self.bytes >= BATCH_BYTES;
        if self.messages.is_empty() || !(is_full || self.fetched >= self.limit) {
            return None;
        }
        self.bytes = 0;
        let messages = mem::take(&mut self.messages);
        self.hand_over(messages)
    }

    /// Fetches the listing again: it may lag, since it shows nothing but runs whose deletion was requested.
    fn look_again(&mut self) -> Drained {
        self.is_stale = false;
        match self.looks.fail(None) {
            Ok(wait) => {
                self.phase = Phase::Begin;
                Drained::AgainAfter(wait)
            }
            Err(_) => Drained::Halt(Halt::StillListed),
        }
    }

    fn on_deleted(&mut self, size: u64, deleted: u64) -> Drained {
        self.barren = if deleted > 0 { 0 } else { self.barren.saturating_add(1) };
        if deleted > 0 {
            self.stale_pages = 0;
        }
        if self.barren >= MAX_EMPTY_PAGES {
            return Drained::Halt(Halt::NoProgress);
        }
        // The runs of the request count, whatever the server says it deleted.
        self.left = self.left.map(|left| left.saturating_sub(size));
        self.phase = Phase::Begin;
        self.again_or_done()
    }

    fn again_or_done(&mut self) -> Drained {
        if self.has_more() {
            return Drained::Again;
        }
        self.is_verified = matches!(&self.scope.selection, Selection::Ids(ids) if self.limit == ids.len());
        Drained::Done
    }
}

impl Plan for Archive {
    type Job = ArchiveJob;
    type Page = ArchivePage;
    type Outcome = ArchiveOutcome;

    fn next(&mut self) -> Result<Option<ArchiveJob>, Halt> {
        match &mut self.phase {
            Phase::Begin => {
                let job = self.begin();
                if job.is_some() {
                    self.is_stale = false;
                    self.phase = Phase::Fetching;
                }
                Ok(job)
            }
            Phase::Deleting { batches, .. } => Ok(batches.next()?.map(ArchiveJob::Delete)),
            Phase::Fetching | Phase::Storing { .. } => Ok(None),
        }
    }

    fn queued(&self) -> usize {
        match &self.phase {
            Phase::Begin => usize::from(self.has_more()),
            Phase::Deleting { batches, .. } => batches.queued(),
            Phase::Fetching | Phase::Storing { .. } => 0,
        }
    }

    fn on_page(&mut self, _job: &mut ArchiveJob, page: ArchivePart, next: &mut Next) -> ArchivePage {
        let batch = match page {
            ArchivePart::Listed(page) => self.on_listed(page, next),
            ArchivePart::Fetched(message) => self.on_fetched(message, next),
            ArchivePart::Deleted(page) => {
                if let Phase::Deleting { deleted, .. } = &mut self.phase {
                    *deleted = deleted.saturating_add(page.deleted);
                }
                None
            }
        };
        ArchivePage { batch }
    }

    fn drained(&mut self, _totals: Totals) -> Drained {
        match &self.phase {
            Phase::Begin => self.again_or_done(),
            Phase::Fetching if self.is_stale && !bug!(StaleListingTrusted) => self.look_again(),
            Phase::Fetching => {
                // The listing ended, and showed nothing.
                self.is_verified = true;
                Drained::Done
            }
            Phase::Storing { .. } => Drained::Blocked,
            Phase::Deleting { size, deleted, .. } => {
                let (size, deleted) = (*size, *deleted);
                self.on_deleted(size, deleted)
            }
        }
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> ArchiveOutcome {
        ArchiveOutcome {
            totals,
            archived: self.archived,
            absent: self.absent,
            unchecked: self.unchecked,
            verified: self.is_verified && halted.is_none(),
            halted,
        }
    }
}
