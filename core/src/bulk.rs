//! The cursor state machine behind every bulk operation.

use crate::checkpoint::{Position, SavedSelection};
use crate::cycle::CycleDetector;
use crate::query::{filter_query, ids_that_fit, push_pair};
use crate::retry::{Attempts, Cause, GiveUp, Verdict, judge};
use crate::{
    Checkpoint, CheckpointError, DeletePage, Delivery, Endpoint, Event, Fingerprint, ResponseError, Retried,
    RetryPolicy, Selection, Step, TransportFailure,
};
use alloc::string::{String, ToString};
use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;
use http::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

pub(crate) const PATH: &str = "/v2/workflows/dlq";

/// After so many empty pages in a row the server is taken to lead nowhere.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// What to delete, and how; builds the machine.
///
/// ```
/// use upstash_dlq_core::{BulkDelete, Endpoint, Filter, Selection, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let filter = Filter::builder().label("red & white").build()?;
/// let mut bulk = BulkDelete::new(endpoint, Selection::Filter(filter)).build();
/// let Step::Send(request) = bulk.poll() else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq?label=red+%26+white&count=100");
/// bulk.on_response(&http::Response::new(r#"{"deleted":7}"#))?;
/// let Step::Send(_confirming) = bulk.poll() else { panic!() };
/// bulk.on_response(&http::Response::new(r#"{"deleted":0}"#))?;
/// let Step::Done(outcome) = bulk.poll() else { panic!() };
/// assert!(outcome.halted.is_none() && outcome.verified && outcome.totals.deleted == 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BulkDelete {
    endpoint: Endpoint,
    selection: Selection,
    fingerprint: Fingerprint,
    page_size: NonZeroU32,
    max: Option<NonZeroU64>,
    verify: bool,
    policy: RetryPolicy,
    seed: u64,
}

impl BulkDelete {
    /// Pages of 100, no maximum, a confirming pass, and the default retry policy with seed 0.
    pub fn new(endpoint: Endpoint, selection: Selection) -> Self {
        Self {
            fingerprint: Fingerprint::of(&endpoint, &selection),
            endpoint,
            selection,
            page_size: NonZeroU32::MIN.saturating_add(99),
            max: None,
            verify: true,
            policy: RetryPolicy::default(),
            seed: 0,
        }
    }

    /// What a checkpoint is recognised by, where the selection was given in other words than the resolved ones ("7 days
    /// ago"). By default the fingerprint of the selection itself.
    pub fn fingerprint(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    /// How many runs one request may delete (`count`). Without effect on ids.
    pub fn page_size(self, page_size: NonZeroU32) -> Self {
        Self { page_size, ..self }
    }

    /// How many runs may be asked for in all.
    pub fn max(self, max: Option<NonZeroU64>) -> Self {
        Self { max, ..self }
    }

    /// Whether to go on until a whole pass has found nothing left.
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// How requests are repeated. The seed decides the random part of the waits.
    pub fn retry(self, policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, seed, ..self }
    }

    /// The machine, at its start.
    pub fn build(self) -> Bulk {
        let position = Position::start(self.max.map(NonZeroU64::get));
        Bulk::new(self, position)
    }

    /// The machine, where the checkpoint was taken. Its resolved times win over the ones given here; a request that was in
    /// flight is counted as unconfirmed and sent again.
    ///
    /// # Errors
    /// A checkpoint of another endpoint or selection, or taken with another page size, maximum or verification.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Result<Bulk, CheckpointError> {
        if checkpoint.fingerprint != self.fingerprint {
            return Err(CheckpointError::OtherSelection);
        }
        if (checkpoint.page_size, checkpoint.max, checkpoint.verify) != (self.page_size, self.max, self.verify) {
            return Err(CheckpointError::OtherOptions);
        }
        self.selection = checkpoint.selection.apply_to(self.selection)?;
        let in_flight = checkpoint.in_flight;
        let mut bulk = Bulk::new(self, checkpoint.position);
        if bulk.position.sent_ids > bulk.limit_of_ids() {
            return Err(CheckpointError::OtherSelection);
        }
        if let Some(asked) = in_flight {
            add_one(&mut bulk.position.totals.requests);
            bulk.count_unconfirmed(asked);
            if !bulk.nothing_left_to_ask() {
                add_one(&mut bulk.position.totals.retries);
            }
        }
        Ok(bulk)
    }
}

