//! What the operation guarantees, tried in worlds full of faults: against the emulator's model of the service, with crashes,
//! dropped futures and lost responses at any point.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use upstash_dlq_core::checkpoint::{CheckpointError, Fingerprint};
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::{Ids, RelativeTimes};
use upstash_dlq_core::wire::{Delete, Overrides};
use upstash_dlq_core::{
    BulkDelete, BulkRestart, BulkResume, Checkpoint, Delivery, Endpoint, Filter, Halt, RetryPolicy, Selection, Token,
    UnixMillis,
};

use crate::cases::cases;
use crate::fuzz::forge::sealed_again;
use crate::one_lane::{One, OneDelete, OneStep, next_request, nothing_is_in_flight, response, resume};
use crate::world::history::{Report, run, run_checked};
use crate::world::scenario::{Scenario, Target, scenario};

fn is_complete(report: &Report) -> bool {
    report.outcome.as_ref().is_some_and(|outcome| outcome.halted.is_none())
}

proptest! {
    #![proptest_config(cases(400, 20_000))]

    #[test]
    fn nothing_outside_the_selection_is_asked_for_or_deleted(scenario in scenario()) {
        let report = run(&scenario);
        prop_assert!(report.gone.is_subset(&report.matching));
        for sent in report.sent {
            match &scenario.target {
                Target::Ids(ids) => {
                    let distinct: BTreeSet<&str> = sent.iter().map(|(_, id)| id.as_str()).collect();
                    prop_assert!(!sent.is_empty() && distinct.len() == sent.len());
                    prop_assert!(sent.iter().all(|(name, id)| name == "dlqIds" && ids.contains(id)), "{:?}", sent);
                }
                Target::Filter(_) | Target::Everything => {
                    let mut wanted = match &scenario.target {
                        Target::Filter(wanted) => wanted.pairs(),
                        Target::Ids(_) | Target::Everything => Vec::new(),
                    };
                    let rest = sent.get(wanted.len()..).unwrap_or_default();
                    let names: Vec<&str> = rest.iter().map(|(name, _)| name.as_str()).collect();
                    prop_assert!(names == ["count"] || names == ["count", "cursor"], "{:?}", sent);
                    wanted.extend_from_slice(rest);
                    prop_assert_eq!(sent, wanted);
                }
            }
        }
    }

    #[test]
    fn verified_means_that_nothing_is_left(scenario in scenario()) {
        let report = run(&scenario);
        let outcome = report.outcome.as_ref().unwrap();
        if outcome.verified {
            prop_assert_eq!(&outcome.halted, &None);
            if let (Target::Ids(ids), true) = (&scenario.target, scenario.lies_about_ids()) {
                let asked: BTreeSet<&String> = report.sent.iter().flatten().map(|(_, id)| id).collect();
                prop_assert_eq!(asked, ids.iter().collect::<BTreeSet<_>>());
                return Ok(());
            }
            prop_assert_eq!(&report.gone, &report.matching);
        } else if outcome.halted.is_none() {
            prop_assert!(scenario.max.is_some() || !scenario.verify, "complete, and not verified for no reason");
        }
    }

    #[test]
    fn deleted_is_exact_or_a_lower_bound(scenario in scenario()) {
        let report = run(&scenario);
        let totals = report.outcome.as_ref().unwrap().totals;
        let gone = report.gone.len() as u64;
        prop_assert!(totals.affected <= gone);
        if totals.unconfirmed == 0 {
            prop_assert_eq!(totals.affected, gone);
        }
    }

    #[test]
    fn a_maximum_is_kept_and_reached(scenario in scenario(), max in 1..150_u64) {
        let scenario = Scenario { max: Some(max), ..scenario };
        let report = run(&scenario);
        let outcome = report.outcome.as_ref().unwrap();
        prop_assert!(report.gone.len() as u64 <= max);
        let matching = match &scenario.target {
            Target::Ids(ids) => {
                // The first so many of the ids, each once; sending one again asks for no further run.
                let mut seen = BTreeSet::new();
                let first: Vec<&String> = ids.iter().filter(|id| seen.insert(*id)).take(usize::try_from(max).unwrap()).collect();
                let asked: BTreeSet<&String> = report.sent.iter().flatten().map(|(_, id)| id).collect();
                prop_assert!(asked.is_subset(&first.iter().copied().collect()));
                report.matching.iter().filter(|id| first.contains(id)).count()
            }
            Target::Filter(_) | Target::Everything => {
                prop_assert!(report.most_asked_for <= max, "{} of {}", report.most_asked_for, max);
                // A maximum that unconfirmed requests have used up is no success.
                let short = outcome.halted == Some(Halt::MaximumUnconfirmed);
                prop_assert!(!short || (outcome.totals.unconfirmed > 0 && outcome.totals.affected < max));
                let enough = outcome.verified || !scenario.verify || outcome.totals.affected >= max;
                prop_assert!(!is_complete(&report) || enough, "complete with {} of {}", outcome.totals.affected, max);
                report.matching.len()
            }
        };
        // A single pass over offset cursors skips runs; that is what verification is for.
        let thorough = (scenario.verify || !scenario.offset_cursors) && !scenario.lies_about_ids();
        if is_complete(&report) && outcome.totals.unconfirmed == 0 && thorough {
            prop_assert_eq!(report.gone.len() as u64, max.min(matching as u64));
        }
    }

    #[test]
    fn requests_are_those_that_may_have_arrived(scenario in scenario()) {
        let report = run(&scenario);
        let totals = report.outcome.as_ref().unwrap().totals;
        prop_assert_eq!(totals.requests, report.may_have_arrived);
        prop_assert!(report.arrived <= totals.requests);
        prop_assert!(totals.pages + totals.unconfirmed <= totals.requests);
    }

    #[test]
    fn the_same_again_gives_the_same_steps(scenario in scenario()) {
        let (first, second) = (run(&scenario), run(&scenario));
        prop_assert_eq!(first.trace, second.trace);
        prop_assert_eq!(first.gone, second.gone);
    }
}

