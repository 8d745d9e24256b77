//! The cursor state machine behind every bulk operation.

use crate::checkpoint::{Position, SavedSelection};
use crate::engine::cycle::CycleDetector;
use crate::engine::outcome::{Halt, OutOfTurn, Outcome, Totals};
use crate::engine::retry::{Attempts, Cause, GiveUp, Verdict, judge};
use crate::engine::retry::{Delivery, Event, Retried, Step, TransportFailure};
use crate::model::dlq_id::DlqId;
use crate::model::hash::hash_of;
use crate::selection::selected::Selection;
use crate::wire::bulk::{BulkPage, Delete, Verb};
use crate::wire::error::ResponseError;
use crate::wire::list::List;
use crate::wire::query::{Prefix, ids_that_fit, push_pair};
use crate::{BulkBuilder, Checkpoint};
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use core::num::NonZeroU64;
use core::time::Duration;
use http::{Response, StatusCode};

/// After so many empty pages in a row the server is taken to lead nowhere.
pub(crate) const MAX_EMPTY_PAGES: u32 = 1_000;

/// What became of a request whose answer was lost, as somebody found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was carried out: its runs have left the DLQ.
    Applied,
    /// It was not: its runs are still there, as they were.
    NotApplied,
}

/// Where to look to settle a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Unsettled<'a> {
    /// Whether these runs are still in the DLQ.
    Ids(&'a [DlqId]),
    /// Whether this listing still shows the runs that failed.
    Listing(List),
}

#[derive(Clone, Debug)]
enum State {
    Ready,
    InFlight { asked: u64 },
    Backoff(Duration),
    Done { verified: bool, halted: Option<Halt> },
}

/// The machine: a plain value that can be stored, moved across threads and dropped at any point.
#[derive(Clone, Debug)]
pub struct Bulk<V: Verb = Delete> {
    config: BulkBuilder<V>,
    prefix: Prefix,
    attempts: Attempts,
    pub(crate) position: Position,
    state: State,
    /// What last kept a request's result unknown, to be told should passes only repeat.
    pub(crate) last_unknown: Option<Cause>,
    /// Hashes of the cursors that were given out, where one that comes round again must not be asked with a second time: the
    /// cycle detector, which a file can hold, finds a cycle only once it has gone round.
    cursors: BTreeSet<u64>,
}

impl<V: Verb> Bulk<V> {
    pub(crate) fn new(config: BulkBuilder<V>, position: Position) -> Self {
        let filter = match &config.selection {
            Selection::Filter(filter) => Some(filter),
            Selection::Ids(_) | Selection::Everything => None,
        };
        let prefix = Prefix::new(config.endpoint.path(V::PATH), filter, config.page_size.get().into());
        let state = if position.finished {
            State::Done { verified: position.is_clean(), halted: None }
        } else if position.in_circles {
            State::Done { verified: false, halted: Some(Halt::NoProgress) }
        } else {
            State::Ready
        };
        Self {
            attempts: Attempts::new(config.policy, config.seed),
            prefix,
            position,
            state,
            last_unknown: None,
            cursors: BTreeSet::new(),
            config,
        }
    }

    /// What to do now. While a request is in flight this means that its answer will never come (a dropped future): it
    /// counts as [`Delivery::Unknown`].
    pub fn poll(&mut self) -> Step<Outcome> {
        if let State::InFlight { .. } = self.state {
            // Cannot be out of turn: a request is in flight.
            let _ = self.on_failure(Delivery::Unknown);
        }
        match self.state {
            State::Ready => self.send(),
            State::Backoff(wait) => {
                self.state = State::Ready;
                Step::Wait(wait)
            }
            State::InFlight { .. } | State::Done { .. } => Step::Done(self.outcome_so_far()),
        }
    }

