//! A list of ids to act on.

use crate::model::dlq_id::DlqId;
use crate::model::field_error::FieldError;
use crate::model::hash::hash_of;
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
        let mut keep = first_ones(&ids).into_iter();
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

/// For each id, whether none before it is equal. Numbers are sorted faster than texts, so the ids are sorted by their hashes. Equal
/// hashes are told apart by the ids.
fn first_ones(ids: &[DlqId]) -> Vec<bool> {
    let mut sorted: Vec<_> = ids.iter().enumerate().map(|(at, id)| (hash_of(id.as_str()), id.as_str(), at)).collect();
    sorted.sort_unstable();
    let mut first = alloc::vec![true; ids.len()];
    for pair in sorted.windows(2) {
        if let [(_, id, _), (_, next, at)] = pair {
            if let Some(first) = first.get_mut(*at) {
                *first = id != next;
            }
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_id_stays_where_it_came_first(texts in proptest::collection::vec("[a-c]{1,2}", 1..40)) {
            let mut expected: Vec<String> = Vec::new();
            for text in &texts {
                if !expected.contains(text) {
                    expected.push(text.clone());
                }
            }
            let ids = Ids::parse(texts).unwrap();
            let found: Vec<String> = ids.as_slice().iter().map(ToString::to_string).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