proptest! {
    #![proptest_config(cases(200, 10_000))]

    #[test]
    fn a_later_process_sends_what_would_have_come_next(scenario in scenario()) {
        let mut failure = None;
        run_checked(&scenario, &mut |operation: &OneDelete, delete: &BulkBuilder<Delete>, _: bool| {
            if failure.is_some() {
                return;
            }
            let goes_on = next_request(&mut operation.clone());
            let mut resumed = resume(operation, delete);
            let now = operation.totals();
            let again = next_request(&mut resumed);
            failure = match (goes_on, again) {
                (Ok(expected), Ok(sent)) if expected == sent => None,
                // Ended by its maximum.
                (Err(one), Err(other)) if one == other => None,
                // The operation is done, or its attempts are used up; a later process has new ones. Its counts go on.
                (Err(outcome), again) => {
                    let counted = resumed.totals().affected == now.affected && resumed.totals().pages == now.pages;
                    let used_up = outcome.halted.is_some() || scenario_is_over(operation);
                    (!(counted && used_up)).then(|| format!("{outcome:?} but then {again:?}"))
                }
                (expected, sent) => Some(format!("{expected:?} but {sent:?}")),
            };
        });
        prop_assert_eq!(failure, None);
    }

    #[test]
    fn a_response_to_no_request_changes_nothing(scenario in scenario()) {
        run_checked(&scenario, &mut |operation: &OneDelete, _: &BulkBuilder<Delete>, in_flight: bool| {
            if in_flight {
                let mut taken_back = operation.clone();
                taken_back.cancel_unsent().unwrap();
                nothing_is_in_flight(&taken_back);
            } else {
                nothing_is_in_flight(operation);
                let mut done = operation.clone();
                if let OneStep::Done(outcome) = done.poll() {
                    nothing_is_in_flight(&done);
                    assert!(matches!(done.poll(), OneStep::Done(again) if again == outcome));
                }
            }
        });
    }

    #[test]
    fn no_checkpoint_contains_the_token(scenario in scenario()) {
        let scenario = Scenario { chaos: Vec::new(), ..scenario };
        let delete = scenario.delete("a-very-secret-token");
        let mut operation = delete.clone().one();
        operation.poll();
        let shown = format!("{operation:?} {delete:?} {}", operation.checkpoint().to_json());
        prop_assert!(!shown.contains("secret"));
    }

    #[test]
    fn every_operation_ends_whatever_the_server_does(
        seed: u64,
        responses in prop::collection::vec(adversary(), 1..6),
        deletions in prop::collection::vec((0..5_u64, prop::option::of("[a-c]{1,2}")), 0..20),
        attempts in 1..4_u32,
        verify: bool,
        max in prop::option::of(1..1_000_u64),
        label in prop::option::of("[a-z]{1,5}"),
    ) {
        let selection = label.map_or(Selection::Everything, |label| {
            Selection::Filter(Filter::builder().label(label).build().unwrap())
        });
        let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(attempts).unwrap());
        let max = max.and_then(NonZeroU64::new);
        let mut bulk = BulkDelete::builder(endpoint(), selection).max(max).verify(verify).retry(policy, seed).one();
        let mut random = seed;
        let mut turn = 0_u64;
        // So many passes at most stay barren, so many pages of each are empty, each takes so many attempts and a wait each.
        let bound = deletions.len() as u64 * 10 + u64::from(attempts + 3) * 1_000 * u64::from(attempts) * 2 + 100;
        let mut deletions = deletions.into_iter();
        let mut polls = 0;
        loop {
            polls += 1;
            prop_assert!(polls <= bound, "{} polls and no end", polls);
            match bulk.poll() {
                OneStep::Done(_) => break,
                OneStep::Wait(_) => continue,
                OneStep::Send(_) => {}
            }
            if let Some((deleted, cursor)) = deletions.next() {
                let page = serde_json::json!({ "deleted": deleted, "cursor": cursor }).to_string();
                bulk.on_response(&response(200, &page)).unwrap();
                continue;
            }
            turn += 1;
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let adversary = &responses[usize::try_from(random >> 33).unwrap() % responses.len()];
            match adversary {
                Adversary::Cycle(length) => {
                    let page = format!("{{\"deleted\":0,\"cursor\":\"c{}\"}}", turn % length);
                    bulk.on_response(&response(200, &page)).unwrap();
                }
                Adversary::Fresh => {
                    bulk.on_response(&response(200, &format!("{{\"deleted\":0,\"cursor\":\"f{turn}\"}}"))).unwrap();
                }
                Adversary::Respond(status, body) => drop(bulk.on_response(&response(*status, body)).unwrap()),
                Adversary::Lost(delivery) => drop(bulk.on_failure(*delivery).unwrap()),
                Adversary::Dropped => {}
            }
        }
    }
}