    fn send(&mut self) -> Step<Outcome> {
        if self.nothing_left_to_ask() {
            // Only ids can be known to be all dealt with; a maximum says nothing about what is left.
            let verified = matches!(&self.config.selection, Selection::Ids(ids) if self.position.sent_ids == ids.len());
            let halt = self.maximum_is_unconfirmed().then_some(Halt::MaximumUnconfirmed);
            return self.done(verified, halt);
        }
        let (target, asked) = match &self.config.selection {
            Selection::Ids(ids) => {
                let batch = self.batch();
                let mut target = self.prefix.as_str().to_string();
                for id in ids.as_slice().iter().skip(self.position.sent_ids).take(batch) {
                    push_pair(&mut target, "dlqIds", id.as_str());
                }
                (target, batch as u64)
            }
            Selection::Filter(_) | Selection::Everything => {
                let page_size = u64::from(self.config.page_size.get());
                let asked = self.position.remaining.map_or(page_size, |left| left.min(page_size));
                let room = self.config.endpoint.query_overhead();
                (self.prefix.page(asked, self.position.cursor.as_ref(), room), asked)
            }
        };
        match self.config.endpoint.request(V::METHOD, target, Some(&self.config.overrides)) {
            Ok(request) => {
                self.state = State::InFlight { asked };
                Step::Send(request)
            }
            Err(error) => self.done(false, Some(Halt::Unbuildable(error.to_string()))),
        }
    }

    /// Takes the answer to the request in flight.
    ///
    /// # Errors
    /// When none is.
    pub fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<V::Page>, OutOfTurn> {
        let asked = self.land()?;
        add_one(&mut self.position.totals.requests);
        match V::parse(response).map_err(|error| error.redacted(&self.config.endpoint)) {
            Ok(page) => {
                self.attempts.answered();
                self.on_page(&page);
                Ok(Event::Page(page))
            }
            Err(error) => Ok(match judge(response, &error) {
                Verdict::NotDone { wait } => self.back_off(wait, Cause::Response(error)),
                Verdict::Unknown { wait } => {
                    self.count_unconfirmed(asked);
                    self.back_off_from_unknown(asked, wait, Cause::Response(error))
                }
                Verdict::Final => self.refused(error),
            }),
        }
    }

