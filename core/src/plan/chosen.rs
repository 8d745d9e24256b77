//! Acts only on runs that the service has shown: looks at them, chooses those that match, has them stored if that is wanted, and
//! acts on exactly their ids.
//!
//! ```text
//!        pages, on lanes             stored(), or at once       all responded
//! Look ------------------> batch --------------------> Act -----------------> (the batch is done)
//!   |  the pass is over and has shown runs that match: another pass, from its start (deletes only)
//!   |  nothing but runs that were asked for: the listing lags, and is looked at again, within the attempts
//!   +-----------------------------------------------------> Done: the pass shows nothing left; ids: all handled; maximum reached
//!   |  a message without an id, or one that does not match; refused; attempts used up
//!   +-----------------------------------------------------> Done: halted
//! ```
//!
//! The lanes of a listing share windows of time. They go on while batches are stored and acted on, but no more batches are
//! outstanding than there are lanes. A delete acts while it looks. What starts runs looks at everything first, in one pass.

use crate::bugs::bug;
use crate::engine::halt::Halt;
use crate::engine::job::Next;
use crate::engine::lanes::Lanes;
use crate::engine::operation::InvalidState;
use crate::engine::plan::{Drained, Plan};
use crate::engine::retry::Attempts;
use crate::engine::totals::{Totals, add_one};
use crate::job::batch::BatchJob;
use crate::job::chosen::{ChosenJob, ChosenPart};
use crate::job::pages::MAX_EMPTY_PAGES;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::hash::hash_of;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::plan::archive::{ArchiveOutcome, Batch};
use crate::plan::batches::Batches;
use crate::plan::chosen::choice::Choice;
use crate::plan::chosen::handed_over::{HandedOver, Waiting};
use crate::plan::chosen::source::{IdSource, ListingSource, Source};
use crate::selection::ids::Ids;
use crate::selection::matches::Listed;
use crate::selection::selected::Selection;
use crate::wire::bulk::{BulkOperation, BulkPage};
use crate::wire::list::{List, ListPage};
use crate::wire::overrides::Overrides;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

mod choice;
mod handed_over;
mod source;

/// How many runs make a batch, where the pages of a listing do not.
const BATCH: usize = 100;
/// The lanes look no further while messages of so many bytes wait to be stored.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Chosen<O: BulkOperation> {
    pub(crate) scope: ChosenScope,
    source: Source,
    /// Runs for the next batch.
    choice: Choice,
    handed_over: HandedOver<O>,
    /// Hashes of the ids that were handed over.
    asked: BTreeSet<u64>,
    /// What is left of the maximum.
    left: Option<u64>,
    /// Whether nobody knows what requests of an earlier process did, which count against the maximum.
    are_any_lost: bool,
    archived: u64,
    unchecked: u64,
    /// Whether this pass has shown runs that match and were not asked for.
    has_found: bool,
    /// Whether this pass has shown runs that were asked for before.
    is_stale: bool,
    /// How many pages showed only such runs since the server last acted on something.
    stale_pages: u32,
    /// Whether the listing was left because of that. Then this pass has not looked at everything.
    is_given_up: bool,
    /// Counts the attempts at a listing that shows nothing but such runs.
    looks: Attempts,
    /// How many batches in a row acted on nothing, by what the server says.
    barren: u32,
    /// Whether it has come to its end.
    has_ended: bool,
    is_verified: bool,
}

/// What is looked at, and what is acted on.
#[derive(Clone, Debug)]
pub(crate) struct ChosenScope {
    pub(crate) endpoint: Endpoint,
    pub(crate) selection: Selection,
    pub(crate) lanes: NonZeroUsize,
    pub(crate) now: UnixMillis,
    pub(crate) page_size: NonZeroU32,
    pub(crate) max: Option<NonZeroU64>,
    /// How many ids of the same list earlier operations have handled.
    pub(crate) before: u64,
    pub(crate) overrides: Overrides,
    pub(crate) verify: bool,
    pub(crate) trust_server: bool,
    /// Whether the caller stores each batch before it is acted on.
    pub(crate) stores: bool,
}

