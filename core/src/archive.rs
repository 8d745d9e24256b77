//! Deleting only what has been kept.
//!
//! ```text
//!         page or messages      stored()          all answered
//! Fetch ------------------> Store -----> Delete -------------> Fetch (the listing from its start again)
//!   |  nothing left but ids that were asked for before: a listing that lags; it is looked at again, within the attempts
//!   +-----------------------------------------------------> Fetch
//!   |  nothing left; ids: all dealt with; maximum reached
//!   +-----------------------------------------------------> Done: complete
//!   |  a message without an id, or one that does not match; refused; attempts used up
//!   +-----------------------------------------------------> Done: halted
//! ```

use crate::bulk::{MAX_EMPTY_PAGES, add_one};
use crate::engine::outcome::{Halt, OutOfTurn, Outcome, Totals};
use crate::engine::retry::Attempts;
use crate::engine::retry::{Delivery, Event, Retried, Step, TransportFailure};
use crate::model::dlq_id::DlqId;
use crate::model::hash::hash_of;
use crate::model::message::DlqMessage;
use crate::selection::ids::Ids;
use crate::selection::matches::Match;
use crate::selection::selected::Selection;
use crate::wire::bulk::Delete;
use crate::wire::error::{ErrorBody, ResponseError};
use crate::wire::list::{List, ListPage};
use crate::wire::single::GetMessage;
use crate::{Bulk, BulkDelete, Pager, Single};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use http::{Request, Response, StatusCode};

/// Fetched one by one, so many runs are kept and deleted at a time, …
const BATCH: usize = 100;
/// … and fewer where their text is longer than this many bytes in all.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Deletes runs that the caller has put away first: it lists a page, hands it over, waits for [`stored`](Self::stored), and
/// deletes exactly those ids. There is no way to a delete but through `stored`. Made by [`BulkDelete::build_with_archive`].
///
/// ```
/// use upstash_dlq_core::{ArchiveStep, BulkDelete, Endpoint, Selection, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut archive = BulkDelete::new(endpoint, Selection::Everything).build_with_archive();
/// let ArchiveStep::Send(list) = archive.poll() else { panic!() };
/// assert_eq!(list.method(), "GET");
/// archive.on_response(&http::Response::new(r#"{"messages":[{"dlqId":"a"},{"dlqId":"b"}]}"#))?;
/// let ArchiveStep::Store(messages) = archive.poll() else { panic!() };
/// assert_eq!(messages[0].as_json(), r#"{"dlqId":"a"}"#); // write it, sync it …
/// archive.stored()?;
/// let ArchiveStep::Send(delete) = archive.poll() else { panic!() };
/// assert_eq!(delete.uri().query(), Some("dlqIds=a&dlqIds=b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArchiveDelete {
    config: BulkDelete,
    /// Given by hand, and how many of them have been fetched.
    ids: Option<(Ids, usize)>,
    /// Hashes of the ids that were asked to be deleted.
    asked: BTreeSet<u64>,
    remaining: Option<u64>,
    batch: Vec<DlqMessage>,
    batch_bytes: usize,
    /// Whether the listing ended with this batch.
    last: bool,
    /// How many machines have been made, so that each gets a seed of its own.
    machines: u64,
    in_flight: bool,
    totals: Totals,
    archived: u64,
    absent: u64,
    unchecked: u64,
    /// Whether this listing has shown runs that were asked to be deleted before.
    stale: bool,
    /// Looks at a listing that shows nothing else.
    looks: Attempts,
    /// Batches in a row of which the server says that it deleted nothing.
    barren: u32,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Next,
    Listing(Box<Pager>),
    Getting(Box<Single<GetMessage>>),
    /// Whether the batch has been handed over: before that nobody can have stored it.
    Storing {
        shown: bool,
    },
    Deleting(Box<Bulk<Delete>>),
    Waiting(Duration),
    Done {
        verified: bool,
        halted: Option<Halt>,
    },
}

/// What to do next.
#[derive(Debug)]
pub enum ArchiveStep<'a> {
    /// Send this, then report the answer or the failure.
    Send(Request<()>),
    /// Let this much time pass; the next `poll` means that it has.
    Wait(Duration),
    /// Put these where they outlast a crash, then say [`ArchiveDelete::stored`]. Comes again until that is said.
    Store(&'a [DlqMessage]),
    /// Nothing is left to do.
    Done(ArchiveOutcome),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "only this tells whether all of it was done"]
