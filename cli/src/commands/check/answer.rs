//! Turns what was observed of a service into answers: its filters and its pages. Sends nothing and prints nothing.

use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use upstash_dlq_core::selection::{FilterBuilder, Match};
use upstash_dlq_core::wire::ListPage;
use upstash_dlq_core::{DlqId, DlqMessage, Filter, UnixMillis};

/// An answer is never a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Yes,
    No,
    Unknown,
}

/// What a question was answered with, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    pub(crate) answer: Verdict,
    pub(crate) reason: String,
}

pub(crate) fn yes(reason: impl Into<String>) -> Answer {
    Answer { answer: Verdict::Yes, reason: reason.into() }
}

pub(crate) fn no(reason: impl Into<String>) -> Answer {
    Answer { answer: Verdict::No, reason: reason.into() }
}

pub(crate) fn unknown(reason: impl Into<String>) -> Answer {
    Answer { answer: Verdict::Unknown, reason: reason.into() }
}

pub(crate) const TOO_FEW: &str = "too few runs";

/// What came of a request for a page.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Page(ListPage),
    /// The service refused the request itself, with this status.
    Refused(u16),
}

/// The fields that a listing can be filtered by, as the API names them, without its dates.
pub(crate) const FIELDS: [&str; 7] =
    ["label", "workflowUrl", "workflowRunId", "workflowCreatedAt", STATE, "callerIp", "flowControlKey"];

/// A filter for one value of one field, and a run that has this value.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) field: &'static str,
    pub(crate) filter: Filter,
    pub(crate) id: DlqId,
    /// The listed runs that have the value, as places in the listing.
    pub(crate) places: Vec<usize>,
}

/// A filter with one condition for each value that the run has in the field. What cannot be sent, such as a comma, is left out.
fn filters(message: &DlqMessage, field: &str) -> Vec<(String, Filter)> {
    let new = Filter::builder;
    let text = |value: Option<String>, with: fn(FilterBuilder, String) -> FilterBuilder| {
        value.map(|value| (value.clone(), with(new(), value))).into_iter().collect()
    };
    let built: Vec<(String, FilterBuilder)> = match field {
        "label" => message.labels().iter().map(|label| (label.to_string(), new().label(label.as_ref()))).collect(),
        "workflowUrl" => text(message.workflow_url().map(Into::into), FilterBuilder::workflow_url),
        "workflowRunId" => text(message.workflow_run_id().map(Into::into), FilterBuilder::workflow_run_id),
        "workflowCreatedAt" => {
            let at = message.workflow_created_at();
            at.map(|at| (at.to_string(), new().workflow_created_at(at))).into_iter().collect()
        }
        "failureFunctionState" => {
            let state = message.failure_function_state();
            state.iter().map(|state| (state.as_str().to_owned(), new().failure_function_state(state))).collect()
        }
        "callerIp" => text(message.caller_ip().map(Into::into), FilterBuilder::caller_ip),
        "flowControlKey" => text(message.flow_control_key().map(Into::into), FilterBuilder::flow_control_key),
        _ => Vec::new(),
    };
    built.into_iter().filter_map(|(value, filter)| Some((value, filter.build().ok()?))).collect()
}

/// Every value of the field that tells some of the listed runs from others, the rarest first.
pub(crate) fn probes(field: &'static str, listed: &[DlqMessage]) -> Vec<Probe> {
    let mut values = BTreeMap::new();
    for message in listed {
        if let Some(id) = message.dlq_id() {
            for (value, filter) in filters(message, field) {
                values.entry(value).or_insert((filter, id.clone()));
            }
        }
    }
    let mut probes: Vec<Probe> = values
        .into_values()
        .map(|(filter, id)| {
            let matching = |(at, message)| (filter.matches(message) == Match::Yes).then_some(at);
            let places = listed.iter().enumerate().filter_map(matching).collect();
            Probe { field, filter, id, places }
        })
        // A filter that all runs match is kept to by whoever ignores it.
        .filter(|probe| probe.places.len() < listed.len())
        .collect();
    probes.sort_by_key(|probe| probe.places.len());
    probes
}

