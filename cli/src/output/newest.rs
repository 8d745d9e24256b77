//! Keeps the newest runs of a listing that comes in any order. Knows their times, and not what they are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use upstash_dlq_core::UnixMillis;

/// The newest of what was added, at most `limit` of them.
pub(crate) struct Newest<T> {
    limit: usize,
    /// The oldest that is kept is on top, for the next newer one to take its place.
    kept: BinaryHeap<Reverse<Entry<T>>>,
    seen: u64,
}

/// A later place in the output is less: older, or listed later at the same time. Without a time it is less than all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Option<UnixMillis>, Reverse<u64>);

struct Entry<T> {
    key: Key,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Newest<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new(), seen: 0 }
    }

    /// Adds what is of this time. `item` is called only if it is kept, at least for now.
    pub(crate) fn add(&mut self, at: Option<UnixMillis>, item: impl FnOnce() -> T) {
        let key = Key(at, Reverse(self.seen));
        self.seen += 1;
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(Entry { key, item: item() }));
        } else if let Some(mut oldest) = self.kept.peek_mut().filter(|oldest| oldest.0.key < key) {
            *oldest = Reverse(Entry { key, item: item() });
            drop::<PeekMut<'_, _>>(oldest);
        }
    }

    /// How many were added, kept or not.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The newest first. Those of one time stay in the order in which they were added, and those without a time come last.
    pub(crate) fn into_items(self) -> impl Iterator<Item = T> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse(entry)| entry.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_keeps_what_sorting_would(times in proptest::collection::vec(proptest::option::of(-3_i64..3), 0..40), limit in 1_usize..45) {
            let mut newest = Newest::new(limit);
            for (at, time) in times.iter().enumerate() {
                newest.add(time.map(UnixMillis::new), || at);
                prop_assert!(newest.kept.len() <= limit);
            }
            prop_assert_eq!(newest.seen(), times.len() as u64);
            let mut sorted: Vec<usize> = (0..times.len()).collect();
            // A stable sort, with what has no time behind all else.
            sorted.sort_by_key(|at| times[*at].map_or((1, 0), |time| (0, -time)));
            sorted.truncate(limit);
            prop_assert_eq!(newest.into_items().collect::<Vec<_>>(), sorted);
        }
    }
}
