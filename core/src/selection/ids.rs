//! A list of ids to act on.

use crate::model::dlq_id::DlqId;
use crate::model::field_error::FieldError;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// A list of ids. It is never empty, and each id is in it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(Vec<DlqId>);

impl Ids {
    /// Checks ids and removes duplicates. The order stays.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if there is no id, or if one is not valid (see [`DlqId::new`]).
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

    /// The same from ids that were checked before.
    ///
    /// # Errors
    /// Returns a [`FieldError`] if there is no id.
    pub fn new(mut ids: Vec<DlqId>) -> Result<Self, FieldError> {
        if ids.is_empty() {
            return Err(FieldError::empty(
                "dlqIds",
                "no id is given: give at least one, or select everything explicitly",
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

    /// The ids, in order.
    pub fn as_slice(&self) -> &[DlqId] {
        &self.0
    }

    /// How many ids there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a list of ids is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