pub(crate) fn shows(page: &ListPage, id: &DlqId) -> bool {
    page.messages.iter().any(|message| message.dlq_id().as_ref() == Some(id))
}

/// Whether a listing keeps to a filter: it shows what matches and nothing else.
pub(crate) fn keeps_to(probe: &Probe, asked: &Asked) -> Answer {
    let page = match asked {
        Asked::Page(page) => page,
        Asked::Refused(status) => return no(format!("the filter is refused with {status}")),
    };
    let mut unsure = false;
    for message in &page.messages {
        match probe.filter.matches(message) {
            Match::Yes => {}
            Match::No(_) => return no(format!("it shows {}, which does not match", id_of(message))),
            Match::Unknown(_) => unsure = true,
        }
    }
    if unsure {
        unknown(format!("it shows runs that do not carry {}", probe.field))
    } else if shows(page, &probe.id) {
        yes("it shows what matches, and nothing else")
    } else if page.cursor.is_none() {
        no(format!("it does not show {}, which matches", probe.id))
    } else {
        unknown("the run that has the value is not on the first page")
    }
}

/// The one field whose value changes while a run is in the DLQ.
pub(crate) const STATE: &str = "failureFunctionState";

/// Whether the first page, listed again, still shows what the answer about a filter was drawn from. `listed` is that page before.
pub(crate) fn is_confirmed(probe: &Probe, asked: &Asked, listed: &[DlqMessage], again: &ListPage) -> bool {
    let matches = |message: &DlqMessage| probe.filter.matches(message);
    // The same runs, saying the same.
    let is_listed = |message: &&DlqMessage| listed.contains(message);
    let mut remaining = again.messages.iter().filter(is_listed);
    match asked {
        Asked::Page(page) if page.messages.iter().any(|message| matches(message) != Match::Yes) => {
            // A run that is shown and does not match is proof by itself, unless it matched a moment ago.
            probe.field != STATE || remaining.any(|run| matches(run) != Match::Yes && page.messages.contains(run))
        }
        // Whoever ignores the filter would have shown this one as well.
        Asked::Page(page) if shows(page, &probe.id) => remaining.any(|run| matches!(matches(run), Match::No(_))),
        // It should have been shown, or is a value that the service knows.
        Asked::Page(_) | Asked::Refused(_) => remaining.any(|run| run.dlq_id().as_ref() == Some(&probe.id)),
    }
}

fn id_of(message: &DlqMessage) -> String {
    message.dlq_id().map_or_else(|| "a run without an id".to_owned(), |id| id.to_string())
}

fn ids(messages: &[DlqMessage]) -> Vec<Option<DlqId>> {
    messages.iter().map(DlqMessage::dlq_id).collect()
}

/// Whether pages that follow one another have no run in common.
pub(crate) fn disjoint(pages: &[(&ListPage, &ListPage)]) -> Answer {
    let mut compared = 0;
    for (first, second) in pages {
        let seen: HashSet<String> =
            first.messages.iter().filter_map(DlqMessage::dlq_id).map(|id| id.as_str().to_owned()).collect();
        compared += usize::from(!seen.is_empty() && !second.messages.is_empty());
        if let Some(twice) = second.messages.iter().filter_map(DlqMessage::dlq_id).find(|id| seen.contains(id.as_str()))
        {
            return no(format!("{twice} is on a page and on the next one"));
        }
    }
    if compared == 0 { unknown(TOO_FEW) } else { yes("no run is on a page and on the next one") }
}

