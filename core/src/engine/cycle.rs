//! Detects a sequence of cursors, or of pages, that repeats.

use crate::model::cursor::Cursor;
use serde::{Deserialize, Serialize};

/// Detects that a sequence has become periodic, in constant memory (Brent's algorithm). It compares one remembered value with each
/// that follows, and replaces it after 1, 2, 4, 8, … steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CycleDetector<T = Cursor> {
    remembered: Option<T>,
    steps: u64,
    limit: u64,
}

impl<T: Clone + PartialEq> Default for CycleDetector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + PartialEq> CycleDetector<T> {
    pub(crate) fn new() -> Self {
        Self { remembered: None, steps: 0, limit: 1 }
    }

    /// Takes the next value. Returns true if it is the remembered one.
    pub(crate) fn sees_again(&mut self, value: &T) -> bool {
        if self.remembered.as_ref() == Some(value) {
            return true;
        }
        self.steps = self.steps.saturating_add(1);
        if self.remembered.is_none() || self.steps >= self.limit {
            self.remembered = Some(value.clone());
            self.steps = 0;
            self.limit = self.limit.saturating_mul(2);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn cursor(n: u64) -> Cursor {
        Cursor::parse(&n.to_string()).unwrap()
    }

    #[test]
    fn every_short_cycle_is_found_soon_and_nothing_else() {
        for tail in 0..40_u64 {
            for length in 1..40_u64 {
                let mut detector = CycleDetector::new();
                let found = (0..10_000_u64)
                    .position(|i| {
                        let value = if i < tail { i } else { tail + (i - tail) % length };
                        detector.sees_again(&cursor(value))
                    })
                    .unwrap();
                let found = u64::try_from(found).unwrap();
                assert!(found >= tail + length && found <= 4 * (tail + length) + 4, "{tail} {length} {found}");
            }
        }
        let mut detector = CycleDetector::new();
        assert!(!(0..5_000).any(|i| detector.sees_again(&cursor(i))));
    }
}
