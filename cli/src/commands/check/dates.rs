//! Finds out which time of a run `fromDate` and `toDate` look at, and whether their ends are inclusive, from which bounds show
//! the run and which do not. Sends nothing.

use crate::commands::check::answer::{Answer, no, unknown, yes};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    From,
    To,
}

/// A time of the run by its name, in milliseconds since the epoch.
pub(crate) type Time = (&'static str, i64);

/// One listing with one bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) end: End,
    pub(crate) at: i64,
    /// Whether the run was shown. `None` if that could not be seen.
    pub(crate) shown: Option<bool>,
}

/// What an end of the window may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Ignored,
    Looks { at: usize, inclusive: bool },
}

/// A day, in milliseconds: so far from all times that whoever keeps to a bound at all keeps to this one.
const DAY: i64 = 86_400_000;

/// The bounds that tell all rules apart: at each time, next to it, and far from all.
pub(crate) fn bounds(times: &[Time], now: i64) -> Vec<(End, i64)> {
    let mut bounds = BTreeSet::new();
    let (mut first, mut last) = (now, now);
    for (_, at) in times {
        for near in [at.saturating_sub(1), *at, at.saturating_add(1)] {
            bounds.extend([(false, near), (true, near)]);
        }
        (first, last) = (first.min(*at), last.max(*at));
    }
    bounds.extend([(false, last.saturating_add(DAY)), (true, first.saturating_sub(DAY))]);
    bounds.into_iter().map(|(to, at)| (if to { End::To } else { End::From }, at)).collect()
}

impl Rule {
    fn shows(self, times: &[Time], bound: &Bound) -> bool {
        let Self::Looks { at, inclusive } = self else { return true };
        let Some((_, time)) = times.get(at) else { return false };
        match bound.end {
            _ if *time == bound.at => inclusive,
            End::From => *time > bound.at,
            End::To => *time < bound.at,
        }
    }
}

/// The rules of one end that agree with everything that was seen.
fn rules(times: &[Time], bounds: &[Bound], end: End) -> Vec<Rule> {
    let seen: Vec<&Bound> = bounds.iter().filter(|bound| bound.end == end && bound.shown.is_some()).collect();
    let looks = (0..times.len()).flat_map(|at| [true, false].map(|inclusive| Rule::Looks { at, inclusive }));
    let rules = std::iter::once(Rule::Ignored).chain(looks);
    rules.filter(|rule| seen.iter().all(|bound| bound.shown == Some(rule.shows(times, bound)))).collect()
}

/// Whether the listing keeps to this end, and whether the end belongs to the window.
pub(crate) fn keeps_to(times: &[Time], bounds: &[Bound], end: End) -> Answer {
    let rules = rules(times, bounds, end);
    let is_inclusive = |rule: &Rule| matches!(rule, Rule::Looks { inclusive: true, .. });
    if !bounds.iter().any(|bound| bound.end == end && bound.shown.is_some()) {
        unknown("the run could not be looked for")
    } else if rules.is_empty() {
        unknown("it keeps to none of the times that the run carries")
    } else if rules == [Rule::Ignored] {
        no("the date is ignored")
    } else if rules.contains(&Rule::Ignored) {
        unknown("what was seen does not tell whether the date is ignored")
    } else if rules.iter().all(is_inclusive) {
        yes("a run at exactly this time is shown, one beyond it is not")
    } else if !rules.iter().any(is_inclusive) {
        no("it keeps to the date, but does not show a run at exactly this time")
    } else {
        unknown("it keeps to the date; whether it shows a run at exactly this time was not seen")
    }
}

