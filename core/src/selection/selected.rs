//! What an operation acts on.

use crate::model::field_error::FieldError;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::ids::Ids;
use crate::selection::matches::Match;

/// Which runs an operation acts on. Ids together with filters cannot be written down, nor can "nothing given": an empty
/// list of ids and an empty filter do not build, and everything is a choice of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These runs.
    Ids(Ids),
    /// The runs that match.
    Filter(Filter),
    /// Every run in the DLQ.
    Everything,
}

impl Selection {
    /// Whether a message is of a run that is selected.
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

    /// The same selection with its upper end fixed: runs that fail after `to` are left alone. Ids stay as they are, and
    /// so does a filter that has an upper end of its own.
    ///
    /// # Errors
    /// When the filter begins after `to`.
    pub fn until(self, to: UnixMillis) -> Result<Self, FieldError> {
        match self {
            Self::Ids(ids) => Ok(Self::Ids(ids)),
            Self::Filter(filter) if filter.to().is_some() => Ok(Self::Filter(filter)),
            Self::Filter(filter) => filter.into_builder().to(to).build().map(Self::Filter),
            Self::Everything => Filter::builder().to(to).build().map(Self::Filter),
        }
    }
}
