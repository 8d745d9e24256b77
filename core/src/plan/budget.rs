//! The budget of an operation: the maximum of runs, and what is left of it.

use core::num::NonZeroU64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    max: Option<NonZeroU64>,
    left: Option<u64>,
}

impl Budget {
    pub(crate) fn new(max: Option<NonZeroU64>) -> Self {
        Self { max, left: max.map(NonZeroU64::get) }
    }

    /// The budget that another process has left.
    pub(crate) fn resume(max: Option<NonZeroU64>, left: Option<u64>) -> Self {
        Self { max, left }
    }

    pub(crate) fn left(self) -> Option<u64> {
        self.left
    }

    pub(crate) fn charge(&mut self, runs: u64) {
        self.left = self.left.map(|left| left.saturating_sub(runs));
    }

    pub(crate) fn refund(&mut self, runs: u64) {
        let max = self.max.map_or(u64::MAX, NonZeroU64::get);
        self.left = self.left.map(|left| left.saturating_add(runs).min(max));
    }

    pub(crate) fn is_spent(self) -> bool {
        self.left == Some(0)
    }

    /// Whether it is spent, but in part on requests whose result is unknown.
    pub(crate) fn is_spent_short_of_max(self, affected: u64) -> bool {
        self.is_spent() && self.max.is_some_and(|max| affected < max.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_short_of_its_maximum_only_by_the_unknown() {
        let mut budget = Budget::new(NonZeroU64::new(5));
        assert!(!budget.is_spent() && !budget.is_spent_short_of_max(0));
        budget.charge(7);
        assert!(budget.is_spent());
        assert_eq!([4, 5, 6].map(|affected| budget.is_spent_short_of_max(affected)), [true, false, false]);
        budget.refund(9);
        assert_eq!(budget.left(), Some(5), "no more than the maximum comes back");
        assert!(!Budget::new(None).is_spent_short_of_max(0));
    }
}