/// Whether the dates look at `createdAt`.
pub(crate) fn look_at_created_at(times: &[Time], bounds: &[Bound]) -> Answer {
    let mut names = BTreeSet::new();
    let mut sure = false;
    for end in [End::From, End::To] {
        let rules = rules(times, bounds, end);
        if rules.is_empty() {
            return unknown("they look at none of the times that the run carries");
        }
        match rules[..] {
            [Rule::Ignored] => continue,
            _ if rules.contains(&Rule::Ignored) => return unknown("it was not seen whether the dates are ignored"),
            _ => sure = true,
        }
        let looked_at = rules.iter().filter_map(|rule| match rule {
            Rule::Looks { at, .. } => times.get(*at).map(|(name, _)| *name),
            Rule::Ignored => None,
        });
        names.extend(looked_at);
    }
    let names: Vec<&str> = names.into_iter().collect();
    match names[..] {
        _ if !sure => unknown("the dates are ignored"),
        ["createdAt"] => yes("a run is shown by its createdAt, and not by its other times"),
        [name] => no(format!("they look at {name}")),
        _ => unknown(format!("no run was found whose times tell {} apart", names.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::answer::Verdict;
    use proptest::prelude::*;

    const NAMES: [&str; 3] = ["createdAt", "workflowCreatedAt", "notBefore"];

    /// What a service with this rule shows of a run. `None`: it looks at a time of its own.
    fn observe(times: &[Time], rule: Option<Rule>, own: i64, end: End, at: i64) -> bool {
        let bound = Bound { end, at, shown: None };
        match rule {
            Some(rule) => rule.shows(times, &bound),
            None => {
                if end == End::From {
                    own >= at
                } else {
                    own <= at
                }
            }
        }
    }

    fn rule(times: usize) -> impl Strategy<Value = Option<Rule>> {
        prop_oneof![
            Just(Some(Rule::Ignored)),
            (0..times, any::<bool>()).prop_map(|(at, inclusive)| Some(Rule::Looks { at, inclusive })),
            Just(None),
        ]
    }

    /// Whether a time of the service's own can be told from those of the run.
    fn is_apart(times: &[Time], own: i64) -> bool {
        let mut all: Vec<i64> = times.iter().map(|(_, at)| *at).chain([own]).collect();
        all.sort_unstable();
        all.windows(2).all(|pair| pair[1] - pair[0] > 1)
    }

    proptest! {
        /// Whatever the service does, what is answered is true; and where the times differ and all was seen, it is answered.
        #[test]
        fn answers_are_true(
            offsets in proptest::collection::vec(-9_i64..9, 3), own in -9_i64..9,
            from in rule(3), to in rule(3), hidden in proptest::collection::vec(any::<bool>(), 40),
        ) {
            const NOW: i64 = 1_764_000_000_000;
            let times: Vec<Time> = NAMES.into_iter().zip(offsets.iter().map(|offset| NOW - DAY + offset)).collect();
            let own = NOW - DAY + own;
            let of = |end| if end == End::From { from } else { to };
            let see = |(end, at)| Bound { end, at, shown: Some(observe(&times, of(end), own, end, at)) };
            let whole: Vec<Bound> = bounds(&times, NOW).into_iter().map(see).collect();
            prop_assert!(whole.len() <= 20);
            let hide = |(bound, hidden): (&Bound, &bool)| Bound { shown: bound.shown.filter(|_| !hidden), ..*bound };
            let partly: Vec<Bound> = whole.iter().zip(&hidden).map(hide).collect();
            let clear = is_apart(&times, own);
            for end in [End::From, End::To] {
                let truth = match of(end) {
                    Some(Rule::Looks { inclusive: true, .. }) => Verdict::Yes,
                    Some(_) => Verdict::No,
                    None => Verdict::Unknown,
                };
                let (all, some) = (keeps_to(&times, &whole, end).answer, keeps_to(&times, &partly, end).answer);
                prop_assert!(all == truth || !clear && (all == Verdict::Unknown || truth == Verdict::Unknown));
                prop_assert!(some == truth || some == Verdict::Unknown || truth == Verdict::Unknown);
            }
            let (Some(from), Some(to)) = (from, to) else { return Ok(()) };
            let looks_at = |rule| if let Rule::Looks { at, .. } = rule { Some(times[at].1) } else { None };
            let looked_at: BTreeSet<i64> = [from, to].into_iter().filter_map(looks_at).collect();
            let is_created_at = |at: &i64| *at == times[0].1;
            for (seen, all) in [(&whole, clear), (&partly, false)] {
                match look_at_created_at(&times, seen).answer {
                    Verdict::Yes => prop_assert!(!looked_at.is_empty() && looked_at.iter().all(is_created_at)),
                    Verdict::No => prop_assert!(!looked_at.is_empty() && !looked_at.iter().any(is_created_at)),
                    Verdict::Unknown => prop_assert!(!all || looked_at.len() != 1),
                }
            }
        }
    }

    #[test]
    fn times_that_are_the_same_are_not_told_apart() {
        let times = [("createdAt", 50), ("workflowCreatedAt", 50)];
        let see =
            |(end, at): (End, i64)| Bound { end, at, shown: Some(if end == End::From { 50 >= at } else { 50 <= at }) };
        let seen: Vec<Bound> = bounds(&times, 100).into_iter().map(see).collect();
        assert_eq!(keeps_to(&times, &seen, End::From).answer, Verdict::Yes);
        let field = look_at_created_at(&times, &seen);
        assert!(
            field.answer == Verdict::Unknown && field.reason.contains("createdAt and workflowCreatedAt"),
            "{field:?}"
        );
    }
}
