use crate::{DlqId, DlqMessage, Escaped, Filter, Match, UnixMillis};
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

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
    pub fn until(self, to: UnixMillis) -> Result<Self, SelectionError> {
        match self {
            Self::Ids(ids) => Ok(Self::Ids(ids)),
            Self::Filter(filter) if filter.to().is_some() => Ok(Self::Filter(filter)),
            Self::Filter(filter) => filter.into_builder().to(to).build().map(Self::Filter),
            Self::Everything => Filter::builder().to(to).build().map(Self::Filter),
        }
    }
}

/// A list of ids that is never empty and holds no id twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(Vec<DlqId>);

impl Ids {
    /// Keeps the order of first mention; a repeated id is taken once.
    ///
    /// # Errors
    /// When there is no id, or one is not valid (see [`DlqId::new`]).
    ///
    /// ```
    /// use upstash_dlq_core::Ids;
    /// assert_eq!(Ids::parse(["a", "b", "a"])?.len(), 2);
    /// assert!(Ids::parse(Vec::<String>::new()).is_err());
    /// # Ok::<(), upstash_dlq_core::SelectionError>(())
    /// ```
    pub fn parse<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Result<Self, SelectionError> {
        Self::new(ids.into_iter().map(DlqId::new).collect::<Result<Vec<_>, _>>()?)
    }

    /// The same from ids that are valid already.
    ///
    /// # Errors
    /// When there is no id.
    pub fn new(mut ids: Vec<DlqId>) -> Result<Self, SelectionError> {
        if ids.is_empty() {
            return Err(SelectionError::empty(
                "dlqIds",
                "no id is given: name at least one, or choose everything in so many words",
            ));
        }
        let keep: Vec<bool> = {
            let mut seen = BTreeSet::new();
            ids.iter().map(|id| seen.insert(id.as_str())).collect()
        };
        let mut keep = keep.into_iter();
        ids.retain(|_| keep.next().unwrap_or(true));
        Ok(Self(ids))
    }

    /// The ids in order.
    pub fn as_slice(&self) -> &[DlqId] {
        &self.0
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a list of ids is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A selection that would not mean what was written. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionError {
    field: &'static str,
    value: Option<String>,
    problem: &'static str,
}

impl SelectionError {
    pub(crate) fn new(field: &'static str, value: &str, problem: &'static str) -> Self {
        Self { field, value: Some(value.to_string()), problem }
    }

    pub(crate) fn empty(field: &'static str, problem: &'static str) -> Self {
        Self { field, value: None, problem }
    }

    /// The field's name in the API.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: \"{}\" {}", self.field, Escaped(value), self.problem),
            None => write!(f, "{}: {}", self.field, self.problem),
        }
    }
}

impl core::error::Error for SelectionError {}