/// What a page showed.
struct Looked {
    /// Whether runs match that are new.
    has_found: bool,
    /// How many runs do not match the refinement. They stay in the listing.
    passed_over: u64,
}

/// What one response brought.
#[derive(Clone, Debug)]
pub(crate) struct ChosenPage<P> {
    /// Runs to be stored.
    pub(crate) batch: Option<Batch>,
    /// What was acted on.
    pub(crate) acted: Option<P>,
}

impl<O: BulkOperation> Chosen<O> {
    pub(crate) fn new(scope: ChosenScope, looks: Attempts) -> Self {
        let (endpoint, lanes) = (scope.endpoint.clone(), scope.lanes.get());
        let source = match &scope.selection {
            Selection::Ids(ids) => {
                let max = scope.max.map_or(u64::MAX, |max| max.get().saturating_sub(scope.before));
                let limit = ids.len().min(usize::try_from(max).unwrap_or(usize::MAX));
                Source::Ids(IdSource::new(ids.clone(), limit))
            }
            Selection::Filter(_) | Selection::Refined(_) | Selection::Everything => {
                let list = List::for_selection(&scope.selection).page_size(scope.page_size.get());
                Source::Listing(Box::new(ListingSource::new(endpoint, list, lanes, scope.now, O::RETRY_SAFE)))
            }
        };
        let mut plan = Self {
            left: scope.max.map(NonZeroU64::get).filter(|_| matches!(source, Source::Listing(_))),
            scope,
            source,
            choice: Choice::default(),
            handed_over: HandedOver::new(),
            asked: BTreeSet::new(),
            are_any_lost: false,
            archived: 0,
            unchecked: 0,
            has_found: false,
            is_stale: false,
            stale_pages: 0,
            is_given_up: false,
            looks,
            barren: 0,
            has_ended: false,
            is_verified: false,
        };
        plan.begin_pass();
        plan
    }

    /// What is left of the maximum, with the runs that were chosen and are in no request yet.
    pub(crate) fn left(&self) -> Option<u64> {
        let unsent = if bug!(UnsentCountedAsSpent) { 0 } else { self.choice.len() + self.handed_over.queued() };
        self.left.map(|left| left.saturating_add(unsent as u64))
    }

    /// Begins where an earlier process has left so much of the maximum. `are_any_lost` is whether the result of some of its requests
    /// is unknown; `ended` is what [`Self::ended`] was.
    pub(crate) fn resume(&mut self, left: Option<u64>, are_any_lost: bool, ended: Option<bool>) {
        self.left = left;
        self.are_any_lost = are_any_lost;
        (self.has_ended, self.is_verified) = (ended.is_some(), ended.unwrap_or_default());
        self.begin_pass();
        if let (true, Source::Listing(listing)) = (self.has_ended || left == Some(0), &mut self.source) {
            listing.close();
        }
    }

    /// Once it has come to its end: whether it has seen that nothing is left.
    pub(crate) fn ended(&self) -> Option<bool> {
        self.has_ended.then_some(self.is_verified)
    }

    fn begin_pass(&mut self) {
        // A page may hold more runs that match than the maximum allows, but of a refinement nobody knows how many match.
        let left = self.left.filter(|_| self.scope.selection.refinement().is_none());
        let left = left.and_then(|left| u32::try_from(left).ok()).unwrap_or(u32::MAX);
        let page_size = self.scope.page_size.get().min(left);
        if let Source::Listing(listing) = &mut self.source {
            listing.begin_pass(page_size);
        }
        (self.has_found, self.is_stale, self.stale_pages, self.is_given_up) = (false, false, 0, false);
    }

    /// Begins to act on the batch, which the caller has stored.
    pub(crate) fn stored(&mut self, number: u64) -> Result<(), InvalidState> {
        let Some(waiting) = self.handed_over.take_waiting(number) else {
            return if bug!(DeletedBeforeStored) { Ok(()) } else { Err(InvalidState) };
        };
        self.archived = self.archived.saturating_add(waiting.ids.len() as u64);
        self.act(number, waiting.ids);
        Ok(())
    }

