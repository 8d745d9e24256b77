//! Deletes, resumes or restarts runs in bulk.

use crate::bugs::bug;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::format::{BatchLane, Checkpoint, Listed, Progress, RefinedProgress, Saved};
use crate::checkpoint::format::{Batches as SavedBatches, Windows as SavedWindows};
use crate::checkpoint::format::{SavedRequest, WindowLane};
use crate::checkpoint::saved_selection::SavedSelection;
use crate::engine::failure::TransportFailure;
use crate::engine::halt::Halt;
use crate::engine::lanes::Lane;
use crate::engine::operation::{Event, InvalidState, Operation, RequestId, Step};
use crate::engine::retry::Attempts;
use crate::engine::scheduler::Scheduler;
use crate::engine::scheduler::continuation::LeftBehind;
use crate::engine::settlement::Settlement;
use crate::engine::totals::Totals;
use crate::job::pages::{PagesJob, Place};
use crate::model::dlq_id::DlqId;
use crate::operation::bulk_config::BulkConfig;
use crate::operation::outcome::Outcome;
use crate::plan::batches::Batches;
use crate::plan::budget::Budget;
use crate::plan::chosen::{Chosen, ChosenPage};
use crate::plan::cut::{Cut, Pass, Scope};
use crate::selection::ids::Ids;
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::{BulkOperation, BulkPage, Delete, Restart, Resume};
use crate::wire::list::List;
use alloc::boxed::Box;
use alloc::string::ToString;
use core::num::NonZeroUsize;
use core::time::Duration;
use http::Response;

/// A bulk delete, resume or restart. Built by [`Bulk::builder`].
///
/// With ids, each request takes as many as fit, and the lanes share the list. With a filter or everything, a *delete* makes
/// passes, page after page, until a whole one has found nothing left: the verification pass. Its lanes share windows of time. A
/// *resume* or *restart* makes exactly one pass in one lane. It does not depend on dates, and never repeats a request that may
/// have started runs. To start runs on many lanes, list them first and give their ids.
///
/// With a refinement ([`Selection::Refined`]), no request names it: the operation lists, checks each run here, and acts on the
/// ids of those that match. A *delete* does both at the same time, in passes, on lanes that share windows of time. A *resume* or
/// *restart* lists everything first, in one pass, and starts the runs in batches of ids. Pages of the listing are events, too, with
/// nothing acted on and no cursor.
#[derive(Clone, Debug)]
pub struct Bulk<O: BulkOperation> {
    config: BulkConfig,
    plan: Kind<O>,
}

/// Deletes runs: `DELETE /v2/workflows/dlq`.
pub type BulkDelete = Bulk<Delete>;

/// Resumes failed runs where they failed: `POST /v2/workflows/dlq/resume`.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_core::{BulkResume, Delivery, Endpoint, Halt, Operation, Selection, Settlement, Step, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let mut resume = BulkResume::builder(endpoint, Selection::Everything).build();
/// let Step::Send(id, request) = resume.poll(Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq/resume?count=50");
/// resume.on_failure(id, Delivery::Unknown.into())?; // the response was lost: runs may have been started
/// let Step::Done(outcome) = resume.poll(Duration::ZERO) else { panic!() };
/// assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })));
/// resume.settle(Settlement::NotApplied)?; // a listing still shows them
/// let Step::Send(..) = resume.poll(Duration::ZERO) else { panic!() };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type BulkResume = Bulk<Resume>;

/// Restarts failed runs from their beginning: `POST /v2/workflows/dlq/restart`.
///
/// ```
/// use upstash_dlq_core::{BulkRestart, Endpoint, Ids, Operation, Selection, Step, Token, wire::Overrides};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// let ids = Selection::Ids(Ids::parse(["a", "b"])?);
/// let overrides = Overrides::builder().retries(5).build()?;
/// let mut restart = BulkRestart::builder(endpoint, ids).overrides(overrides).build();
/// let Step::Send(_, request) = restart.poll(std::time::Duration::ZERO) else { panic!() };
/// assert_eq!(request.uri(), "https://qstash.upstash.io/v2/workflows/dlq/restart?dlqIds=a&dlqIds=b");
/// assert_eq!(request.headers()["upstash-retries"], "5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type BulkRestart = Bulk<Restart>;