    /// Takes the news that no answer will come.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<V::Page>, OutOfTurn> {
        let asked = self.land()?;
        let failure = failure.into();
        if failure.delivery == Delivery::NotSent {
            return Ok(self.back_off(None, Cause::Transport(failure)));
        }
        add_one(&mut self.position.totals.requests);
        self.count_unconfirmed(asked);
        Ok(self.back_off_from_unknown(asked, None, Cause::Transport(failure)))
    }

    /// Takes back the request that `poll` has just handed out, because the caller has decided not to send it: nothing is
    /// counted, and the next `poll` hands it out again.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn withdraw(&mut self) -> Result<(), OutOfTurn> {
        let State::InFlight { .. } = self.state else { return Err(OutOfTurn) };
        self.state = State::Ready;
        Ok(())
    }

    /// What has happened so far. A request in flight counts as one whose result is unknown, until its response comes:
    /// whoever drops what drives the machine finds it here.
    pub fn totals(&self) -> Totals {
        self.position.totals_with(matches!(self.state, State::InFlight { .. }))
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// How many of the ids the server has dealt with, those of earlier parts of the list included. Zero where there are none.
    pub fn ids_done(&self) -> u64 {
        self.position.ids_before.saturating_add(self.position.sent_ids as u64)
    }

    /// How it ended, or how it stands: not verified and not halted.
    pub fn outcome_so_far(&self) -> Outcome {
        let (verified, halted) = match &self.state {
            State::Done { verified, halted } => (*verified, halted.clone()),
            State::Ready | State::InFlight { .. } | State::Backoff(_) => (false, None),
        };
        Outcome { totals: self.totals(), verified, halted }
    }

    /// Where to look to find out what became of the request that is not settled; `None` while there is none.
    pub fn unsettled(&self) -> Option<Unsettled<'_>> {
        let asked = self.position.unsettled?;
        Some(match &self.config.selection {
            Selection::Ids(ids) => {
                let from = self.position.sent_ids;
                let to = from.saturating_add(usize::try_from(asked).unwrap_or(usize::MAX)).min(ids.len());
                Unsettled::Ids(ids.as_slice().get(from..to).unwrap_or_default())
            }
            selection => {
                let list = match selection {
                    Selection::Filter(filter) => List::matching(filter.clone()),
                    Selection::Ids(_) | Selection::Everything => List::everything(),
                };
                let list = list.page_size(u32::try_from(asked).unwrap_or(u32::MAX));
                Unsettled::Listing(match &self.position.cursor {
                    Some(cursor) => list.after(cursor.clone()),
                    None => list,
                })
            }
        })
    }

    /// Tells what became of the request that [`Halt::Unsettled`] speaks of, after a look at [`Self::unsettled`]; the
    /// machine then goes on. Applied: its runs have left the DLQ, they stay unconfirmed and count against the maximum.
    /// Not applied: it is as if it had not been sent, and is sent again. Runs that were started and are still listed
    /// would be started twice by going on: wait until they have left.
    ///
    /// # Errors
    /// When nothing is to be settled.
    pub fn settle(&mut self, settlement: Settlement) -> Result<(), OutOfTurn> {
        let asked = self.position.unsettled.take().ok_or(OutOfTurn)?;
        let position = &mut self.position;
        match (settlement, &self.config.selection) {
            (Settlement::NotApplied, _) => {
                position.totals.unconfirmed = position.totals.unconfirmed.saturating_sub(1);
                let max = self.config.max.map(NonZeroU64::get);
                position.remaining =
                    position.remaining.map(|left| left.saturating_add(asked).min(max.unwrap_or(u64::MAX)));
                add_one(&mut position.totals.retries);
            }
            (Settlement::Applied, Selection::Ids(ids)) => {
                let sent = usize::try_from(asked).unwrap_or(usize::MAX);
                position.sent_ids = position.sent_ids.saturating_add(sent).min(ids.len());
            }
            (Settlement::Applied, Selection::Filter(_) | Selection::Everything) => {}
        }
        self.attempts.answered();
        self.state = State::Ready;
        Ok(())
    }

    /// Everything a later process needs to go on from here, whatever has happened.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            operation: V::NAME.to_string(),
            fingerprint: self.config.full_fingerprint(),
            selection: SavedSelection::of(&self.config.selection),
            page_size: self.config.page_size,
            max: self.config.max,
            verify: self.config.verify,
            in_flight: match self.state {
                State::InFlight { asked } => Some(asked),
                State::Ready | State::Backoff(_) | State::Done { .. } => None,
            },
            position: self.position.clone(),
        }
    }

    /// How many runs the request in flight asks for.
    pub(crate) fn asked(&self) -> u64 {
        match self.state {
            State::InFlight { asked } => asked,
            State::Ready | State::Backoff(_) | State::Done { .. } => 0,
        }
    }

    /// The wait that the next `poll` would ask for is somebody else's business.
    pub(crate) fn waited(&mut self) {
        if let State::Backoff(_) = self.state {
            self.state = State::Ready;
        }
    }

    /// The attempts so far do not count.
    pub(crate) fn forgive(&mut self) {
        self.attempts.answered();
    }

    fn land(&mut self) -> Result<u64, OutOfTurn> {
        let State::InFlight { asked } = self.state else { return Err(OutOfTurn) };
        self.state = State::Ready;
        Ok(asked)
    }

    fn on_page(&mut self, page: &V::Page) {
        let batch = self.batch();
        let position = &mut self.position;
        add_one(&mut position.totals.pages);
        position.totals.runs = position.totals.runs.saturating_add(page.runs());
        if let Selection::Ids(_) = self.config.selection {
            position.sent_ids = position.sent_ids.saturating_add(batch);
            return;
        }
        position.remaining = position.remaining.map(|left| left.saturating_sub(page.runs()));
        if page.runs() == 0 {
            position.empty_pages = position.empty_pages.saturating_add(1);
        } else if V::REPEATABLE {
            position.on_progress();
        } else {
            // The cycle detector stays: a cursor that comes round again would start the same runs again.
            position.pass_deleted = true;
            position.empty_pages = 0;
        }
        match page.cursor() {
            Some(cursor) => {
                let again = position.cycle.sees_again(cursor)
                    || (!V::REPEATABLE && !self.cursors.insert(hash_of(cursor.as_str())));
                position.cursor = Some(cursor.clone());
                if again && V::REPEATABLE {
                    position.begin_pass();
                    self.done(false, Some(Halt::NoProgress));
                } else if again {
                    position.in_circles = true;
                    self.done(false, Some(Halt::NoProgress));
                } else if position.empty_pages >= MAX_EMPTY_PAGES {
                    // The next cursor has not been asked for: whoever goes on begins there.
                    position.empty_pages = 0;
                    self.done(false, Some(Halt::NoProgress));
                }
            }
            None => self.on_end_of_pass(),
        }
    }

    fn on_end_of_pass(&mut self) {
        let position = &mut self.position;
        let clean = position.is_clean();
        if !V::REPEATABLE {
            // Exactly one pass, whatever it found: a second one could start the same runs again.
            position.finished = true;
            self.done(clean, None);
            return;
        }
        if clean || !self.config.verify {
            position.begin_pass();
            let halt = self.maximum_is_unconfirmed().then_some(Halt::MaximumUnconfirmed);
            self.done(clean && halt.is_none(), halt);
            return;
        }
        if !position.pass_deleted {
            position.barren_passes = position.barren_passes.saturating_add(1);
        }
        let barren = position.barren_passes >= self.attempts.max();
        position.begin_pass();
        if barren {
            let halt = Halt::barren(self.attempts.max(), self.last_unknown.take());
            self.done(false, Some(halt));
        }
    }

    /// An answer that stands. A cursor that the server gave out and no longer takes is worth one new pass.
    fn refused(&mut self, error: ResponseError) -> Event<V::Page> {
        const CURSOR_GONE: [StatusCode; 4] =
            [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::PRECONDITION_FAILED];
        if V::REPEATABLE && self.position.cursor.is_some() && CURSOR_GONE.contains(&error.status()) {
            let first = !self.position.cursor_refused;
            self.position.begin_pass();
            self.position.cursor_refused = true;
            if first {
                self.attempts.answered();
                return Event::Retry(Retried { cause: Cause::Response(error), after: Duration::ZERO });
            }
        }
        self.done(false, Some(Halt::Refused(error)));
        Event::Ended
    }

    /// It may have been carried out: a delete is simply sent again, anything else waits for somebody to look.
    fn back_off_from_unknown(&mut self, asked: u64, wait: Option<Duration>, cause: Cause) -> Event<V::Page> {
        if V::REPEATABLE {
            self.last_unknown = Some(cause.clone());
            return self.back_off(wait, cause);
        }
        self.position.unsettled = Some(asked);
        self.done(false, Some(Halt::Unsettled { asked, cause }));
        Event::Ended
    }

    /// After a crash nobody is left who knows the cause.
    pub(crate) fn halt_if_unsettled(&mut self) {
        if let Some(asked) = self.position.unsettled {
            let message = "an earlier process ended before its answer came".to_string();
            let cause = Cause::Transport(TransportFailure { delivery: Delivery::Unknown, message });
            self.done(false, Some(Halt::Unsettled { asked, cause }));
        }
    }

    fn back_off(&mut self, wait: Option<Duration>, cause: Cause) -> Event<V::Page> {
        match self.attempts.failed(wait) {
            Ok(after) if !self.nothing_left_to_ask() => {
                add_one(&mut self.position.totals.retries);
                self.state = State::Backoff(after);
                return Event::Retry(Retried { cause, after });
            }
            // The maximum is used up by requests that may have been carried out: the next poll says so.
            Ok(_) => {}
            Err(GiveUp::Exhausted { attempts }) => {
                self.done(false, Some(Halt::GaveUp { attempts, last: cause }));
            }
            Err(GiveUp::TooLong { wait }) => {
                self.done(false, Some(Halt::WaitTooLong { wait, cause }));
            }
        }
        Event::Ended
    }

    pub(crate) fn count_unconfirmed(&mut self, asked: u64) {
        let position = &mut self.position;
        add_one(&mut position.totals.unconfirmed);
        position.pass_unconfirmed = true;
        position.remaining = position.remaining.map(|left| left.saturating_sub(asked));
    }

    fn done(&mut self, verified: bool, halted: Option<Halt>) -> Step<Outcome> {
        self.state = State::Done { verified, halted };
        Step::Done(self.outcome_so_far())
    }

    /// Whether nothing more may be asked for, in part because of requests whose result is unknown. Where nothing is repeated,
    /// somebody has looked at each of those.
    fn maximum_is_unconfirmed(&self) -> bool {
        let short = self.config.max.is_some_and(|max| self.position.totals.runs < max.get());
        V::REPEATABLE
            && self.position.remaining == Some(0)
            && short
            && !matches!(self.config.selection, Selection::Ids(_))
    }

    pub(crate) fn nothing_left_to_ask(&self) -> bool {
        match &self.config.selection {
            Selection::Ids(_) => self.position.sent_ids >= self.limit_of_ids(),
            Selection::Filter(_) | Selection::Everything => self.position.remaining == Some(0),
        }
    }

    /// How many of the ids may be sent. Sending the same ids again asks for no further run, so that the maximum is a matter
    /// of which ids are sent at all.
    pub(crate) fn limit_of_ids(&self) -> usize {
        let Selection::Ids(ids) = &self.config.selection else { return 0 };
        let max = self.config.max.map_or(u64::MAX, |max| max.get().saturating_sub(self.position.ids_before));
        ids.len().min(usize::try_from(max).unwrap_or(usize::MAX))
    }

    /// How many ids the next request takes.
    fn batch(&self) -> usize {
        let Selection::Ids(ids) = &self.config.selection else { return 0 };
        let left = ids.as_slice().get(self.position.sent_ids..self.limit_of_ids()).unwrap_or_default();
        let most = V::MAX_PAGE_SIZE.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let left = left.get(..most.min(left.len())).unwrap_or_default();
        ids_that_fit(self.prefix.as_str().len() + self.config.endpoint.url_overhead(), left)
    }
}