    /// Forgets the batch, which the caller will not store. Its runs are requested again.
    pub(crate) fn not_stored(&mut self, number: u64) -> Result<(), InvalidState> {
        let waiting = self.handed_over.take_waiting(number).ok_or(InvalidState)?;
        if bug!(GivenUpActedOn) {
            self.act(number, waiting.ids);
            return Ok(());
        }
        for id in &waiting.ids {
            self.asked.remove(&hash_of(id.as_str()));
        }
        self.unchecked = self.unchecked.saturating_sub(waiting.unchecked);
        self.left = self.left.map(|left| left.saturating_add(waiting.ids.len() as u64));
        match &mut self.source {
            Source::Ids(source) => source.fetch_again(waiting.ids),
            Source::Listing(listing) => listing.cut_short(),
        }
        Ok(())
    }

    fn act(&mut self, number: u64, ids: Vec<DlqId>) {
        // There is at least one id, and none twice.
        if let Ok(ids) = Ids::new(ids) {
            let batches = Batches::new(&self.scope.endpoint, ids, self.scope.overrides.clone(), None, 0);
            self.handed_over.act(number, batches);
        }
    }

    /// Hands over what was chosen.
    fn hand_over(&mut self) -> Option<Batch> {
        let (messages, ids, unchecked) = self.choice.take()?;
        let bytes = messages.iter().map(|message| message.as_json().len()).sum();
        let number = self.handed_over.wait(Waiting { ids, unchecked, bytes });
        if !self.scope.stores || bug!(DeletedBeforeStored) {
            let waiting = self.handed_over.take_waiting(number)?;
            if self.scope.stores {
                self.archived = self.archived.saturating_add(waiting.ids.len() as u64);
            }
            self.act(number, waiting.ids);
        }
        self.scope.stores.then_some(Batch { number, messages })
    }

    /// Whether the lanes may look further before a batch is done.
    fn has_room(&self) -> bool {
        self.handed_over.len() < self.scope.lanes.get() && self.handed_over.waiting_bytes() < WAITING_BYTES
    }

    /// Chooses from a page the runs to act on.
    fn on_listed(&mut self, job: &mut ChosenJob<O>, page: ListPage, next: &mut Next) -> Option<Batch> {
        let ChosenJob::List(job) = job else { return None };
        let Source::Listing(listing) = &mut self.source else { return None };
        let page = listing.on_page(job, page, next, O::RETRY_SAFE);
        let looked = self.choose(page);
        if let Ok(looked) = &looked {
            job.staying = job.staying.saturating_add(looked.passed_over);
        }
        match looked {
            Ok(Looked { has_found: true, .. }) => {
                job.on_progress();
                if *next == Next::Halt(Halt::NoProgress) {
                    // The cursor came again, but not the same runs.
                    *next = Next::More;
                }
            }
            Ok(_) if self.is_stuck() && *next == Next::Halt(Halt::NoProgress) => *next = Next::Halt(self.stuck()),
            // This may be the last page of its window. Other windows have more.
            Ok(_) if self.is_stuck() && !O::RETRY_SAFE && !matches!(next, Next::Halt(_)) => {
                *next = Next::Halt(self.stuck());
            }
            Ok(_) => {}
            Err(halt) => *next = Next::Halt(halt),
        }
        // The runs of a page are stored together. What is not stored makes batches of full length.
        let batch = if self.scope.stores { self.hand_over() } else { None };
        let acts_meanwhile = O::RETRY_SAFE && self.choice.is_full(BATCH) || bug!(StartedWhileListing);
        if !self.scope.stores && acts_meanwhile {
            let _ = self.hand_over();
        }
        // A pass that shows nothing new any more is of no use. Another one looks again, after a wait.
        self.is_given_up |= self.is_stuck();
        let is_of_use = self.left != Some(0) && !self.is_given_up;
        let has_room = self.has_room();
        if let Source::Listing(listing) = &mut self.source {
            listing.after_page(job, next, has_room);
            if !is_of_use {
                listing.close();
            }
            if listing.is_over() && !self.scope.stores {
                let _ = self.hand_over();
            }
        }
        batch
    }