#[derive(Clone, Debug)]
enum Kind<O: BulkOperation> {
    Windows(Box<Scheduler<Cut<O>>>),
    Batches(Box<Scheduler<Batches<O>>>),
    Chosen(Box<Scheduler<Chosen<O>>>),
}

/// Where to look to find out whether a request in doubt was carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum InDoubt<'a> {
    /// Look whether these runs are still in the DLQ.
    Ids(&'a [DlqId]),
    /// Look whether this listing still shows the runs that were asked for.
    Listing(List),
}

/// Makes the same call for all kinds.
macro_rules! either {
    ($plan:expr, $scheduler:ident => $call:expr) => {
        match $plan {
            Kind::Windows($scheduler) => $call,
            Kind::Batches($scheduler) => $call,
            Kind::Chosen($scheduler) => $call,
        }
    };
}

impl<O: BulkOperation> Bulk<O> {
    pub(crate) fn new(config: BulkConfig) -> Self {
        let mut plan = match &config.selection {
            Selection::Ids(ids) => Kind::Batches(Box::new(Self::batches(&config, ids))),
            Selection::Refined(_) => Kind::Chosen(Box::new(Self::chosen(&config))),
            Selection::Filter(_) | Selection::Everything => {
                let whole = Window::of(&config.selection, config.now);
                let mut windows = Self::windows(&config, whole, Budget::new(config.max), Pass::default());
                windows.plan.begin_pass();
                Kind::Windows(Box::new(windows))
            }
        };
        either!(&mut plan, scheduler => scheduler.resume_totals(config.carried));
        Self { config, plan }
    }

    fn batches(config: &BulkConfig, ids: &Ids) -> Scheduler<Batches<O>> {
        let endpoint = &config.settings.endpoint;
        let plan = Batches::new(endpoint, ids.clone(), config.overrides.clone(), config.max, config.before);
        Scheduler::new(config.settings.clone(), plan)
    }

    fn chosen(config: &BulkConfig) -> Scheduler<Chosen<O>> {
        let settings = config.settings.clone();
        let looks = Attempts::new(settings.policy, settings.seed);
        Scheduler::new(settings, Chosen::new(config.chosen_scope(false), looks))
    }

    fn windows(config: &BulkConfig, whole: Window, budget: Budget, pass: Pass) -> Scheduler<Cut<O>> {
        let mut settings = config.settings.clone();
        if !O::RETRY_SAFE {
            settings.lanes = NonZeroUsize::MIN;
        }
        let scope = Scope {
            endpoint: settings.endpoint.clone(),
            selection: config.selection.clone(),
            page_size: config.page_size,
            overrides: config.overrides.clone(),
            verify: config.verify,
            max_passes: settings.policy.max_attempts.get(),
        };
        Scheduler::new(settings, Cut::new(scope, whole, budget, pass))
    }

