//! The simulation and the search, at the size of every test run. `DLQ_DEEP=1` makes both larger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

use std::process::Command;
use upstash_dlq_sim::{DRAW, Schedule, replay_command, run, run_many, search, shrink};

fn is_deep() -> bool {
    std::env::var_os("DLQ_DEEP").is_some_and(|value| value == "1")
}

#[test]
fn thousands_of_schedules_break_no_promise() {
    let seeds = if is_deep() { 0..1_000_000 } else { 0..20_000 };
    let summary = run_many(seeds.clone(), 1, |_| {});
    if let Some((seed, violations)) = summary.failures.first() {
        let kept = shrink(&Schedule::from_seed(*seed));
        panic!("seed {seed}: {violations:#?}\nreplay it: {}", replay_command(*seed, kept.as_deref()));
    }
    assert_eq!(summary.schedules, seeds.end);
}

#[test]
fn a_bounded_search_breaks_no_promise() {
    let (size, most) = if is_deep() { ((4, 3, 1), 200_000) } else { ((2, 1, 1), 4_000) };
    let cases = search::all(size.0, size.1, size.2);
    let found = search::in_parallel(&cases, most, |_, _| {});
    for (case, found) in cases.iter().zip(&found) {
        assert_eq!(found.violation, None, "{case}");
    }
    let states: u64 = found.iter().map(|found| found.states).sum();
    let whole = found.iter().filter(|found| found.is_whole).count();
    // A search that visits next to nothing proves nothing.
    assert!(states > 50_000 && whole > 30, "{states} states, {whole} searches whole");
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..300 {
        let schedule = Schedule::from_seed(seed);
        let (one, two) = (run(&schedule, true), run(&schedule, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert!(one.trace.len() > 2, "seed {seed} traces nothing");
    }
}

/// Another way of drawing is another number: whoever replays a seed learns that it may be another history. Who changes how the simulated
/// world takes what was drawn raises the number by hand.
#[test]
fn a_new_way_of_drawing_has_a_new_number() {
    let text: String = (0..500).map(|seed| format!("{seed}\n{}", Schedule::from_seed(seed))).collect();
    let digest = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    assert_eq!((DRAW, digest), (9, 9410616744804271310), "raise DRAW, and write the new digest here");
}

/// Every kind of work and every item is drawn, and often enough.
#[test]
fn the_schedules_differ() {
    let text: String = (0..5_000).map(|seed| Schedule::from_seed(seed).to_string()).collect();
    let kinds = [
        "Work(Delete)",
        "Work(Archive)",
        "Work(Resume)",
        "Work(Restart)",
        "Work(ResumeListed)",
        "Work(List)",
        "Work(Get)",
        "Target(Everything)",
        "Target(Red)",
        "RedUntilNow",
        "Between",
        "Ids(",
        "Refined(",
        "TwoStatuses",
        "Signature",
        "TwoSignatures",
        "StatusAndText",
        "One)",
        "Nothing)",
        "Bodies(",
        "Huge(",
        "FillsSectors",
        "LargestBody(",
        "CountBoundCursors",
        "ListingLosesDates(",
        "SharesSyncs",
        "TooLarge",
        "Lanes(",
        "Max(",
        "NoVerify",
        "Attempts(",
        "Pages(",
        "Slices",
        "OffsetCursors",
        "NewestFirst",
        "BoundCursors",
        "ListingLag",
        "StartedRunsStay",
        "DeleteMaxCount",
        "ListingIgnoresCount",
        "LookFails",
        "Echo(",
        "ListingIgnoresDates",
        "ListingIgnoresTo",
        "DeleteIgnoresDates",
        "ListingIgnoresLabels",
        "RateLimit",
        "LoopingCursors",
        "EndlessCursors",
        "ExpiredCursors",
        "NotSent",
        "RequestLost",
        "ResponseLost",
        "CutShort",
        "CutUnseen",
        "Late(",
        "Slow(",
        "Doubled(",
        "Busy(",
        "Status(",
        "AppliedError",
        "Html",
        "NoCount",
        "RepeatCursor",
        "FreshCursor",
        "CursorExpired",
        "KillBefore",
        "KillAfter",
        "PowerLossAfter",
        "Fails",
        "Partial",
        "PowerBefore",
        "PowerAfter",
        "Kill {",
        "PowerLoss {",
        "Stop {",
        "ClockStep",
        "OtherDeletes",
        "Arrival",
        "ArchiveRemoved",
        "SecondProcess",
        "Names(Odd)",
        "Names(Long",
        "Times(Uneven)",
        "Times(Crowded)",
        "Since(",
        "Until(",
        "WorkflowUrl",
        "TwoUrls",
        "WorkflowRunId",
        "WorkflowCreatedAt",
        "TwoLabels",
        "State",
        "CallerIp",
        "FlowControlKey",
        "Several",
        "Ignores(Listing",
        "Ignores(Delete",
        "Ignores(Start",
        "Rate(",
        "Overrides(",
        "OtherWords",
        "SettlesOne",
        "TakenBack",
        "ClockBehind",
        "LockRemoved",
        "LockReplaced",
        "ArchiveReplaced",
        "ArchiveAppended",
        "CheckpointEdited",
        "CheckpointRemoved",
        "NotFound",
    ];
    for kind in kinds {
        assert!(text.matches(kind).count() >= 5, "{kind} is hardly ever drawn");
    }
}

fn sim(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_upstash-dlq-sim")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn wrong_seeds_are_refused() {
    for seeds in ["5..5", "9..3", "a..b", "7", "1..2..3", "-1..4", ""] {
        let (status, out, error) = sim(&[&format!("--seeds={seeds}")]);
        assert_eq!((status, out.as_str()), (2, ""), "{seeds}");
        assert!(error.contains("--seeds <A..B>"), "{error}");
    }
    for arguments in [&[][..], &["--seed=x"], &["--only=1"], &["--bugs"], &["--seeds=0..1", "--seed=1"]] {
        assert_eq!(sim(arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn a_run_tells_its_rate_and_a_replay_its_history() {
    let (status, out, _) = sim(&["--seeds=10..60"]);
    assert_eq!(status, 0, "{out}");
    assert!(out.starts_with("50 schedules of the seeds 10..60 in ") && out.contains(": 0 broke a promise"), "{out}");
    let (status, out, error) = sim(&["--seed=10", "--only=0,1,2", &format!("--draw={DRAW}")]);
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    assert!(out.contains("p0 begins") && out.contains(" requests\n"), "{out}");
    let (_, _, error) = sim(&["--seed=10"]);
    assert!(error.contains(&format!("in the way of this version, {DRAW}")), "{error}");
    let (_, _, error) = sim(&["--seed=10", "--draw=0"]);
    assert!(error.contains("the history may be another one"), "{error}");
}
