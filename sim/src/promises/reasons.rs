//! What halts have a reason, and when nothing goes wrong at all.

use crate::network::TIMEOUT_MS;
use crate::population::RunIndex;
use crate::promises::History;
use crate::promises::harm::is_left_open;
use crate::schedule::{Asks, Driving, Fate, Item, Property, Target};
use crate::world::OTHER_TOKEN;
use upstash_dlq_core::Halt;
use upstash_dlq_emulator::LOCAL_TOKEN;

/// The most bytes of a page besides its messages and the id in its cursor.
const PAGE: usize = 100;

/// The most bytes by which a cursor is longer that is bound to its query.
const BINDING: usize = 20;

impl History<'_> {
    pub(super) fn groundless(&self, halt: &Halt) -> Option<String> {
        let told = halt.to_string();
        if told.contains(LOCAL_TOKEN) || told.contains(OTHER_TOKEN) {
            return Some("it tells the token".into());
        }
        let has_stepped = self.schedule.items.iter().any(|item| matches!(item, Item::ClockStep { .. }));
        match halt {
            // An earlier clock cannot have resolved a later time.
            Halt::InvalidSetting { .. } if has_stepped => None,
            // A response that is no message, in the place of one.
            Halt::UnusableMessage if self.server_lies() || self.fates().any(|fate| fate == Fate::NoCount) => None,
            Halt::InvalidSetting { .. } | Halt::Unbuildable(_) | Halt::UnusableMessage => Some(format!("{halt:?}")),
            // Nobody can read that run, or a response is no page of the service.
            Halt::TooLarge { .. } if !self.may_be_too_large() => Some(format!("{halt:?}")),
            Halt::Mismatch { field, .. } if !self.may_mismatch(field) => Some(format!("{halt:?}")),
            Halt::DatesIgnored if !self.listings_ignore("fromDate") && !self.listings_ignore("toDate") => {
                Some(format!("{halt:?}"))
            }
            // A server that says it deleted, and did not, still lists.
            Halt::StillListed
                if !self.schedule.has(|property| matches!(property, Property::ListingLag(_)))
                    && !self.server_lies() =>
            {
                Some(format!("{halt:?}"))
            }
            _ => None,
        }
    }

    /// Whether the service ignores this part of a listing's query.
    fn listings_ignore(&self, name: &str) -> bool {
        self.schedule.has(|property| match property {
            Property::ListingIgnoresDates | Property::ListingLosesDates(_) => matches!(name, "fromDate" | "toDate"),
            Property::ListingIgnoresTo => name == "toDate",
            Property::ListingIgnoresLabels => name == "label",
            Property::Ignores(Asks::Listing, ignored) => name == ignored,
            _ => false,
        })
    }

    /// Whether a run may be listed that does not match this field.
    fn may_mismatch(&self, field: &str) -> bool {
        // A run between two dates has one time that meets both. If none does, the first date is named.
        let target = match self.schedule.target() {
            Target::Refined(within, _) => *within,
            target => target,
        };
        let is_by_both = field == "fromDate" && matches!(target, Target::Between { .. });
        self.listings_ignore(field) || (is_by_both && self.listings_ignore("toDate"))
    }

    /// Whether a run is larger than the client reads, or a response of another kind is.
    fn may_be_too_large(&self) -> bool {
        // Who ignores how many runs are asked for sends as many as there are.
        let has_one_size = self.has(Property::ListingIgnoresCount);
        self.fates().any(|fate| fate == Fate::TooLarge) || self.any_is_too_large() || has_one_size
    }

    /// Whether a page that holds one run alone is larger than the client reads.
    pub(super) fn any_is_too_large(&self) -> bool {
        let population = self.schedule.population();
        let binding = if self.has(Property::BoundCursors) { BINDING } else { 0 };
        let len = |index: &RunIndex| population.run(*index).to_json().len() + 2 * population.id_of(*index).len();
        let is_too_large = |index: &RunIndex, bound: u32| len(index) + PAGE + binding > bound as usize;
        let bounds = self.schedule.properties().filter_map(|property| match property {
            Property::LargestBody(bound) => Some(bound),
            _ => None,
        });
        bounds.min().is_some_and(|bound| self.facts.came.iter().any(|index| is_too_large(index, bound)))
    }

    /// Nothing goes wrong at all, so the work has to be completed.
    pub(super) fn is_harmless(&self) -> bool {
        let work = self.schedule.work();
        // A service refuses to start runs if one of them is not there.
        let starts_absent = work.starts() && self.names_absent();
        let is_harmless = |item: &Item| match item {
            Item::Fate(_, Fate::Slow(ms)) => *ms < TIMEOUT_MS,
            Item::Fate(..) | Item::Disk(..) | Item::LookFails(_) | Item::Kill { .. } | Item::PowerLoss { .. } => false,
            Item::Stop { .. } | Item::ClockStep { .. } | Item::SecondProcess { .. } => false,
            Item::ArchiveRemoved { .. } | Item::Meddles(..) => false,
            Item::OtherDeletes { .. } => !work.starts(),
            Item::Driving(driving) => *driving == Driving::Run,
            Item::Service(Property::LargestBody(_)) => !self.any_is_too_large(),
            Item::Service(property) => is_left_open(*property),
            _ => true,
        };
        !starts_absent && self.schedule.items.iter().all(is_harmless)
    }
}