    /// Continues from a checkpoint; see [`BulkBuilder::resume_from`](crate::operation::BulkBuilder::resume_from).
    pub(crate) fn resume(mut config: BulkConfig, checkpoint: Checkpoint) -> Result<Self, CheckpointError> {
        let Saved { operation, fingerprint, selection, page_size, max, verify, totals, progress } = checkpoint.0;
        if operation != O::NAME {
            return Err(CheckpointError::OtherOperation(operation));
        }
        if fingerprint != config.full_fingerprint() && !bug!(OtherSelectionContinued) {
            return Err(CheckpointError::OtherSelection);
        }
        let is_same = (page_size, max, verify) == (config.page_size, config.max, config.verify);
        if !(is_same || bug!(OtherOptionsContinued)) {
            return Err(CheckpointError::OtherOptions);
        }
        if !bug!(TimesResolvedAnew) {
            config.selection = selection.apply_to(config.selection, config.relative_times)?;
        }
        let listed = match &progress {
            Progress::Batches(batches) => batches.listed.clone(),
            Progress::Windows(_) | Progress::Refined(_) => None,
        };
        config.listed = match (listed, config.listed) {
            (None, None) => None,
            (Some(saved), Some((given, digest))) if saved.digest == digest => {
                Some((saved.selection.apply_to(given, config.relative_times)?, digest))
            }
            _ => return Err(CheckpointError::OtherSelection),
        };
        let plan = match (progress, &config.selection) {
            (Progress::Windows(saved), Selection::Filter(_) | Selection::Everything) => {
                Kind::Windows(Box::new(Self::resume_windows(&config, saved, totals)?))
            }
            (Progress::Batches(saved), Selection::Ids(ids)) => {
                Kind::Batches(Box::new(Self::resume_batches(&config, ids, saved, totals)?))
            }
            // What starts runs would start those again that are still listed.
            (Progress::Refined(_), Selection::Refined(_)) if !O::RETRY_SAFE => {
                return Err(CheckpointError::NotResumable);
            }
            (Progress::Refined(RefinedProgress { left, verified }), Selection::Refined(_)) => {
                let whole = config.max.map(core::num::NonZeroU64::get);
                let left = if bug!(RefinedBudgetRefilled) { whole } else { left };
                let mut scheduler = Self::chosen(&config);
                scheduler.plan.resume(left, totals.unconfirmed > 0, verified);
                scheduler.resume_totals(totals);
                Kind::Chosen(Box::new(scheduler))
            }
            _ => return Err(CheckpointError::OtherSelection),
        };
        Ok(Self { config, plan })
    }

    fn resume_windows(
        config: &BulkConfig,
        saved: SavedWindows,
        totals: Totals,
    ) -> Result<Scheduler<Cut<O>>, CheckpointError> {
        // The file is not trusted with what gets deleted: the selection's own ends bound all windows.
        if !saved.whole.lies_in(&Window::of(&config.selection, config.now)) {
            return Err(CheckpointError::Damaged("its window is not the selection's".into()));
        }
        let is_one = saved.lanes.len() <= 1 && saved.lanes.iter().all(|lane| lane.window == saved.whole);
        let fits = is_one && (bug!(FinishedBegunAgain) || saved.lanes.is_empty() == saved.pass.finished);
        if !(O::RETRY_SAFE || fits) {
            return Err(CheckpointError::Damaged("it has several windows, but this operation has only one".into()));
        }
        let left = if bug!(BudgetRefilled) { config.max.map(core::num::NonZeroU64::get) } else { saved.left };
        let budget = Budget::resume(config.max, left);
        let starts_runs = !O::RETRY_SAFE;
        let mut scheduler = Self::windows(config, saved.whole, budget, saved.pass);
        scheduler.resume_totals(totals);
        for lane in saved.lanes {
            let in_circles = lane.place.in_circles && starts_runs && !bug!(NoProgressForgotten);
            let place = if bug!(CursorsNotSaved) { lane.place.without_cursors() } else { lane.place };
            let job = scheduler.plan.job(lane.window, place);
            let job = job.map_err(|halt| CheckpointError::Damaged(halt.to_string()))?;
            scheduler.resume_lane(job, left_behind(lane.request), lane.doubtful);
            if in_circles {
                scheduler.halt(Halt::NoProgress);
            }
        }
        if scheduler.lanes().next().is_none() {
            if bug!(FinishedBegunAgain) && starts_runs {
                scheduler.plan.begin_pass();
            }
            scheduler.plan.begin_pass_if_barren();
        }
        Ok(scheduler)
    }