/// What has happened so far. Counts, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Totals {
    /// Runs that the service says it deleted: exact when `unconfirmed` is 0, a lower bound otherwise.
    pub deleted: u64,
    /// Requests that may have been carried out without our knowing the result.
    pub unconfirmed: u64,
    /// Answers that were understood.
    pub pages: u64,
    /// Requests that were, or may have been, sent.
    pub requests: u64,
    /// How often a request had to be sent again.
    pub retries: u64,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub totals: Totals,
    /// A whole pass saw nothing left; for ids: every request was answered.
    pub verified: bool,
    /// `None` when complete. Otherwise why not; [`Bulk::checkpoint`] then tells how to go on.
    pub halted: Option<Halt>,
}

/// Why an operation could not be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// An answer that repeating does not change: the service said no, or a redirect came.
    Refused(ResponseError),
    /// Every attempt at one request failed.
    GaveUp {
        /// How often it was tried.
        attempts: u32,
        /// What happened the last time.
        last: Cause,
    },
    /// The server asks to wait longer than the policy allows.
    WaitTooLong {
        /// How long.
        wait: Duration,
        /// Its answer.
        cause: Cause,
    },
    /// The server leads in circles: a cursor came round again, a thousand pages were empty, or pass after pass stayed
    /// unconfirmed.
    NoProgress,
    /// A request could not be built; a defect of this library.
    Unbuildable(String),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::GaveUp { attempts: 1, last } => last.fmt(f),
            Self::GaveUp { attempts, last } => write!(f, "gave up after {attempts} attempts: {last}"),
            Self::WaitTooLong { wait, cause } => {
                write!(
                    f,
                    "the server asks to wait for {} seconds, which is too long to sit out: {cause}",
                    wait.as_secs()
                )
            }
            Self::NoProgress => {
                f.write_str("the server keeps handing out pages without deleting anything (no progress)")
            }
            Self::Unbuildable(problem) => write!(f, "the request could not be built: {problem}"),
        }
    }
}

impl core::error::Error for Halt {}

/// An answer or a failure was reported while no request was out. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTurn;

impl fmt::Display for OutOfTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no request is in flight: poll first")
    }
}

impl core::error::Error for OutOfTurn {}

#[derive(Clone, Debug)]
enum State {
    Ready,
    InFlight { asked: u64 },
    Backoff(Duration),
    Done { verified: bool, halted: Option<Halt> },
}

/// The machine: a plain value that can be stored, moved across threads and dropped at any point.
#[derive(Clone, Debug)]
pub struct Bulk {
    config: BulkDelete,
    /// The URL without what changes from page to page.
    prefix: String,
    attempts: Attempts,
    position: Position,
    state: State,
}

