//! Counts over any number of runs, in bounded memory.

use crate::output::causes::Causes;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use upstash_dlq_core::DlqMessage;

/// How many different values of a field are counted separately. Further ones are counted together.
const DISTINCT: usize = 10_000;
/// How much of a value is kept, in characters. Values that differ only after that count as one.
const LONGEST: usize = 2_000;
/// How many buckets of time are kept. Beyond that the buckets grow.
const BUCKETS: usize = 4_096;
const MINUTE: i64 = 60_000;
/// Each a multiple of the one before, in minutes.
const SIZES: [i64; 12] = [1, 5, 15, 60, 180, 360, 720, 1_440, 2_880, 14_400, 144_000, 144_000_000];

/// How often a value occurred.
#[derive(Debug, Serialize)]
pub(crate) struct Count {
    /// `None` where the field is missing.
    pub(crate) value: Option<String>,
    pub(crate) count: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Field {
    counts: HashMap<Option<String>, u64>,
    others: u64,
}

impl Field {
    fn add(&mut self, value: Option<&str>) {
        let value = value.map(|value| cut(value).to_owned());
        if let Some(count) = self.counts.get_mut(&value) {
            *count += 1;
        } else if self.counts.len() < DISTINCT {
            self.counts.insert(value, 1);
        } else {
            self.others += 1;
        }
    }

    /// The most frequent first, and how many runs have values beyond the bound.
    pub(crate) fn sorted(&self) -> (Vec<Count>, u64) {
        let mut counts: Vec<Count> =
            self.counts.iter().map(|(value, count)| Count { value: value.clone(), count: *count }).collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        (counts, self.others)
    }
}

/// The beginning of a value that is too long to be kept.
fn cut(value: &str) -> &str {
    let end = value.char_indices().nth(LONGEST).map_or(value.len(), |(end, _)| end);
    value.get(..end).unwrap_or(value)
}

/// How many runs failed in each stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    size: usize,
    buckets: BTreeMap<i64, u64>,
}

impl Histogram {
    fn add(&mut self, at: i64) {
        *self.buckets.entry(at.div_euclid(self.millis())).or_default() += 1;
        while self.buckets.len() > BUCKETS && self.size + 1 < SIZES.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let before = self.millis();
        self.size += 1;
        let after = self.millis();
        for (bucket, count) in std::mem::take(&mut self.buckets) {
            *self.buckets.entry(bucket.saturating_mul(before).div_euclid(after)).or_default() += count;
        }
    }

    /// The length of a bucket in milliseconds.
    pub(crate) fn millis(&self) -> i64 {
        SIZES.get(self.size).copied().unwrap_or(i64::MAX / MINUTE).saturating_mul(MINUTE)
    }

    /// Lets the buckets grow until at most `rows` lie between the first and the last.
    pub(crate) fn at_most(mut self, rows: i64) -> Self {
        while self.span() > rows && self.size + 1 < SIZES.len() {
            self.grow();
        }
        self
    }

    fn span(&self) -> i64 {
        match (self.buckets.keys().next(), self.buckets.keys().next_back()) {
            (Some(first), Some(last)) => last.saturating_sub(*first).saturating_add(1),
            _ => 0,
        }
    }

    /// Where each bucket begins, in milliseconds since 1970, and how many are in it: those that are not empty.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (i64, u64)> {
        let millis = self.millis();
        self.buckets.iter().map(move |(bucket, count)| (bucket.saturating_mul(millis), *count))
    }

    /// The same with the empty ones between others, where they are few.
    pub(crate) fn rows(&self) -> Vec<(i64, u64)> {
        let millis = self.millis();
        let row = |bucket: i64, count| (bucket.saturating_mul(millis), count);
        match self.buckets.keys().next() {
            Some(first) if self.span() <= 1_000 => {
                (0..self.span()).map(|n| row(first + n, self.buckets.get(&(first + n)).copied().unwrap_or(0))).collect()
            }
            _ => self.filled().collect(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) total: u64,
    pub(crate) workflow: Field,
    pub(crate) label: Field,
    pub(crate) state: Field,
    pub(crate) status: Field,
    pub(crate) causes: Causes,
    pub(crate) time: Histogram,
    pub(crate) without_time: u64,
}

impl Tally {
    /// A run with two labels counts under both.
    pub(crate) fn add(&mut self, message: &DlqMessage) {
        self.total += 1;
        let workflow = message.workflow_url();
        self.workflow.add(workflow.as_deref());
        self.causes.add(message, workflow.as_deref());
        let labels = message.labels();
        labels.iter().for_each(|label| self.label.add(Some(label)));
        if labels.is_empty() {
            self.label.add(None);
        }
        self.state.add(message.failure_function_state().as_ref().map(|state| state.as_str()));
        self.status.add(message.response_status().map(|status| status.to_string()).as_deref());
        match message.created_at() {
            Some(at) => self.time.add(at.get()),
            None => self.without_time += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_and_lose_nothing() {
        let mut histogram = Histogram::default();
        for n in 0..20_000_i64 {
            histogram.add(n * 7 * MINUTE);
        }
        assert!(histogram.buckets.len() <= BUCKETS);
        let shown = histogram.at_most(32);
        let rows = shown.rows();
        assert!(rows.len() <= 32 && rows.iter().map(|(_, count)| count).sum::<u64>() == 20_000, "{rows:?}");
        for extreme in [[i64::MIN, i64::MAX], [i64::MIN, i64::MIN]] {
            let mut histogram = Histogram::default();
            extreme.into_iter().for_each(|at| histogram.add(at));
            assert_eq!(histogram.at_most(32).rows().iter().map(|(_, count)| count).sum::<u64>(), 2);
        }
    }

    #[test]
    fn a_long_value_is_kept_in_part() {
        let mut field = Field::default();
        for end in ["", "a", "b"] {
            field.add(Some(&("ä".repeat(LONGEST) + end)));
        }
        let (counts, others) = field.sorted();
        assert_eq!((counts.len(), others, counts[0].count), (1, 0, 3));
        assert_eq!(counts[0].value.as_deref(), Some("ä".repeat(LONGEST).as_str()));
    }

    #[test]
    fn values_beyond_the_bound_are_counted_together() {
        let mut field = Field::default();
        (0..DISTINCT + 5).for_each(|n| field.add(Some(&n.to_string())));
        field.add(Some("0"));
        let (counts, others) = field.sorted();
        assert_eq!((counts.len(), others, counts[0].count), (DISTINCT, 5, 2));
    }
}