    fn resume_batches(
        config: &BulkConfig,
        ids: &Ids,
        saved: SavedBatches,
        totals: Totals,
    ) -> Result<Scheduler<Batches<O>>, CheckpointError> {
        let mut scheduler = Self::batches(config, ids);
        if saved.before != config.before || saved.begun > scheduler.plan.limit {
            return Err(CheckpointError::OtherSelection);
        }
        scheduler.resume_totals(totals);
        let open: usize = saved.lanes.iter().map(|lane| lane.to.saturating_sub(lane.from)).sum();
        scheduler.plan.begun = if bug!(IdsBegunAgain) { 0 } else { saved.begun };
        scheduler.plan.done = saved.begun.saturating_sub(open);
        for lane in saved.lanes {
            let job = scheduler.plan.job(lane.from..lane.to);
            scheduler.resume_lane(job, left_behind(lane.request), lane.doubtful);
        }
        Ok(scheduler)
    }

    /// What has been done so far. A request in flight counts as unconfirmed until its response arrives.
    pub fn totals(&self) -> Totals {
        either!(&self.plan, scheduler => scheduler.totals())
    }

    /// The selection with its times resolved.
    pub fn selection(&self) -> &Selection {
        &self.config.selection
    }

    /// The selection that was listed to find the ids, with its times resolved. See
    /// [`BulkBuilder::listed`](crate::operation::BulkBuilder::listed).
    pub fn listed(&self) -> Option<&Selection> {
        self.config.listed.as_ref().map(|(selection, _)| selection)
    }

    /// How many of the ids the server has handled, those of earlier parts of the list included. Zero if there are no ids.
    pub fn ids_done(&self) -> u64 {
        match &self.plan {
            Kind::Batches(scheduler) => self.config.before.saturating_add(scheduler.plan.done as u64),
            Kind::Windows(_) | Kind::Chosen(_) => 0,
        }
    }

    /// The outcome, or the present state of an operation that has not ended. That is never verified.
    #[expect(clippy::useless_conversion, reason = "two of the three plans end so already")]
    pub fn outcome_so_far(&self) -> Outcome {
        let ending = either!(&self.plan, scheduler => scheduler.outcome_so_far().into());
        Outcome::from_ending(ending, || self.checkpoint_if_resumable())
    }

