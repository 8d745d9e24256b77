//! A list of ids that a request can act on.

use crate::model::dlq_id::DlqId;
use crate::model::field_error::FieldError;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

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
    /// use upstash_dlq_core::selection::Ids;
    /// assert_eq!(Ids::parse(["a", "b", "a"])?.len(), 2);
    /// assert!(Ids::parse(Vec::<String>::new()).is_err());
    /// # Ok::<(), upstash_dlq_core::model::FieldError>(())
    /// ```
    pub fn parse<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> Result<Self, FieldError> {
        Self::new(ids.into_iter().map(DlqId::new).collect::<Result<Vec<_>, _>>()?)
    }

    /// The same from ids that are valid already.
    ///
    /// # Errors
    /// When there is no id.
    pub fn new(mut ids: Vec<DlqId>) -> Result<Self, FieldError> {
        if ids.is_empty() {
            return Err(FieldError::empty(
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
