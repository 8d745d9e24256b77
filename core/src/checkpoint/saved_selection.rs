//! The selection of a checkpoint, which is held against the one that is given.

use crate::checkpoint::error::CheckpointError;
use crate::selection::filter::{Filter, RelativeTimes};
use crate::selection::selected::Selection;
use serde::{Deserialize, Serialize};

/// The selection with its times resolved. A checkpoint holds no ids: who gives ids gives them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SavedSelection {
    Ids(usize),
    Filter(Filter),
    Everything,
}

impl SavedSelection {
    pub(crate) fn from_selection(selection: &Selection) -> Self {
        match selection {
            Selection::Ids(ids) => Self::Ids(ids.len()),
            Selection::Filter(filter) => Self::Filter(filter.clone()),
            Selection::Everything => Self::Everything,
        }
    }

    /// What was given, with the saved times. Everything else must be the same, and no end of the window may have gone or be
    /// wider than what was given: the file is not trusted with what gets deleted.
    pub(crate) fn apply_to(self, given: Selection, relative: RelativeTimes) -> Result<Selection, CheckpointError> {
        match (self, given) {
            (Self::Ids(saved), Selection::Ids(ids)) if saved == ids.len() => Ok(Selection::Ids(ids)),
            (Self::Filter(saved), Selection::Filter(given)) if saved.is_an_earlier(&given, relative) => {
                Ok(Selection::Filter(saved))
            }
            (Self::Everything, Selection::Everything) => Ok(Selection::Everything),
            _ => Err(CheckpointError::OtherSelection),
        }
    }
}