    /// Where to look to find out whether the request in doubt was carried out. `None` if no request is in doubt.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::{BulkResume, Delivery, List, Operation, Selection, Step, operation::InDoubt};
    /// let mut resume = BulkResume::builder(endpoint, Selection::Everything).build();
    /// let Step::Send(id, _) = resume.poll(std::time::Duration::ZERO) else { panic!() };
    /// resume.on_failure(id, Delivery::Unknown.into())?;
    /// assert_eq!(resume.in_doubt(), Some(InDoubt::Listing(List::everything().page_size(50))));
    /// assert_eq!(resume.all_in_doubt(), (1, 50));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_doubt(&self) -> Option<InDoubt<'_>> {
        match &self.plan {
            Kind::Batches(scheduler) => scheduler.doubts().next().map(|(job, ..)| InDoubt::Ids(job.ids())),
            Kind::Chosen(scheduler) => scheduler.doubts().next().map(|(job, ..)| InDoubt::Ids(job.ids())),
            Kind::Windows(scheduler) => {
                let (job, asked, _) = scheduler.doubts().next()?;
                let list = List::for_selection(&self.config.selection);
                let list = list.page_size(u32::try_from(asked).unwrap_or(u32::MAX));
                Some(InDoubt::Listing(match &job.place.cursor {
                    Some(cursor) => list.after(cursor.clone()),
                    None => list,
                }))
            }
        }
    }

    /// Returns how many requests are in doubt, and how many runs they asked for in all. [`Self::in_doubt`] tells the first of them.
    pub fn all_in_doubt(&self) -> (usize, u64) {
        let add = |(requests, runs): (usize, u64), asked: u64| (requests + 1, runs.saturating_add(asked));
        either!(&self.plan, scheduler => scheduler.doubts().map(|(_, asked, _)| asked).fold((0, 0), add))
    }

    /// Says whether the request in doubt ([`Halt::InDoubt`]) was carried out. Look at [`Self::in_doubt`] first. The operation
    /// then continues. If several requests are in doubt, nothing is sent before each is settled.
    ///
    /// - [`Settlement::Applied`]: the runs have left the DLQ. The request stays unconfirmed, and its runs count against the
    ///   maximum.
    /// - [`Settlement::NotApplied`]: the request counts as not sent, and is sent again.
    ///
    /// Runs that were started but are still listed would be started twice. Wait until they have left the DLQ.
    ///
    /// # Errors
    /// Returns [`InvalidState`] if no request is in doubt. Nothing has changed then.
    pub fn settle(&mut self, settlement: Settlement) -> Result<(), InvalidState> {
        either!(&mut self.plan, scheduler => scheduler.settle(settlement))
    }

    /// Whether a resume or restart was given the same cursors again. Whoever continues it comes to the same halt, and nothing is
    /// sent.
    pub fn is_in_circles(&self) -> bool {
        match &self.plan {
            Kind::Windows(scheduler) => !O::RETRY_SAFE && scheduler.lanes().any(|lane| lane.job.place.in_circles),
            Kind::Batches(_) | Kind::Chosen(_) => false,
        }
    }

    fn checkpoint_if_resumable(&self) -> Option<Checkpoint> {
        is_resumable::<O>(&self.config.selection).then(|| self.checkpoint())
    }

    /// Everything that a later process needs to continue from here, requests in flight included. May be taken at any time. That of a
    /// resume or restart by a refinement tells how it stands, and cannot be continued ([`CheckpointError::NotResumable`]).
    pub fn checkpoint(&self) -> Checkpoint {
        let BulkConfig { selection, page_size, max, verify, .. } = &self.config;
        let progress = match &self.plan {
            Kind::Windows(scheduler) => {
                let is_saved =
                    |lane: &&Lane<_>| !(bug!(WaitingLaneNotSaved) && lane.exchange.backoff_until().is_some());
                let open = scheduler.lanes().filter(is_saved).map(|lane| {
                    let Lane { job: PagesJob { window, place, .. }, .. } = lane;
                    WindowLane {
                        window: *window,
                        place: place.clone(),
                        request: saved_request(lane),
                        doubtful: lane.exchange.may_have_changed(),
                    }
                });
                let queued = scheduler.plan.queue().map(|window| WindowLane {
                    window,
                    place: Place::default(),
                    request: SavedRequest::None,
                    doubtful: false,
                });
                Progress::Windows(SavedWindows {
                    whole: scheduler.plan.whole,
                    left: scheduler.plan.budget.left(),
                    pass: scheduler.plan.pass,
                    lanes: open.chain(queued).collect(),
                })
            }
            Kind::Batches(scheduler) => Progress::Batches(SavedBatches {
                before: self.config.before,
                listed: self.config.listed.as_ref().map(|(selection, digest)| Listed {
                    selection: SavedSelection::from_selection(selection),
                    digest: digest.clone(),
                }),
                begun: scheduler.plan.begun,
                lanes: scheduler
                    .lanes()
                    .map(|lane| BatchLane {
                        from: lane.job.range.start,
                        to: lane.job.range.end,
                        request: saved_request(lane),
                        doubtful: lane.exchange.may_have_changed(),
                    })
                    .collect(),
            }),
            Kind::Chosen(scheduler) => {
                // What no request has asked for counts as left.
                let is_unsent = |lane: &&Lane<_>| lane.exchange.asked().is_none() && !lane.exchange.may_have_changed();
                let unsent: usize = scheduler.lanes().filter(is_unsent).map(|lane| lane.job.ids().len()).sum();
                let left = scheduler.plan.left().map(|left| left.saturating_add(unsent as u64));
                Progress::Refined(RefinedProgress { left, verified: scheduler.plan.ended() })
            }
        };
        let totals = match &self.plan {
            Kind::Windows(scheduler) => scheduler.totals_without_in_flight(),
            Kind::Batches(scheduler) => scheduler.totals_without_in_flight(),
            // Its requests are not saved: nobody will know what becomes of those in flight.
            Kind::Chosen(scheduler) => scheduler.totals(),
        };
        Checkpoint(Saved {
            operation: O::NAME.to_string(),
            fingerprint: self.config.full_fingerprint(),
            selection: SavedSelection::from_selection(selection),
            page_size: *page_size,
            max: *max,
            verify: *verify,
            totals,
            progress,
        })
    }
}

