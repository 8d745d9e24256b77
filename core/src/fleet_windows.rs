//! How a fleet's windows are cut, and how its rounds follow each other.

use crate::BulkBuilder;
use crate::bulk::Bulk;
use crate::checkpoint::Position;
use crate::engine::outcome::Halt;
use crate::fleet::{Fleet, Lane, LaneState};
use crate::selection::selected::Selection;
use crate::selection::window::Window;
use crate::wire::bulk::Verb;

/// How many more lanes each page opens that was not the last of its window: a delete of a few pages does not open sixteen.
const OPENED_BY_A_PAGE: u64 = 4;

impl<V: Verb> Fleet<V> {
    /// Cuts the window of a lane with more to do, and gives the lanes that are idle their parts.
    pub(crate) fn share(&mut self, at: usize) {
        if !V::REPEATABLE
            || !self.lanes.get(at).is_some_and(|lane| lane.full && !matches!(lane.state, LaneState::InFlight { .. }))
        {
            return;
        }
        let active = self.lanes.iter().filter(|lane| lane.state != LaneState::Dry).count();
        let allowed = usize::try_from(self.full_pages.saturating_mul(OPENED_BY_A_PAGE)).unwrap_or(usize::MAX);
        let idle = self.limit.min(allowed).saturating_sub(active);
        if idle == 0 {
            return;
        }
        let busy = self.lanes.iter().filter(|lane| lane.full).count().max(1);
        let parts = self.lanes[at].window.split(1 + idle.div_ceil(busy));
        let [first, rest @ ..] = parts.as_slice() else { return };
        if rest.is_empty() {
            return;
        }
        self.open(Some(at), *first);
        for part in rest {
            let dry = self.lanes.iter().position(|lane| lane.state == LaneState::Dry);
            self.open(dry, *part);
        }
    }

    /// Begins a window from its start, in this lane or a new one.
    pub(crate) fn open(&mut self, at: Option<usize>, window: Window) {
        self.seeds = self.seeds.wrapping_add(1);
        let selection = match window.narrow(&self.config.selection) {
            Ok(selection) => selection,
            // Cannot happen: a part of a window that was valid is one, too.
            Err(error) => {
                self.halted.get_or_insert(Halt::Unbuildable(alloc::format!("{error}")));
                return;
            }
        };
        let by_ids = matches!(selection, Selection::Ids(_));
        let config = BulkBuilder { selection, verify: false, ..self.config.clone() }
            .max(self.config.max.filter(|_| by_ids))
            .retry(self.config.policy, self.config.seed.wrapping_add(self.seeds));
        let position = Position::start(config.max.map(core::num::NonZeroU64::get));
        let lane = Lane::restored(window, Bulk::new(config, position));
        match at.and_then(|at| self.lanes.get_mut(at)) {
            Some(old) => {
                self.totals = self.totals.and(old.bulk.totals());
                *old = lane;
            }
            None => self.lanes.push(lane),
        }
    }

    pub(crate) fn retire_all(&mut self) {
        let lanes = core::mem::take(&mut self.lanes);
        self.totals = lanes.iter().fold(self.totals, |totals, lane| totals.and(lane.bulk.totals()));
    }

    /// Whether nothing more may be asked for, in part because of requests whose result is unknown.
    pub(crate) fn maximum_is_unconfirmed(&self) -> bool {
        let short = self.config.max.is_some_and(|max| self.totals().runs < max.get());
        V::REPEATABLE && self.budget == Some(0) && short && !matches!(self.config.selection, Selection::Ids(_))
    }

    pub(crate) fn begin_round(&mut self) {
        self.retire_all();
        self.round_deleted = false;
        self.round_unconfirmed = false;
        self.full_pages = 0;
        self.open(None, self.whole);
    }

    pub(crate) fn end_round(&mut self) {
        let clean = !self.round_deleted && !self.round_unconfirmed;
        if self.round_deleted {
            self.barren_rounds = 0;
        } else {
            self.barren_rounds = self.barren_rounds.saturating_add(1);
        }
        if self.maximum_is_unconfirmed() {
            self.retire_all();
            self.done = Some((false, Some(Halt::MaximumUnconfirmed)));
        } else if clean || !self.config.verify {
            self.retire_all();
            self.done = Some((clean, None));
        } else if self.barren_rounds >= self.config.policy.max_attempts.get() {
            self.retire_all();
            let halt = Halt::barren(self.barren_rounds, self.last_unknown.take());
            self.done = Some((false, Some(halt)));
        } else {
            self.begin_round();
        }
    }
}
