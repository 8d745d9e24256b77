//! What of a schedule does harm: defects of the service, and processes that are stopped by force. It knows no promise.

use crate::schedule::{Fate, Item, Property};

/// What the contract leaves open. Every other property is a defect of the service, or a limit of it.
pub(super) fn is_left_open(property: Property) -> bool {
    matches!(
        property,
        Property::OffsetCursors | Property::NewestFirst | Property::BoundCursors | Property::StartedRunsStay
    )
}

/// A process or its machine is stopped by force, or its disk fails.
pub(super) fn is_forced(item: &Item) -> bool {
    matches!(
        item,
        Item::Disk(..)
            | Item::LookFails(_)
            | Item::Kill { .. }
            | Item::PowerLoss { .. }
            | Item::Meddles(..)
            | Item::Fate(_, Fate::KillBefore | Fate::KillAfter | Fate::PowerLossAfter)
    )
}
