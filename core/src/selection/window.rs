//! A window of time, which can be cut into parts.

use crate::bugs::bug;
use crate::model::field_error::FieldError;
use crate::model::time::RETENTION_MS;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::selected::Selection;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// From `lo` to `hi`, both included, in milliseconds since 1970. An open end is not sent: all times beyond it belong to the
/// window, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    pub(crate) lo: i64,
    pub(crate) hi: i64,
    pub(crate) open_below: bool,
    pub(crate) open_above: bool,
}

impl Window {
    /// The window of a selection. If a time is missing, that end is open, and the window is cut as if the service kept runs
    /// for 92 days up to `now`.
    pub(crate) fn of(selection: &Selection, now: UnixMillis) -> Self {
        let (from, to) = selection.filter().map_or((None, None), |filter| (filter.from(), filter.to()));
        let hi = to.unwrap_or(now.max(from.unwrap_or(now))).get();
        let lo = from.map_or(hi.saturating_sub(RETENTION_MS), UnixMillis::get);
        Self { lo, hi, open_below: from.is_none(), open_above: to.is_none() && !bug!(UpperEndClosed) }
    }

    /// How many milliseconds there are from `lo` to `hi`.
    pub(crate) fn width(&self) -> i128 {
        i128::from(self.hi) - i128::from(self.lo) + 1
    }

    /// Cuts the window into `parts` disjoint parts that cover it, as even as possible. There are fewer parts if it has fewer
    /// milliseconds. The time below an open lower end becomes a part of its own, twice as wide, so that it can be cut as fast
    /// as any other if the runs lie there.
    pub(crate) fn split(&self, parts: usize) -> Vec<Self> {
        if self.open_below && parts > 1 && self.lo > i64::MIN {
            let span = i64::try_from(self.width().saturating_mul(2)).unwrap_or(i64::MAX);
            let beyond =
                Self { lo: self.lo.saturating_sub(span), hi: self.lo - 1, open_below: true, open_above: false };
            let mut all = Vec::with_capacity(parts);
            all.push(beyond);
            all.extend(Self { open_below: false, ..*self }.split(parts - 1));
            return all;
        }
        let width = self.width();
        let parts = i128::try_from(parts).unwrap_or(i128::MAX).min(width).max(1);
        let off_by = if bug!(WindowsOverlap) { 0 } else { 1 + i64::from(bug!(WindowsLeaveGaps)) };
        let at = |n: i128| i64::try_from(i128::from(self.lo) + width * n / parts).unwrap_or(i64::MAX);
        (0..parts)
            .map(|n| Self {
                lo: at(n),
                hi: if n + 1 == parts { self.hi } else { at(n + 1) - off_by },
                open_below: self.open_below && n == 0,
                open_above: self.open_above && n + 1 == parts,
            })
            .collect()
    }

    pub(crate) fn contains(&self, at: i64) -> bool {
        (self.open_below || at >= self.lo) && (self.open_above || at <= self.hi)
    }

    /// Whether this window lies within `whole`.
    pub(crate) fn lies_in(&self, whole: &Self) -> bool {
        self.lo <= self.hi
            && (whole.open_below || (!self.open_below && self.lo >= whole.lo))
            && (whole.open_above || (!self.open_above && self.hi <= whole.hi))
    }

    /// Narrows a selection to this window.
    pub(crate) fn narrow(&self, selection: &Selection) -> Result<Selection, FieldError> {
        // Ids have no window: narrowed to dates, they would become a filter by dates alone.
        if matches!(selection, Selection::Ids(_)) || (self.open_below && self.open_above) {
            return Ok(selection.clone());
        }
        let filter = selection.filter().cloned().map_or_else(Filter::builder, Filter::into_builder);
        let filter = if self.open_below { filter } else { filter.from(UnixMillis::new(self.lo)) };
        let filter = if self.open_above { filter } else { filter.to(UnixMillis::new(self.hi)) };
        selection.clone().with_filter(filter.build()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part begins where the one before it ends. The ends are open where those of the window are, and nowhere else.
    #[test]
    fn the_parts_of_a_window_cover_it_once() {
        let ends = [(false, false), (true, false), (false, true), (true, true)];
        for (open_below, open_above) in ends {
            for (lo, hi) in [(0, 0), (0, 6), (-9, 99), (i64::MIN, 5), (0, i64::MAX), (i64::MIN, i64::MAX)] {
                let whole = Window { lo, hi, open_below, open_above };
                assert_eq!(whole.split(1), [whole]);
                for count in 0..9 {
                    let parts = whole.split(count);
                    assert!((1..=count.max(1)).contains(&parts.len()), "{whole:?} in {count} parts: {parts:?}");
                    let (first, last) = (parts[0], parts[parts.len() - 1]);
                    assert_eq!((first.open_below, last.open_above), (open_below, open_above));
                    assert!(first.lo == lo || open_below, "{parts:?}");
                    assert_eq!(last.hi, hi);
                    assert!(parts.iter().all(|part| part.lo <= part.hi && part.lies_in(&whole)), "{parts:?}");
                    for pair in parts.windows(2) {
                        assert_eq!(pair[0].hi + 1, pair[1].lo, "{parts:?}");
                        assert!(!pair[0].open_above && !pair[1].open_below, "{parts:?}");
                    }
                }
            }
        }
    }
}
