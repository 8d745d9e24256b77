//! The selection in a checkpoint, which is compared with the one that is given.

use crate::checkpoint::error::CheckpointError;
use crate::selection::filter::{Filter, RelativeTimes};
use crate::selection::refinement::Refinement;
use crate::selection::selected::{Refined, Selection};
use serde::{Deserialize, Serialize};

/// The selection with its times resolved. A checkpoint contains no ids, only their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SavedSelection {
    Ids(usize),
    Filter(Filter),
    Refined { filter: Option<Filter>, refinement: Refinement },
    Everything,
}

impl SavedSelection {
    pub(crate) fn from_selection(selection: &Selection) -> Self {
        match selection {
            Selection::Ids(ids) => Self::Ids(ids.len()),
            Selection::Filter(filter) => Self::Filter(filter.clone()),
            Selection::Refined(refined) => {
                Self::Refined { filter: refined.filter().cloned(), refinement: refined.refinement().clone() }
            }
            Selection::Everything => Self::Everything,
        }
    }

    /// Returns the given selection with the saved times. Everything else must be the same, and the saved window must not be
    /// wider than the given one: the file is not trusted with what is deleted.
    ///
    /// # Errors
    /// Returns [`CheckpointError::OtherSelection`] if they do not fit together.
    pub(crate) fn apply_to(self, given: Selection, relative: RelativeTimes) -> Result<Selection, CheckpointError> {
        match (self, given) {
            (Self::Ids(saved), Selection::Ids(ids)) if saved == ids.len() => Ok(Selection::Ids(ids)),
            (Self::Filter(saved), Selection::Filter(given)) if saved.is_an_earlier(&given, relative) => {
                Ok(Selection::Filter(saved))
            }
            (Self::Refined { filter, refinement }, Selection::Refined(given)) if refinement == *given.refinement() => {
                match (&filter, given.filter()) {
                    (None, None) => {}
                    (Some(saved), Some(given)) if saved.is_an_earlier(given, relative) => {}
                    _ => return Err(CheckpointError::OtherSelection),
                }
                Ok(Selection::Refined(Refined::new(filter, refinement)))
            }
            (Self::Everything, Selection::Everything) => Ok(Selection::Everything),
            _ => Err(CheckpointError::OtherSelection),
        }
    }
}