/// What a page has acted on. A page that only looked has acted on nothing.
fn acted<P: BulkPage>(page: ChosenPage<P>) -> P {
    page.acted.unwrap_or_else(P::nothing)
}

fn saved_request<J>(lane: &Lane<J>) -> SavedRequest {
    match (lane.exchange.asked(), lane.exchange.in_doubt()) {
        (Some(_), _) if bug!(InFlightNotSaved) => SavedRequest::None,
        (None, Some(_)) if bug!(DoubtNotSaved) => SavedRequest::None,
        (Some(asked), _) => SavedRequest::InFlight(asked),
        (None, Some((asked, _))) => SavedRequest::InDoubt(asked),
        (None, None) => SavedRequest::None,
    }
}

fn left_behind(request: SavedRequest) -> LeftBehind {
    match request {
        SavedRequest::None => LeftBehind::Nothing,
        SavedRequest::InFlight(asked) => LeftBehind::InFlight(asked),
        SavedRequest::InDoubt(asked) | SavedRequest::Shown(asked) => LeftBehind::InDoubt(asked),
    }
}

/// Whether an operation with this selection can be continued. A resume or restart by a refinement would start runs again that are
/// still listed.
pub(crate) fn is_resumable<O: BulkOperation>(selection: &Selection) -> bool {
    O::RETRY_SAFE || !matches!(selection, Selection::Refined(_))
}

impl<O: BulkOperation> Operation for Bulk<O> {
    type Page = O::Page;
    type Outcome = Outcome;

    fn poll(&mut self, now: Duration) -> Step<Outcome> {
        let step = either!(&mut self.plan, scheduler => scheduler.poll(now).map(Into::into));
        step.map(|ending| Outcome::from_ending(ending, || self.checkpoint_if_resumable()))
    }

    fn on_response(&mut self, id: RequestId, response: Response<&[u8]>) -> Result<Event<O::Page>, InvalidState> {
        match &mut self.plan {
            Kind::Windows(scheduler) => scheduler.on_response(id, &response),
            Kind::Batches(scheduler) => scheduler.on_response(id, &response),
            Kind::Chosen(scheduler) => scheduler.on_response(id, &response).map(|event| event.map(acted)),
        }
    }

    fn on_failure(&mut self, id: RequestId, failure: TransportFailure) -> Result<Event<O::Page>, InvalidState> {
        match &mut self.plan {
            Kind::Windows(scheduler) => scheduler.on_failure(id, failure),
            Kind::Batches(scheduler) => scheduler.on_failure(id, failure),
            Kind::Chosen(scheduler) => scheduler.on_failure(id, failure).map(|event| event.map(acted)),
        }
    }

    fn cancel_unsent(&mut self, id: RequestId) -> Result<(), InvalidState> {
        either!(&mut self.plan, scheduler => scheduler.cancel_unsent(id))
    }

    fn connection_lost(&mut self) {
        either!(&mut self.plan, scheduler => scheduler.connection_lost());
    }

    fn name(&self) -> &'static str {
        O::NAME
    }

    fn totals(&self) -> Totals {
        self.totals()
    }

    fn halt(&self) -> Option<&Halt> {
        either!(&self.plan, scheduler => scheduler.halted())
    }

    fn in_flight(&self) -> usize {
        either!(&self.plan, scheduler => scheduler.in_flight())
    }

    fn halt_for(&mut self, reason: Halt) {
        either!(&mut self.plan, scheduler => scheduler.halt(reason));
    }

    #[expect(clippy::useless_conversion, reason = "two of the three plans end so already")]
    fn outcome_halted(&self, halt: Halt) -> Outcome {
        let ending = either!(&self.plan, scheduler => scheduler.outcome_halted(halt).into());
        Outcome::from_ending(ending, || self.checkpoint_if_resumable())
    }

    fn concurrency(&self) -> usize {
        either!(&self.plan, scheduler => scheduler.concurrency())
    }
}