/// Counters come out of files, too, where they can stand at their end.
pub(crate) fn add_one(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl Position {
    pub(crate) fn start(remaining: Option<u64>) -> Self {
        Self {
            cursor: None,
            sent_ids: 0,
            ids_before: 0,
            unsettled: None,
            remaining,
            pass_deleted: false,
            pass_unconfirmed: false,
            barren_passes: 0,
            empty_pages: 0,
            cursor_refused: false,
            finished: false,
            in_circles: false,
            cycle: CycleDetector::new(),
            totals: Totals::default(),
        }
    }

    /// What has happened, with a request that may be in flight.
    pub(crate) fn totals_with(&self, in_flight: bool) -> Totals {
        let mut totals = self.totals;
        if in_flight {
            add_one(&mut totals.requests);
            add_one(&mut totals.unconfirmed);
        }
        totals
    }

    /// Whether the pass has found nothing, and knows it.
    fn is_clean(&self) -> bool {
        !self.pass_deleted && !self.pass_unconfirmed
    }

    fn begin_pass(&mut self) {
        self.cursor = None;
        self.pass_deleted = false;
        self.pass_unconfirmed = false;
        self.empty_pages = 0;
        self.cycle = CycleDetector::new();
    }

    fn on_progress(&mut self) {
        self.pass_deleted = true;
        self.barren_passes = 0;
        self.empty_pages = 0;
        self.cursor_refused = false;
        self.cycle = CycleDetector::new();
    }
}
