use crate::BulkBuilder;
use crate::bulk::{Bulk, add_one};
use crate::checkpoint::fingerprint::Fingerprint;
use crate::checkpoint::seal;
use crate::checkpoint::{Checkpoint, CheckpointError, Position, SavedSelection};
use crate::engine::outcome::Totals;
use crate::fleet::{Fleet, Lane, LaneState};
use crate::model::time::UnixMillis;
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::{Delete, Restart, Resume, Verb};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use serde::{Deserialize, Serialize};

/// Where all lanes of a [`Fleet`] stood. It reads the file of a single lane, too. As [`Checkpoint`], it holds no token
/// and no ids.
///
/// ```
/// use std::num::NonZeroUsize;
/// use upstash_dlq_core::{BulkDelete, Endpoint, FleetCheckpoint, Selection, Token, UnixMillis};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t")?)?;
/// let (lanes, now) = (NonZeroUsize::new(4).unwrap(), UnixMillis::new(1_764_000_000_000));
/// let delete = BulkDelete::new(endpoint, Selection::Everything);
/// let saved = delete.clone().build_fleet(lanes, now).checkpoint().to_json();
/// let _goes_on = delete.restore_fleet(FleetCheckpoint::from_json(saved.as_bytes())?, lanes, now)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FleetCheckpoint(Kind);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    One(Checkpoint),
    Many(File),
}

pub(crate) const VERSION: u32 = 4;
/// Far more than anybody needs; a file with more is damaged.
const MAX_LANES: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    operation: String,
    fingerprint: Fingerprint,
    selection: SavedSelection,
    page_size: NonZeroU32,
    max: Option<NonZeroU64>,
    verify: bool,
    whole: Window,
    budget: Option<u64>,
    totals: Totals,
    round_deleted: bool,
    round_unconfirmed: bool,
    barren_rounds: u32,
    full_pages: u64,
    lanes: Vec<SavedLane>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedLane {
    window: Window,
    in_flight: Option<u64>,
    position: Position,
}

impl FleetCheckpoint {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        match &self.0 {
            Kind::One(checkpoint) => checkpoint.to_json(),
            Kind::Many(file) => seal::seal(VERSION, file),
        }
    }

    /// # Errors
    /// Text that is not a checkpoint, one of a version that is not known, or one that was changed since it was written.
    pub fn from_json(json: &[u8]) -> Result<Self, CheckpointError> {
        if seal::version(json)? != VERSION {
            return Checkpoint::from_json(json).map(|checkpoint| Self(Kind::One(checkpoint)));
        }
        let file: File = seal::open(VERSION, json)?;
        let delete = file.operation == Delete::NAME;
        let fits = (delete || [Resume::NAME, Restart::NAME].contains(&file.operation.as_str()))
            && file.budget.is_some() == file.max.is_some()
            && file.budget <= file.max.map(NonZeroU64::get)
            && file.lanes.len() <= MAX_LANES
            && file.whole.lo <= file.whole.hi
            && file.lanes.iter().all(|lane| {
                let unsettled = lane.position.unsettled;
                lane.window.lies_in(&file.whole)
                    && lane.in_flight != Some(0)
                    && (unsettled.is_none() || (!delete && unsettled != Some(0) && lane.in_flight.is_none()))
            })
            && disjoint(file.lanes.iter().map(|lane| lane.window).collect());
        if !fits {
            return Err(CheckpointError::Damaged("its parts do not fit together".into()));
        }
        Ok(Self(Kind::Many(file)))
    }

    /// What had happened; requests that were in flight count as unconfirmed.
    pub fn totals(&self) -> Totals {
        match &self.0 {
            Kind::One(checkpoint) => checkpoint.totals(),
            Kind::Many(file) => file
                .lanes
                .iter()
                .fold(file.totals, |totals, lane| totals.and(lane.position.totals_with(lane.in_flight.is_some()))),
        }
    }
}

/// Otherwise runs would be started twice.
fn disjoint(mut windows: Vec<Window>) -> bool {
    windows.sort_unstable_by_key(|window| window.lo);
    windows
        .iter()
        .zip(windows.iter().skip(1))
        .all(|(one, next)| one.hi < next.lo && !one.open_above && !next.open_below)
}

impl<V: Verb> Fleet<V> {
    /// Everything a later process needs to go on from here, whatever has happened.
    pub fn checkpoint(&self) -> FleetCheckpoint {
        let lanes = self.lanes.iter().filter(|lane| lane.state != LaneState::Dry);
        let dry = self.lanes.iter().filter(|lane| lane.state == LaneState::Dry);
        FleetCheckpoint(Kind::Many(File {
            operation: V::NAME.to_string(),
            fingerprint: self.config.full_fingerprint(),
            selection: SavedSelection::of(&self.config.selection),
            page_size: self.config.page_size,
            max: self.config.max,
            verify: self.config.verify,
            whole: self.whole,
            budget: self.budget,
            totals: dry.fold(self.totals, |totals, lane| totals.and(lane.bulk.totals())),
            round_deleted: self.round_deleted,
            round_unconfirmed: self.round_unconfirmed,
            barren_rounds: self.barren_rounds,
            full_pages: self.full_pages,
            lanes: lanes
                .map(|lane| SavedLane {
                    window: lane.window,
                    in_flight: Some(lane.asked()).filter(|asked| *asked > 0),
                    position: lane.bulk.position.clone(),
                })
                .collect(),
        }))
    }
}