    /// Whether the listing keeps showing runs that were asked for, and nothing else.
    fn is_stuck(&self) -> bool {
        self.stale_pages >= MAX_EMPTY_PAGES
    }

    /// Why it then halts. What starts runs has asked for none of them yet. A delete has asked for all of them once nothing waits for
    /// its batch, and no batch is outstanding.
    fn stuck(&self) -> Halt {
        let has_asked = O::RETRY_SAFE && self.choice.is_empty() && self.handed_over.len() == 0;
        if has_asked { Halt::StillListed } else { Halt::NoProgress }
    }

    /// Chooses runs of a page.
    fn choose(&mut self, page: ListPage) -> Result<Looked, Halt> {
        let (mut is_stale, mut has_found, mut passed_over) = (false, false, 0_u64);
        let mut chosen = Vec::with_capacity(page.messages.len());
        for message in page.messages {
            let id = message.dlq_id().ok_or(Halt::UnusableMessage)?;
            if self.asked.contains(&hash_of(id.as_str())) && !bug!(AskedNotRemembered) {
                is_stale = true;
                continue;
            }
            match self.scope.selection.check_listed(&message, self.scope.trust_server) {
                Listed::Selected { is_unchecked } => chosen.push((message, id, is_unchecked)),
                Listed::LeftOut => add_one(&mut passed_over),
                Listed::Mismatch(field) => return Err(Halt::Mismatch { id, field }),
            }
        }
        for (message, id, is_unchecked) in chosen {
            // A server may send more than it was asked for, and a run may be on the page twice.
            let mut is_new = || self.asked.insert(hash_of(id.as_str())) || bug!(AskedNotRemembered);
            if self.left == Some(0) || !is_new() {
                continue;
            }
            has_found = true;
            self.left = self.left.map(|left| left - u64::from(!bug!(MaximumNotReserved)));
            self.unchecked = self.unchecked.saturating_add(u64::from(is_unchecked));
            self.choice.add(self.scope.stores.then_some(message), id, is_unchecked);
        }
        self.is_stale |= is_stale;
        if has_found {
            self.has_found = true;
            self.looks.reset();
        } else if is_stale {
            // The listing lags, or is not at its end. Its next page may have new runs.
            self.stale_pages = self.stale_pages.saturating_add(1);
        }
        Ok(Looked { has_found, passed_over })
    }

    fn on_fetched(&mut self, job: &ChosenJob<O>, message: Option<DlqMessage>, next: &mut Next) -> Option<Batch> {
        let (Source::Ids(source), ChosenJob::Fetch(job)) = (&mut self.source, job) else { return None };
        source.on_page();
        let is_over = source.is_over();
        match message {
            Some(message) if message.dlq_id().as_ref() == Some(job.id()) => {
                self.choice.add(Some(message), job.id().clone(), false);
            }
            Some(_) => {
                *next = Next::Halt(Halt::UnusableMessage);
                return None;
            }
            None => {}
        }
        if is_over || self.choice.is_full(BATCH) { self.hand_over() } else { None }
    }

    /// Looks at the listing again: it may lag, since it shows nothing but runs that were asked for.
    fn look_again(&mut self) -> Drained {
        match self.looks.fail(None) {
            Ok(wait) => {
                self.begin_pass();
                Drained::AgainAfter(wait)
            }
            Err(_) => Drained::Halt(Halt::StillListed),
        }
    }

    fn on_answered(&mut self, number: u64, job: &BatchJob<O>, affected: u64, next: &mut Next) {
        let Some(affected) = self.handed_over.on_answered(number, job, affected) else { return };
        if affected > 0 {
            (self.barren, self.stale_pages) = (0, 0);
        } else {
            self.barren = self.barren.saturating_add(1);
        }
        if self.barren >= MAX_EMPTY_PAGES {
            *next = Next::Halt(Halt::NoProgress);
        }
    }
}