#[non_exhaustive]
pub struct ArchiveOutcome {
    /// What was done; `pages` counts listings and deletions alike.
    pub totals: Totals,
    /// How many messages were handed over and stored.
    pub archived: u64,
    /// How many of the ids given by hand were not there.
    pub absent: u64,
    /// How many of them did not carry a field that the filter asks for, so that they could not be held against it.
    pub unchecked: u64,
    /// The last listing showed nothing left; for ids: every request was answered.
    pub verified: bool,
    /// `None` when complete.
    pub halted: Option<Halt>,
}

impl BulkDelete {
    /// The machine that deletes nothing before it has been stored.
    pub fn build_with_archive(self) -> ArchiveDelete {
        let ids = match &self.selection {
            Selection::Ids(ids) => Some((ids.clone(), 0)),
            Selection::Filter(_) | Selection::Everything => None,
        };
        ArchiveDelete {
            ids,
            asked: BTreeSet::new(),
            remaining: self.max.map(core::num::NonZeroU64::get),
            batch: Vec::new(),
            batch_bytes: 0,
            last: false,
            machines: 0,
            in_flight: false,
            totals: self.carried,
            archived: 0,
            absent: 0,
            unchecked: 0,
            stale: false,
            looks: Attempts::new(self.policy, self.seed),
            barren: 0,
            phase: Phase::Next,
            config: self,
        }
    }
}