impl<V: Verb> BulkBuilder<V> {
    /// The lanes, where the checkpoint was taken; see [`BulkBuilder::restore`]. The number of lanes may be another.
    ///
    /// # Errors
    /// A checkpoint of another endpoint, selection or operation, or taken with another page size, maximum or
    /// verification.
    pub fn restore_fleet(
        self,
        checkpoint: FleetCheckpoint,
        lanes: NonZeroUsize,
        now: UnixMillis,
    ) -> Result<Fleet<V>, CheckpointError> {
        match checkpoint.0 {
            Kind::One(checkpoint) => self.restore_one(checkpoint, lanes, now),
            Kind::Many(file) => self.restore_many(file, lanes, now),
        }
    }

    /// A single lane's file: its pass is a round of one lane.
    fn restore_one(
        self,
        checkpoint: Checkpoint,
        lanes: NonZeroUsize,
        now: UnixMillis,
    ) -> Result<Fleet<V>, CheckpointError> {
        let bulk = self.clone().restore(checkpoint)?;
        let mut fleet = Fleet::empty(Self { selection: bulk.selection().clone(), ..self }, lanes, now);
        let position = &bulk.position;
        fleet.budget = position.remaining;
        fleet.round_deleted = position.pass_deleted;
        fleet.round_unconfirmed = position.pass_unconfirmed;
        fleet.barren_rounds = position.barren_passes;
        let mut position = position.clone();
        fleet.totals = core::mem::take(&mut position.totals);
        fleet.adopt(fleet.whole, position)?;
        fleet.halt_if_unsettled();
        Ok(fleet)
    }

    fn restore_many(mut self, file: File, lanes: NonZeroUsize, now: UnixMillis) -> Result<Fleet<V>, CheckpointError> {
        if file.operation != V::NAME {
            return Err(CheckpointError::OtherOperation(file.operation));
        }
        if file.fingerprint != self.full_fingerprint() {
            return Err(CheckpointError::OtherSelection);
        }
        if (file.page_size, file.max, file.verify) != (self.page_size, self.max, self.verify) {
            return Err(CheckpointError::OtherOptions);
        }
        self.selection = file.selection.apply_to(self.selection, self.relative_times)?;
        // The file is not to be trusted with what gets deleted: the selection's own ends bound all windows.
        let own = Window::of(&self.selection, now);
        if !file.whole.lies_in(&own) {
            return Err(CheckpointError::Damaged("its window is not the selection's".into()));
        }
        // What has no window has one lane, and so has what trusts no date.
        let one = !V::REPEATABLE || matches!(self.selection, Selection::Ids(_));
        if one && (file.lanes.len() > 1 || file.lanes.iter().any(|lane| lane.window != file.whole)) {
            return Err(CheckpointError::Damaged("it has lanes where there is but one".into()));
        }
        let mut fleet = Fleet::empty(self, lanes, now);
        fleet.whole = file.whole;
        fleet.budget = file.budget;
        fleet.totals = file.totals;
        fleet.round_deleted = file.round_deleted;
        fleet.round_unconfirmed = file.round_unconfirmed;
        fleet.barren_rounds = file.barren_rounds;
        fleet.full_pages = file.full_pages;
        for lane in file.lanes {
            let mut position = lane.position;
            if let Some(asked) = lane.in_flight {
                add_one(&mut position.totals.requests);
                add_one(&mut position.totals.unconfirmed);
                if V::REPEATABLE {
                    add_one(&mut position.totals.retries);
                } else {
                    position.unsettled = Some(asked);
                }
                fleet.round_unconfirmed = true;
                fleet.budget = fleet.budget.map(|budget| budget.saturating_sub(asked));
            }
            fleet.adopt(lane.window, position)?;
        }
        if fleet.lanes.is_empty() && fleet.barren_rounds >= fleet.config.policy.max_attempts.get() && V::REPEATABLE {
            // It gave up, and whoever goes on wants it tried again.
            fleet.barren_rounds = 0;
            fleet.begin_round();
        } else if fleet.lanes.is_empty() {
            fleet.end_round();
        }
        fleet.halt_if_unsettled();
        Ok(fleet)
    }
}

impl<V: Verb> Fleet<V> {
    fn adopt(&mut self, window: Window, position: Position) -> Result<(), CheckpointError> {
        let selection = window.narrow(&self.config.selection)?;
        let by_ids = matches!(selection, Selection::Ids(_));
        let config =
            BulkBuilder { selection, verify: false, ..self.config.clone() }.max(self.config.max.filter(|_| by_ids));
        let mut bulk = Bulk::new(config, position);
        bulk.halt_if_unsettled();
        if bulk.position.sent_ids > bulk.limit_of_ids() {
            return Err(CheckpointError::OtherSelection);
        }
        self.lanes.push(Lane::restored(window, bulk));
        Ok(())
    }
}