/// Properties about worlds in which nothing happens say nothing.
#[test]
fn the_generated_worlds_reach_what_they_should() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = [0_u32; 8];
    for _ in 0..300 {
        let scenario = scenario().new_tree(&mut runner).unwrap().current();
        let report = run(&scenario);
        let outcome = report.outcome.as_ref().unwrap();
        let looks = [
            outcome.verified && !report.gone.is_empty(),
            outcome.halted.is_some(),
            outcome.totals.unconfirmed > 0,
            outcome.totals.unconfirmed == 0 && outcome.totals.affected > 0,
            outcome.totals.unconfirmed > 0 && outcome.totals.affected < report.gone.len() as u64,
            outcome.totals.affected > 0 && scenario.max == Some(outcome.totals.affected),
            report.matching.len() < scenario.runs && !report.matching.is_empty(),
            outcome.totals.pages > 10,
        ];
        seen.iter_mut().zip(looks).for_each(|(seen, look)| *seen += u32::from(look));
    }
    assert!(seen.iter().all(|seen| *seen >= 10), "{seen:?} of 300");
}

/// Done before it was polled: nothing is left but to say so.
fn scenario_is_over(operation: &OneDelete) -> bool {
    matches!(operation.clone().poll(), OneStep::Done(_))
}

#[derive(Clone, Debug)]
enum Adversary {
    Cycle(u64),
    Fresh,
    Respond(u16, &'static str),
    Lost(Delivery),
    Dropped,
}

fn adversary() -> impl Strategy<Value = Adversary> {
    let responses = vec![
        (200, "{\"deleted\":0}"),
        (200, "{\"deleted\":0,\"cursor\":\"\"}"),
        (200, "{\"deleted\":"),
        (200, "<html>"),
        (204, ""),
        (503, ""),
        (429, ""),
        (410, ""),
        (400, "{\"error\":\"invalid cursor\"}"),
    ];
    prop_oneof![
        3 => prop_oneof![1..5_u64, 1..2_000_u64].prop_map(Adversary::Cycle),
        3 => Just(Adversary::Fresh),
        3 => prop::sample::select(responses).prop_map(|(status, body)| Adversary::Respond(status, body)),
        1 => prop::sample::select(vec![Delivery::NotSent, Delivery::Unknown]).prop_map(Adversary::Lost),
        1 => Just(Adversary::Dropped),
    ]
}

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

/// A file of one command is of no use to another.
#[test]
fn a_checkpoint_goes_on_with_its_own_command_alone() {
    let label = |label: &str| Selection::Filter(Filter::builder().label(label).build().unwrap());
    let url = |url: &str| Selection::Filter(Filter::builder().workflow_url(url).build().unwrap());
    let ids = |ids: &[&str]| Selection::Ids(Ids::parse(ids.iter().copied()).unwrap());
    let until = |to| Selection::Everything.until(UnixMillis::new(to)).unwrap();
    let selections = [
        Selection::Everything,
        until(1),
        until(2),
        label("a"),
        label("b"),
        url("a"),
        ids(&["a"]),
        ids(&["b"]),
        ids(&["a", "b"]),
        ids(&["b", "a"]),
    ];
    let other = Endpoint::new("https://qstash-us-east-1.upstash.io", Token::new("t").unwrap()).unwrap();
    for (n, one) in selections.iter().enumerate() {
        let delete = BulkDelete::builder(endpoint(), one.clone());
        let checkpoint = delete.clone().one().checkpoint();
        for (m, another) in selections.iter().enumerate() {
            let resumed = BulkDelete::builder(endpoint(), another.clone()).resume_from(checkpoint.clone());
            assert_eq!(resumed.is_ok(), n == m, "{one:?} {another:?}");
            if n != m {
                // Even where the fingerprint was forged the conditions have to be the same, times included.
                let forged = Fingerprint::from_selection(&endpoint(), one);
                let resumed = BulkDelete::builder(endpoint(), another.clone())
                    .fingerprint(forged)
                    .resume_from(checkpoint.clone());
                let as_many_ids = matches!((n, m), (6, 7) | (7, 6) | (8, 9) | (9, 8));
                assert_eq!(resumed.is_ok(), as_many_ids, "{one:?} {another:?}");
            }
        }
        let elsewhere = BulkDelete::builder(other.clone(), one.clone()).resume_from(checkpoint.clone());
        assert_eq!(elsewhere.err(), Some(CheckpointError::OtherSelection));
        for changed in [
            delete.clone().page_size(NonZeroU32::MIN),
            delete.clone().max(Some(NonZeroU64::MIN)),
            delete.clone().verify(false),
        ] {
            assert_eq!(changed.resume_from(checkpoint.clone()).err(), Some(CheckpointError::OtherOptions));
        }
    }
}

/// "7 days ago" is another time in a later process; the first one counts.
#[test]
fn relative_times_stay_what_they_were() {
    let from = |ms| Selection::Filter(Filter::builder().from(UnixMillis::new(ms)).build().unwrap());
    let words = Fingerprint::from_pairs(&endpoint(), [("from", "7d")]);
    let relative = RelativeTimes { from: true, to: false };
    let first = BulkDelete::builder(endpoint(), from(1_000)).fingerprint(words.clone());
    let checkpoint = first.one().checkpoint();
    let later = BulkDelete::builder(endpoint(), from(2_000)).fingerprint(words).relative_times(relative);
    let OneStep::Send(request) = later.resume_from(checkpoint).unwrap().one().poll() else { panic!() };
    assert_eq!(request.uri().query(), Some("fromDate=1000&count=100"));
}

#[test]
fn a_checkpoint_is_of_one_operation_with_one_set_of_overrides() {
    let resume = || BulkResume::builder(endpoint(), Selection::Everything);
    let with = |label: &str| Overrides::builder().label(label).build().unwrap();
    let saved = resume().overrides(with("a")).one().checkpoint();
    assert!(resume().overrides(with("a")).resume_from(saved.clone()).is_ok());
    for other in [resume().overrides(with("b")), resume()] {
        assert!(matches!(other.resume_from(saved.clone()), Err(CheckpointError::OtherSelection)));
    }
    let restart = BulkRestart::builder(endpoint(), Selection::Everything).overrides(with("a"));
    assert!(matches!(restart.resume_from(saved.clone()), Err(CheckpointError::OtherOperation(o)) if o == "resume"));
    assert!(BulkDelete::builder(endpoint(), Selection::Everything).resume_from(saved).is_err());
}

/// The counts of a file stand at their ends: whatever comes next is no reason to panic.
#[test]
fn full_counts_do_not_overflow() {
    let delete = BulkDelete::builder(endpoint(), Selection::Everything);
    let mut whole: serde_json::Value = serde_json::from_str(&delete.clone().one().checkpoint().to_json()).unwrap();
    let version = whole["version"].clone();
    let file = &mut whole["checkpoint"];
    for count in ["affected", "unconfirmed", "pages", "requests", "retries"] {
        file["totals"][count] = u64::MAX.into();
    }
    let windows = &mut file["progress"]["windows"];
    windows["pass"]["barren"] = u32::MAX.into();
    windows["pass"]["full_pages"] = u64::MAX.into();
    windows["lanes"][0]["place"]["empty_pages"] = u32::MAX.into();
    windows["lanes"][0]["request"] = serde_json::json!({ "in-flight": u64::MAX });
    let file = format!("{{\"version\":{version},\"digest\":\"\",\"checkpoint\":{file}}}");
    let checkpoint = Checkpoint::from_json(sealed_again(&file).as_bytes()).unwrap();
    let mut bulk = delete.resume_from(checkpoint).unwrap().one();
    for page in ["{\"deleted\":1,\"cursor\":\"a\"}", "{\"deleted\":0,\"cursor\":\"b\"}", "", "{\"deleted\":0}"] {
        while let OneStep::Wait(_) = bulk.poll() {}
        let _ = bulk.on_response(&response(200, page));
    }
    assert!(!matches!(bulk.outcome_so_far().halted, Some(Halt::Unbuildable(_))));
}