impl ArchiveDelete {
    /// What to do now. While a request is in flight this means that its answer will never come.
    pub fn poll(&mut self) -> ArchiveStep<'_> {
        if self.in_flight {
            // Cannot be out of turn: a request is in flight.
            let _ = self.on_failure(Delivery::Unknown);
        }
        loop {
            let step = match &mut self.phase {
                Phase::Next => {
                    self.next();
                    continue;
                }
                Phase::Listing(pager) => match pager.poll() {
                    Step::Done(None) if self.stale => {
                        self.look_again();
                        continue;
                    }
                    Step::Done(halted) => {
                        self.phase = Phase::Done { verified: halted.is_none(), halted };
                        continue;
                    }
                    Step::Send(request) => Ok(request),
                    Step::Wait(wait) => Err(wait),
                },
                Phase::Getting(get) => match get.poll() {
                    Step::Done(result) => {
                        self.got(result);
                        continue;
                    }
                    Step::Send(request) => Ok(request),
                    Step::Wait(wait) => Err(wait),
                },
                Phase::Deleting(bulk) => match bulk.poll() {
                    Step::Done(outcome) => {
                        self.deleted(outcome);
                        continue;
                    }
                    Step::Send(request) => Ok(request),
                    Step::Wait(wait) => Err(wait),
                },
                Phase::Storing { shown } => {
                    *shown = true;
                    return ArchiveStep::Store(&self.batch);
                }
                Phase::Waiting(wait) => {
                    let wait = *wait;
                    self.phase = Phase::Next;
                    Err(wait)
                }
                Phase::Done { .. } => return ArchiveStep::Done(self.outcome_so_far()),
            };
            return match step {
                Ok(request) => {
                    self.in_flight = true;
                    ArchiveStep::Send(request)
                }
                Err(wait) => ArchiveStep::Wait(wait),
            };
        }
    }

    /// Says that what [`ArchiveStep::Store`] handed over is where a crash cannot take it.
    ///
    /// # Errors
    /// When nothing was handed over to be stored. Nothing has changed.
    pub fn stored(&mut self) -> Result<(), OutOfTurn> {
        let Phase::Storing { shown: true } = self.phase else { return Err(OutOfTurn) };
        let ids: Vec<DlqId> = self.batch.iter().filter_map(DlqMessage::dlq_id).collect();
        let Ok(ids) = Ids::new(ids) else { return Err(OutOfTurn) };
        self.archived = self.archived.saturating_add(self.batch.len() as u64);
        self.asked.extend(ids.as_slice().iter().map(|id| hash_of(id.as_str())));
        let delete = BulkDelete::new(self.config.endpoint.clone(), Selection::Ids(ids));
        let seed = self.seed();
        self.phase = Phase::Deleting(Box::new(delete.retry(self.config.policy, seed).build()));
        Ok(())
    }

    /// Takes the answer to the request in flight.
    ///
    /// # Errors
    /// When none is.
    pub fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<()>, OutOfTurn> {
        let event = match &mut self.phase {
            Phase::Listing(pager) => {
                let event = pager.on_response(response)?;
                if let Event::Page(page) = event {
                    self.sent(&Event::Page(()));
                    self.listed(page);
                    return Ok(Event::Page(()));
                }
                without_page(event)
            }
            Phase::Getting(get) => get.on_response(response)?,
            Phase::Deleting(bulk) => {
                self.in_flight = false;
                return bulk.on_response(response).map(without_page);
            }
            Phase::Next | Phase::Storing { .. } | Phase::Waiting(_) | Phase::Done { .. } => return Err(OutOfTurn),
        };
        self.sent(&event);
        Ok(event)
    }

    /// Takes the news that no answer will come.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<()>, OutOfTurn> {
        let failure = failure.into();
        let not_sent = failure.delivery == Delivery::NotSent;
        let event = match &mut self.phase {
            Phase::Listing(pager) => without_page(pager.on_failure(failure)?),
            Phase::Getting(get) => get.on_failure(failure)?,
            Phase::Deleting(bulk) => {
                self.in_flight = false;
                return bulk.on_failure(failure).map(without_page);
            }
            Phase::Next | Phase::Storing { .. } | Phase::Waiting(_) | Phase::Done { .. } => return Err(OutOfTurn),
        };
        self.sent(&event);
        if not_sent {
            self.totals.requests -= 1;
        }
        Ok(event)
    }

    /// Takes back the request that `poll` has just handed out.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn withdraw(&mut self) -> Result<(), OutOfTurn> {
        match &mut self.phase {
            Phase::Listing(pager) => pager.withdraw()?,
            Phase::Getting(get) => get.withdraw()?,
            Phase::Deleting(bulk) => bulk.withdraw()?,
            Phase::Next | Phase::Storing { .. } | Phase::Waiting(_) | Phase::Done { .. } => return Err(OutOfTurn),
        }
        self.in_flight = false;
        Ok(())
    }

    /// What has happened so far. A deletion in flight counts as unconfirmed, until its response comes.
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals;
        match &self.phase {
            Phase::Deleting(bulk) => totals = totals.and(bulk.totals()),
            _ if self.in_flight => add_one(&mut totals.requests),
            _ => {}
        }
        totals
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// How it ended, or how it stands.
    pub fn outcome_so_far(&self) -> ArchiveOutcome {
        let (verified, halted) = match &self.phase {
            Phase::Done { verified, halted } => (*verified, halted.clone()),
            _ => (false, None),
        };
        let (archived, absent, unchecked) = (self.archived, self.absent, self.unchecked);
        ArchiveOutcome { totals: self.totals(), archived, absent, unchecked, verified, halted }
    }

    fn seed(&mut self) -> u64 {
        self.machines = self.machines.wrapping_add(1);
        self.config.seed.wrapping_add(self.machines)
    }

    fn sent(&mut self, event: &Event<()>) {
        self.in_flight = false;
        add_one(&mut self.totals.requests);
        match event {
            Event::Page(()) => add_one(&mut self.totals.pages),
            Event::Retry(_) => add_one(&mut self.totals.retries),
            Event::Ended => {}
        }
    }

    fn next(&mut self) {
        let done = |verified| Phase::Done { verified, halted: None };
        let (endpoint, policy) = (self.config.endpoint.clone(), self.config.policy);
        let seed = self.seed();
        self.phase = match &self.ids {
            Some((ids, fetched)) => {
                let max = self.config.max.map_or(u64::MAX, |max| max.get().saturating_sub(self.config.before));
                let limit = ids.len().min(usize::try_from(max).unwrap_or(usize::MAX));
                let full = self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES;
                match ids.as_slice().get(*fetched) {
                    Some(id) if *fetched < limit && !full => {
                        Phase::Getting(Box::new(Single::new(endpoint, GetMessage(id.clone()), policy, seed)))
                    }
                    _ if !self.batch.is_empty() => Phase::Storing { shown: false },
                    _ => done(limit == ids.len()),
                }
            }
            None if self.remaining == Some(0) || (self.last && !self.config.verify) => done(false),
            None => {
                let list = match &self.config.selection {
                    Selection::Filter(filter) => List::matching(filter.clone()),
                    Selection::Ids(_) | Selection::Everything => List::everything(),
                };
                let page_size = self.config.page_size.get().min(List::MAX_PAGE_SIZE);
                let left = self.remaining.and_then(|left| u32::try_from(left).ok()).unwrap_or(u32::MAX);
                let list = list.page_size(page_size.min(left));
                self.stale = false;
                Phase::Listing(Box::new(Pager::new(endpoint, list, policy, seed)))
            }
        };
    }

    fn listed(&mut self, page: ListPage) {
        if page.messages.is_empty() {
            // Not necessarily the end: the pager knows, and goes on or says that it is done.
            return;
        }
        let mut batch = Vec::with_capacity(page.messages.len());
        let mut unchecked = Vec::new();
        let mut shown = BTreeSet::new();
        for message in page.messages {
            let Some(id) = message.dlq_id() else { return self.halt(Halt::UnusableMessage) };
            if self.asked.contains(&hash_of(id.as_str())) {
                self.stale = true;
                continue;
            }
            if !shown.insert(id.clone()) {
                // Twice on one page is once in the archive.
                continue;
            }
            match self.config.selection.matches(&message) {
                Match::No(field) if !self.config.trust_server => return self.halt(Halt::Mismatch { id, field }),
                met => unchecked.push(matches!(met, Match::Unknown(_))),
            }
            batch.push(message);
        }
        if batch.is_empty() {
            // The listing lags behind; what is new may come on its next page.
            return;
        }
        self.looks.answered();
        // A server may send more than it was asked for.
        let left = self.remaining.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        batch.truncate(left);
        let unchecked = unchecked.into_iter().take(left).filter(|unchecked| *unchecked).count();
        self.unchecked = self.unchecked.saturating_add(unchecked as u64);
        self.last = page.cursor.is_none();
        self.batch = batch;
        self.phase = Phase::Storing { shown: false };
    }

    /// The listing shows nothing but runs that were asked to be deleted: it may lag behind.
    fn look_again(&mut self) {
        self.stale = false;
        match self.looks.failed(None) {
            Ok(wait) => self.phase = Phase::Waiting(wait),
            Err(_) => self.halt(Halt::StillListed),
        }
    }

    fn got(&mut self, result: Result<DlqMessage, Halt>) {
        let Some((ids, fetched)) = &mut self.ids else { return };
        let asked_for = ids.as_slice().get(*fetched).cloned();
        match result {
            Ok(message) if message.dlq_id() == asked_for => {
                self.batch_bytes = self.batch_bytes.saturating_add(message.as_json().len());
                self.batch.push(message);
            }
            Ok(_) => return self.halt(Halt::UnusableMessage),
            Err(Halt::Refused(error)) if is_absent(&error) => add_one(&mut self.absent),
            Err(halt) => return self.halt(halt),
        }
        *fetched += 1;
        self.phase = Phase::Next;
    }

    fn deleted(&mut self, outcome: Outcome) {
        self.totals = self.totals.and(outcome.totals);
        if let Some(halt) = outcome.halted {
            self.batch.clear();
            return self.halt(halt);
        }
        self.barren = if outcome.totals.runs > 0 { 0 } else { self.barren.saturating_add(1) };
        if self.barren >= MAX_EMPTY_PAGES {
            return self.halt(Halt::NoProgress);
        }
        // What was asked for counts, whatever the server says became of it.
        self.remaining = self.remaining.map(|left| left.saturating_sub(self.batch.len() as u64));
        self.batch.clear();
        self.batch_bytes = 0;
        self.phase = Phase::Next;
    }

    fn halt(&mut self, halt: Halt) {
        self.phase = Phase::Done { verified: false, halted: Some(halt) };
    }
}

/// The service's own words that there is no such run; a proxy's 404, and one that speaks of the region, say nothing of it.
fn is_absent(error: &ResponseError) -> bool {
    !error.is_wrong_region()
        && matches!(error, ResponseError::Status { status: StatusCode::NOT_FOUND, body: ErrorBody::Message(_) })
}

fn without_page<P>(event: Event<P>) -> Event<()> {
    match event {
        Event::Page(_) => Event::Page(()),
        Event::Retry(Retried { cause, after }) => Event::Retry(Retried { cause, after }),
        Event::Ended => Event::Ended,
    }
}