impl<O: BulkOperation> Plan for Chosen<O> {
    type Job = ChosenJob<O>;
    type Page = ChosenPage<O::Page>;
    type Outcome = ArchiveOutcome;

    fn next(&mut self) -> Result<Option<ChosenJob<O>>, Halt> {
        if let Some((number, job)) = self.handed_over.next()? {
            return Ok(Some(ChosenJob::Act(number, job)));
        }
        if !self.has_room() {
            return Ok(None);
        }
        Ok(match &mut self.source {
            Source::Ids(source) => source.next().map(ChosenJob::Fetch),
            Source::Listing(listing) => listing.next()?.map(|job| ChosenJob::List(Box::new(job))),
        })
    }

    fn queued(&self) -> usize {
        let looking = match &self.source {
            _ if !self.has_room() => 0,
            Source::Ids(source) => source.queued(),
            Source::Listing(listing) => listing.queued(),
        };
        self.handed_over.queued().saturating_add(looking)
    }

    fn on_page(&mut self, job: &mut ChosenJob<O>, page: ChosenPart<O>, next: &mut Next) -> ChosenPage<O::Page> {
        let (batch, acted) = match page {
            ChosenPart::Listed(page) => (self.on_listed(job, page, next), None),
            ChosenPart::Fetched(message) => (self.on_fetched(job, message, next), None),
            ChosenPart::Acted(page) => {
                if let ChosenJob::Act(number, job) = job {
                    self.on_answered(*number, job, page.affected(), next);
                }
                (None, Some(page))
            }
        };
        ChosenPage { batch, acted }
    }

    fn rebalance(&mut self, lanes: &mut Lanes<'_, ChosenJob<O>>) {
        if let Source::Listing(listing) = &mut self.source {
            listing.rebalance(lanes, self.handed_over.len());
        }
    }

    fn on_applied(&mut self, job: &mut ChosenJob<O>, next: &mut Next) {
        if let ChosenJob::Act(number, job) = job {
            self.on_answered(*number, job, job.range.len() as u64, next);
        }
    }

    fn drained(&mut self, totals: Totals) -> Drained {
        let drained = if self.has_ended { Drained::Done } else { self.decide(totals) };
        self.has_ended = matches!(drained, Drained::Done);
        drained
    }

    fn outcome(&self, totals: Totals, halted: Option<Halt>) -> ArchiveOutcome {
        ArchiveOutcome {
            totals,
            archived: self.archived,
            unchecked: self.unchecked,
            verified: self.is_verified && halted.is_none(),
            halted,
        }
    }
}

impl<O: BulkOperation> Chosen<O> {
    /// What follows once all requests have been answered.
    fn decide(&mut self, totals: Totals) -> Drained {
        if self.handed_over.are_any_waiting() {
            return Drained::Blocked;
        }
        let listing = match &self.source {
            Source::Ids(source) => {
                self.is_verified = source.is_whole();
                return Drained::Done;
            }
            Source::Listing(listing) => listing,
        };
        if !self.choice.is_empty() {
            let _ = self.hand_over();
            return Drained::Again;
        }
        let is_short = self.scope.max.is_some_and(|max| totals.affected < max.get());
        if self.left == Some(0) && self.are_any_lost && is_short && !bug!(LostTakenAsReached) {
            return Drained::Halt(Halt::MaximumUnconfirmed);
        }
        if self.left == Some(0) || !O::RETRY_SAFE {
            // What starts runs makes one pass, because a second one could start the same runs again. So it proves nothing.
            return Drained::Done;
        }
        if listing.is_cut_short() || (self.has_found && (self.scope.verify || self.is_given_up)) {
            self.begin_pass();
            return Drained::Again;
        }
        if self.has_found {
            return Drained::Done;
        }
        if self.is_stale && !bug!(StaleListingTrusted) {
            return self.look_again();
        }
        // The pass has looked at everything, and has shown nothing that is left.
        self.is_verified = true;
        Drained::Done
    }
}