/// Whether a listing is in order of time. `pages` are the messages in their order.
pub(crate) fn in_order(messages: &[DlqMessage]) -> Answer {
    type Time = fn(&DlqMessage) -> Option<UnixMillis>;
    let times: [(&str, Time); 2] =
        [("createdAt", DlqMessage::created_at), ("workflowCreatedAt", DlqMessage::workflow_created_at)];
    let mut told = false;
    for (name, time) in times {
        let times: Vec<UnixMillis> = messages.iter().filter_map(time).collect();
        let differ = times.first() != times.iter().max() || times.first() != times.iter().min();
        if times.len() < 3 || !differ {
            continue;
        }
        told = true;
        if times.is_sorted() {
            return yes(format!("the oldest first, by {name}"));
        }
        if times.iter().rev().is_sorted() {
            return yes(format!("the newest first, by {name}"));
        }
    }
    if told { no("neither by createdAt nor by workflowCreatedAt") } else { unknown(TOO_FEW) }
}

/// A filter that tells what a cursor stands for: the filter under which the cursor of the first `size` of the `listed` runs is
/// used.
pub(crate) fn cursor_probe(probes: Vec<Probe>, listed: usize, size: usize) -> Option<Probe> {
    // Of the first runs some must match and some not, so that a place, a number of matching runs and the beginning lead to
    // different runs. The same holds for those behind them, so that a filter that is ignored shows.
    let tells = |probe: &Probe| {
        let before = probe.places.iter().filter(|place| **place < size).count();
        let behind = probe.places.len() - before;
        0 < before && before < size && 0 < behind && behind < listed.saturating_sub(size)
    };
    // The more match, the surer it is which run a number would lead to.
    probes.into_iter().filter(tells).max_by_key(|probe| probe.places.len())
}

/// Whether a cursor is a place in the order, as opposed to a number of runs. `listed` are all runs from the start, and `asked`
/// is what came for the cursor of the first `size` of them under another filter.
pub(crate) fn cursor_is_key(listed: &[DlqMessage], size: usize, probe: &Probe, asked: &Asked) -> Answer {
    let page = match asked {
        Asked::Page(page) => page,
        Asked::Refused(status) => {
            return unknown(format!("the cursor is refused under another filter, with {status}"));
        }
    };
    let at = |place: Option<&usize>| place.and_then(|place| listed.get(*place)).and_then(DlqMessage::dlq_id);
    let as_place = at(probe.places.iter().find(|place| **place >= size));
    let as_number = at(probe.places.get(size));
    let first = page.messages.first();
    if page.messages.iter().any(|message| probe.filter.matches(message) != Match::Yes) {
        return unknown("under a cursor, the other filter is ignored");
    }
    match first.and_then(DlqMessage::dlq_id) {
        Some(first) if Some(&first) == as_place.as_ref() => {
            yes("under another filter, it continues behind the same run")
        }
        Some(first) if Some(&first) == as_number.as_ref() => {
            no("under another filter, it passes over as many runs as before: it is a number of runs")
        }
        None if as_number.is_none() && page.cursor.is_none() => {
            no("under another filter, it passes over runs that were not listed")
        }
        _ => unknown("under another filter, it continues at a run that was not expected"),
    }
}

/// Whether both pages have the same runs, in the same order.
pub(crate) fn is_same_page(page: &ListPage, other: &ListPage) -> bool {
    ids(&page.messages) == ids(&other.messages)
}

/// Whether the page size may change under a cursor. `expected` are the runs that should come next.
pub(crate) fn size_may_change(expected: &[DlqMessage], asked: &Asked) -> Answer {
    match asked {
        // It may have expired.
        Asked::Refused(status @ (404 | 410)) => unknown(format!("the cursor is refused with {status}")),
        Asked::Refused(status) => no(format!("a cursor is refused with another count, with {status}")),
        Asked::Page(page) if ids(&page.messages) == ids(expected) => yes("it continues behind the same run"),
        Asked::Page(page) if page.cursor.is_some() && ids(expected).starts_with(&ids(&page.messages)) => {
            unknown("the page is shorter than was asked for")
        }
        Asked::Page(_) => no("with another count, it continues elsewhere"),
    }
}

