//! The selection: what an operation acts on.

use crate::model::field_error::FieldError;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::ids::Ids;
use crate::selection::matches::Match;

/// Which runs an operation acts on: ids, or a filter, or everything. There is no way to select everything by accident: an
/// empty list of ids and an empty filter cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The runs with these ids.
    Ids(Ids),
    /// The runs that match this filter.
    Filter(Filter),
    /// Every run in the DLQ.
    Everything,
}

impl Selection {
    /// Whether the run of this message is selected.
    pub fn matches(&self, message: &DlqMessage) -> Match {
        match self {
            Self::Ids(ids) => match message.dlq_id() {
                Some(id) if ids.as_slice().contains(&id) => Match::Yes,
                _ => Match::No("dlqIds"),
            },
            Self::Filter(filter) => filter.matches(message),
            Self::Everything => Match::Yes,
        }
    }

    /// Limits the selection to runs that failed at or before `to`. A list of ids stays as it is, and so does a filter that has
    /// an upper end already.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if the filter begins after `to`.
    pub fn until(self, to: UnixMillis) -> Result<Self, FieldError> {
        match self {
            Self::Ids(ids) => Ok(Self::Ids(ids)),
            Self::Filter(filter) if filter.to().is_some() => Ok(Self::Filter(filter)),
            Self::Filter(filter) => filter.into_builder().to(to).build().map(Self::Filter),
            Self::Everything => Filter::builder().to(to).build().map(Self::Filter),
        }
    }
}