impl Bulk {
    fn new(config: BulkDelete, position: Position) -> Self {
        let mut prefix = config.endpoint.url(PATH);
        if let Selection::Filter(filter) = &config.selection {
            prefix.push('?');
            prefix.push_str(&filter_query(filter));
        }
        Self { attempts: Attempts::new(config.policy, config.seed), prefix, position, state: State::Ready, config }
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
            return self.done(verified, None);
        }
        let mut url = self.prefix.clone();
        let asked = match &self.config.selection {
            Selection::Ids(ids) => {
                let batch = self.batch();
                for id in ids.as_slice().iter().skip(self.position.sent_ids).take(batch) {
                    push_pair(&mut url, "dlqIds", id.as_str());
                }
                batch as u64
            }
            Selection::Filter(_) | Selection::Everything => {
                let page_size = u64::from(self.config.page_size.get());
                let asked = self.position.remaining.map_or(page_size, |left| left.min(page_size));
                push_pair(&mut url, "count", &asked.to_string());
                if let Some(cursor) = &self.position.cursor {
                    push_pair(&mut url, "cursor", cursor.as_str());
                }
                asked
            }
        };
        match self.config.endpoint.request(Method::DELETE, url) {
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
    pub fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<DeletePage>, OutOfTurn> {
        let asked = self.land()?;
        add_one(&mut self.position.totals.requests);
        match DeletePage::parse(response) {
            Ok(page) => {
                self.attempts.answered();
                self.on_page(&page);
                Ok(Event::Page(page))
            }
            Err(error) => Ok(match judge(response, &error) {
                Verdict::NotDone { wait } => self.back_off(wait, Cause::Response(error)),
                Verdict::Unknown { wait } => {
                    self.count_unconfirmed(asked);
                    self.back_off(wait, Cause::Response(error))
                }
                Verdict::Final => self.refused(error),
            }),
        }
    }

    /// Takes the news that no answer will come.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<DeletePage>, OutOfTurn> {
        let asked = self.land()?;
        let failure = failure.into();
        if failure.delivery == Delivery::Unknown {
            add_one(&mut self.position.totals.requests);
            self.count_unconfirmed(asked);
        }
        Ok(self.back_off(None, Cause::Transport(failure)))
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

    /// What has happened so far.
    pub fn totals(&self) -> Totals {
        self.position.totals
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// How it ended, or how it stands: not verified and not halted.
    pub fn outcome_so_far(&self) -> Outcome {
        let (verified, halted) = match &self.state {
            State::Done { verified, halted } => (*verified, halted.clone()),
            State::Ready | State::InFlight { .. } | State::Backoff(_) => (false, None),
        };
        Outcome { totals: self.position.totals, verified, halted }
    }

    /// Everything a later process needs to go on from here, whatever has happened.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            fingerprint: self.config.fingerprint.clone(),
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

    fn land(&mut self) -> Result<u64, OutOfTurn> {
        let State::InFlight { asked } = self.state else { return Err(OutOfTurn) };
        self.state = State::Ready;
        Ok(asked)
    }

    fn on_page(&mut self, page: &DeletePage) {
        let batch = self.batch();
        let position = &mut self.position;
        add_one(&mut position.totals.pages);
        position.totals.deleted = position.totals.deleted.saturating_add(page.deleted);
        if let Selection::Ids(_) = self.config.selection {
            position.sent_ids = position.sent_ids.saturating_add(batch);
            return;
        }
        position.remaining = position.remaining.map(|left| left.saturating_sub(page.deleted));
        if page.deleted > 0 {
            position.on_progress();
        } else {
            position.empty_pages = position.empty_pages.saturating_add(1);
        }
        match &page.cursor {
            Some(cursor) => {
                let again = position.cycle.sees_again(cursor.as_str());
                position.cursor = Some(cursor.clone());
                if again || position.empty_pages >= MAX_EMPTY_PAGES {
                    position.begin_pass();
                    self.done(false, Some(Halt::NoProgress));
                }
            }
            None => self.on_end_of_pass(),
        }
    }

    fn on_end_of_pass(&mut self) {
        let position = &mut self.position;
        let clean = !position.pass_deleted && !position.pass_unconfirmed;
        if clean || !self.config.verify {
            position.begin_pass();
            self.done(clean, None);
            return;
        }
        if !position.pass_deleted {
            position.barren_passes = position.barren_passes.saturating_add(1);
        }
        let barren = position.barren_passes >= self.attempts.max();
        position.begin_pass();
        if barren {
            self.done(false, Some(Halt::NoProgress));
        }
    }

    /// An answer that stands. A cursor that the server gave out and no longer takes is worth one new pass.
    fn refused(&mut self, error: ResponseError) -> Event<DeletePage> {
        const CURSOR_GONE: [StatusCode; 4] =
            [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE, StatusCode::PRECONDITION_FAILED];
        if self.position.cursor.is_some() && CURSOR_GONE.contains(&error.status()) {
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

    fn back_off(&mut self, wait: Option<Duration>, cause: Cause) -> Event<DeletePage> {
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

    fn count_unconfirmed(&mut self, asked: u64) {
        let position = &mut self.position;
        add_one(&mut position.totals.unconfirmed);
        position.pass_unconfirmed = true;
        position.remaining = position.remaining.map(|left| left.saturating_sub(asked));
    }

    fn done(&mut self, verified: bool, halted: Option<Halt>) -> Step<Outcome> {
        self.state = State::Done { verified, halted };
        Step::Done(self.outcome_so_far())
    }

    fn nothing_left_to_ask(&self) -> bool {
        match &self.config.selection {
            Selection::Ids(_) => self.position.sent_ids >= self.limit_of_ids(),
            Selection::Filter(_) | Selection::Everything => self.position.remaining == Some(0),
        }
    }

    /// How many of the ids may be sent. Sending the same ids again asks for no further run, so that the maximum is a matter
    /// of which ids are sent at all.
    fn limit_of_ids(&self) -> usize {
        let Selection::Ids(ids) = &self.config.selection else { return 0 };
        let max = self.config.max.map_or(u64::MAX, NonZeroU64::get);
        ids.len().min(usize::try_from(max).unwrap_or(usize::MAX))
    }

    /// How many ids the next request takes.
    fn batch(&self) -> usize {
        let Selection::Ids(ids) = &self.config.selection else { return 0 };
        let left = ids.as_slice().get(self.position.sent_ids..self.limit_of_ids()).unwrap_or_default();
        ids_that_fit(self.prefix.len() + self.config.endpoint.url_overhead(), left)
    }
}

/// Counters come out of files, too, where they can stand at their end.
fn add_one(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl Position {
    fn start(remaining: Option<u64>) -> Self {
        Self {
            cursor: None,
            sent_ids: 0,
            remaining,
            pass_deleted: false,
            pass_unconfirmed: false,
            barren_passes: 0,
            empty_pages: 0,
            cursor_refused: false,
            cycle: CycleDetector::new(),
            totals: Totals::default(),
        }
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