/// Whether more than 100 runs a page are refused. `largest` is the largest page that was served, of those that were tried.
pub(crate) fn refuses_over_100(largest: u32, asked: Option<&Asked>) -> Answer {
    match asked {
        None => yes(format!("even count=100 is refused; count={largest} is served")),
        Some(Asked::Refused(status)) => yes(format!("count=101 is refused with {status}")),
        Some(Asked::Page(page)) => no(format!("count=101 is served, with {} runs", page.messages.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upstash_dlq_core::model::Cursor;

    fn message(n: i64, label: &str) -> DlqMessage {
        let json =
            serde_json::json!({ "dlqId": format!("id-{n}"), "createdAt": n, "workflowCreatedAt": 9, "label": label });
        DlqMessage::parse(&json.to_string()).unwrap()
    }

    fn listed(labels: &str) -> Vec<DlqMessage> {
        labels.chars().zip(0..).map(|(label, n)| message(n, &label.to_string())).collect()
    }

    fn page(messages: &[DlqMessage], cursor: bool) -> Asked {
        Asked::Page(ListPage::new(messages.to_vec(), cursor.then(|| serde_json::from_str::<Cursor>("\"c\"").unwrap())))
    }

    #[test]
    fn a_filter_is_kept_to_only_if_that_can_be_seen() {
        let all = listed("aab");
        let [rare, common] = &probes("label", &all)[..] else { panic!() };
        assert_eq!((&rare.places[..], &common.places[..]), (&[2][..], &[0, 1][..]));
        let verdict = |asked: &Asked| keeps_to(rare, asked).answer;
        assert_eq!(verdict(&page(&all[2..], false)), Verdict::Yes);
        assert_eq!(verdict(&page(&all, false)), Verdict::No);
        assert_eq!(verdict(&page(&[], false)), Verdict::No);
        assert_eq!(verdict(&page(&[], true)), Verdict::Unknown);
        assert_eq!(verdict(&Asked::Refused(400)), Verdict::No);
        // What all have, or what cannot be sent, tells nothing.
        assert!(probes("label", &listed("aaa")).is_empty() && probes("label", &listed(",,a")).len() == 1);
        assert!(probes("callerIp", &all).is_empty());
    }

    #[test]
    fn order_and_pages() {
        let all = listed("abcdef");
        assert_eq!(in_order(&all).reason, "the oldest first, by createdAt");
        let reversed: Vec<DlqMessage> = all.iter().rev().cloned().collect();
        assert_eq!(in_order(&reversed).reason, "the newest first, by createdAt");
        assert_eq!(in_order(&[&all[..], &all[..1]].concat()).answer, Verdict::No);
        assert_eq!(in_order(&all[..2]).answer, Verdict::Unknown);
        let of = |messages: &[DlqMessage]| ListPage::new(messages.to_vec(), None);
        let (first, second, empty) = (of(&all[..3]), of(&all[3..]), of(&[]));
        assert_eq!(disjoint(&[(&first, &second)]).answer, Verdict::Yes);
        assert_eq!(disjoint(&[(&first, &second), (&second, &of(&all[5..]))]).answer, Verdict::No);
        assert_eq!(disjoint(&[(&first, &empty)]).answer, Verdict::Unknown);
        assert_eq!(size_may_change(&all[2..4], &page(&all[2..4], true)).answer, Verdict::Yes);
        assert_eq!(size_may_change(&all[2..4], &page(&all[..2], true)).answer, Verdict::No);
    }

    #[test]
    fn what_a_cursor_stands_for() {
        // The cursor came behind the first two.
        let all = listed("abaabab");
        let probe = cursor_probe(probes("label", &all), all.len(), 2).unwrap();
        assert_eq!(probe.places, [0, 2, 3, 5]);
        let verdict = |first: usize| cursor_is_key(&all, 2, &probe, &page(&all[first..=first], false)).answer;
        assert_eq!([2, 3, 5, 4].map(verdict), [Verdict::Yes, Verdict::No, Verdict::Unknown, Verdict::Unknown]);
        assert_eq!(cursor_is_key(&all, 2, &probe, &Asked::Refused(400)).answer, Verdict::Unknown);
        // A filter that is ignored shows on the whole page. An empty page may be followed by others.
        assert_eq!(cursor_is_key(&all, 2, &probe, &page(&all[2..5], false)).answer, Verdict::Unknown);
        assert_eq!(cursor_is_key(&listed("abab"), 2, &probe, &page(&[], true)).answer, Verdict::Unknown);
        // Of those before and of those behind, some have to match and some not.
        for labels in ["aabb", "aaab", "bbab", "abaa", "abbb", "ab"] {
            let listed = listed(labels);
            assert!(cursor_probe(probes("label", &listed), listed.len(), 2).is_none(), "{labels}");
        }
        // A page that is shorter than it could be tells nothing of the one behind it.
        assert_eq!(size_may_change(&all[2..4], &page(&all[2..3], true)).answer, Verdict::Unknown);
        assert_eq!(size_may_change(&all[2..4], &page(&all[2..3], false)).answer, Verdict::No);
        let refused = |status| size_may_change(&all[2..4], &Asked::Refused(status)).answer;
        assert_eq!([400, 410].map(refused), [Verdict::No, Verdict::Unknown]);
    }

    /// A callback goes on: the run that shows whether its filter is kept to must not have changed.
    #[test]
    fn a_state_that_changed_confirms_nothing() {
        let run = |id: &str, state: &str| {
            let json = format!("{{\"dlqId\":\"{id}\",\"failureFunctionState\":\"CALLBACK_{state}\"}}");
            DlqMessage::parse(&json).unwrap()
        };
        let listed = [run("p", "FAIL"), run("q", "INPROGRESS"), run("r", "SUCCESS")];
        let probe = probes(STATE, &listed).into_iter().find(|probe| probe.places == [0]).unwrap();
        let again = |runs: &[DlqMessage]| ListPage::new(runs.to_vec(), None);
        let confirmed = |asked: &Asked, runs: &[DlqMessage]| is_confirmed(&probe, asked, &listed, &again(runs));
        let (changed, shown) = (run("q", "SUCCESS"), page(&[run("p", "FAIL"), run("q", "FAIL")], false));
        assert!(!confirmed(&shown, &[run("p", "FAIL"), changed.clone()]));
        assert!(confirmed(&shown, &[run("p", "FAIL"), changed, run("r", "SUCCESS")]));
        // It matched when it was asked for.
        assert!(!confirmed(&page(&[run("p", "SUCCESS")], false), &[run("p", "SUCCESS")]));
        assert!(confirmed(&page(&listed, false), &listed));
    }

    #[test]
    fn an_answer_about_a_filter_needs_what_it_was_drawn_from() {
        let all = listed("aab");
        let probe = probes("label", &all).swap_remove(0);
        assert_eq!(probe.places, [2]);
        let again = |messages: &[DlqMessage]| ListPage::new(messages.to_vec(), None);
        let confirmed = |asked: &Asked, runs: &[DlqMessage]| is_confirmed(&probe, asked, &all, &again(runs));
        // "Yes": a run that does not match was there all the time.
        assert!(confirmed(&page(&all[2..], false), &all[1..]));
        assert!(!confirmed(&page(&all[2..], false), &all[2..]));
        assert!(!confirmed(&page(&all[2..], false), &[message(7, "a")]));
        // "No", because the run is not shown: it was there all the time, and still matches.
        assert!(confirmed(&page(&[], false), &all[2..]));
        assert!(!confirmed(&page(&[], false), &all[..2]));
        assert!(!confirmed(&page(&[], false), &[message(2, "a")]));
        // "No" because of what is shown is proof by itself. A value that is refused may have gone with its run.
        assert!(confirmed(&page(&all, false), &[]));
        assert!(confirmed(&Asked::Refused(404), &all[2..]) && !confirmed(&Asked::Refused(404), &all[..2]));
    }
}
