//! Files of another time, of somebody else, or changed: none makes an operation reach beyond what is given.

use crate::fuzz::forge::{forged, sealed_again};
use crate::one_lane::{One, OneStep, Respond};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::checkpoint::{CheckpointError, Fingerprint, FingerprintBuilder};
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::{FilterBuilder, Ids, RelativeTimes};
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, Delivery, Endpoint, Filter, Halt, Operation, RetryPolicy, Selection,
    Settlement, Step, Token, UnixMillis,
};

const NOW: UnixMillis = UnixMillis::new(1_764_000_000_000);

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn lanes(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn window(from: i64, to: i64) -> FilterBuilder {
    Filter::builder().from(UnixMillis::new(from)).to(UnixMillis::new(to))
}

fn of_window(from: i64, to: i64) -> BulkBuilder<Delete> {
    BulkDelete::builder(endpoint(), Selection::Filter(window(from, to).build().unwrap()))
}

fn resume_on_lanes(delete: &BulkBuilder<Delete>, file: &str) -> Result<BulkDelete, CheckpointError> {
    Checkpoint::from_json(file.as_bytes()).and_then(|saved| delete.clone().lanes(lanes(4), NOW).resume_from(saved))
}

#[test]
fn any_change_of_a_file_is_noticed() {
    let delete = of_window(1_000, 2_000).max(NonZeroU64::new(5));
    let one = delete.clone().build().checkpoint().to_json();
    let many = delete.lanes(lanes(4), NOW).build().checkpoint().to_json();
    for file in [one, many] {
        assert!(Checkpoint::from_json(file.as_bytes()).is_ok());
        for at in 0..file.len() {
            let mut changed = file.clone().into_bytes();
            // Another digit, letter or sign in its place.
            changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
            assert!(Checkpoint::from_json(&changed).is_err(), "changed at {at}: {}", String::from_utf8_lossy(&changed));
        }
        for end in 0..file.len() {
            assert!(Checkpoint::from_json(&file.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        let error = Checkpoint::from_json(file.replacen("\"max\":5", "\"max\":6", 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("changed since it was written"), "{error}");
    }
}

#[test]
fn a_file_of_an_earlier_version_is_refused_by_its_version() {
    for version in (1..10).filter(|version| *version != 7) {
        let old = format!("{{\"version\":{version},\"operation\":\"delete\"}}");
        assert_eq!(Checkpoint::from_json(old.as_bytes()), Err(CheckpointError::Version(version)));
    }
}

/// Ids have no window: a file that says so must not turn them into everything before a date, and a filter's file must not
/// turn it into ids.
#[test]
fn ids_are_never_narrowed_to_dates() {
    let ids = || Selection::Ids(Ids::parse(["a", "b"]).unwrap());
    let words = Fingerprint::from_pairs(&endpoint(), [("any", "words")]);
    let delete = |selected| BulkDelete::builder(endpoint(), selected).fingerprint(words.clone());
    let file = |selected| delete(selected).lanes(lanes(4), NOW).build().checkpoint().to_json();
    let progress = |file: &str| file.split_once("\"progress\":").unwrap().1.strip_suffix("}}").unwrap().to_owned();
    let (of_ids, of_all) = (file(ids()), file(Selection::Everything));
    for (selected, file, other) in [(ids(), &of_ids, &of_all), (Selection::Everything, &of_all, &of_ids)] {
        assert!(resume_on_lanes(&delete(selected.clone()), file).is_ok());
        let changed = forged(file, &progress(file), &progress(other));
        assert!(resume_on_lanes(&delete(selected), &changed).is_err(), "{changed}");
    }
    let mut operation = resume_on_lanes(&delete(ids()), &of_ids).unwrap();
    let Step::Send(_, request) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.uri().query(), Some("dlqIds=a&dlqIds=b"));
}

/// Twice the same batch, or one beyond those that were begun, would start the same runs twice.
#[test]
fn a_forged_file_of_ids_starts_no_run_twice() {
    let ids = Selection::Ids(Ids::parse((0..300).map(|n| format!("id-{n}"))).unwrap());
    let resume = BulkResume::builder(endpoint(), ids).lanes(lanes(4), NOW);
    let mut operation = resume.clone().build();
    for _ in 0..3 {
        let Step::Send(..) = operation.poll(Duration::ZERO) else { panic!() };
    }
    let file = operation.checkpoint().to_json();
    let restore =
        |file: &str| Checkpoint::from_json(file.as_bytes()).and_then(|saved| resume.clone().resume_from(saved));
    assert!(restore(&sealed_again(&file)).is_ok());
    for (from, to) in [
        ("\"from\":50", "\"from\":49"),
        ("\"to\":50", "\"to\":51"),
        ("\"to\":150", "\"to\":250"),
        ("\"from\":0", "\"from\":50"),
        ("\"begun\":200", "\"begun\":100"),
        ("\"begun\":200", "\"begun\":301"),
        ("{\"in-flight\":50}", "{\"in-flight\":0}"),
        ("{\"in-flight\":50}", "{\"in-doubt\":0}"),
        ("\"before\":0", "\"before\":50"),
        ("{\"ids\":300}", "{\"ids\":299}"),
    ] {
        assert!(restore(&forged(&file, from, to)).is_err(), "{to}");
    }
}

/// Twice the same lane would start the same runs twice.
#[test]
fn a_checkpoint_of_one_lane_continues_on_one_lane() {
    let resume = BulkResume::builder(endpoint(), Selection::Filter(window(1_000, 2_000).build().unwrap()));
    let file = resume.clone().lanes(lanes(4), NOW).build().checkpoint().to_json();
    let (head, lane) = file.split_once("\"lanes\":[").unwrap();
    let (lane, tail) = lane.split_at(lane.rfind(']').unwrap());
    let half = lane.replace("\"hi\":2000", "\"hi\":1500");
    let other = lane.replace("\"lo\":1000", "\"lo\":1501");
    for lanes_of_file in [format!("{half},{other}"), half, String::new()] {
        let changed = sealed_again(&format!("{head}\"lanes\":[{lanes_of_file}{tail}"));
        let saved = Checkpoint::from_json(changed.as_bytes());
        let restored = saved.and_then(|saved| resume.clone().lanes(lanes(4), NOW).resume_from(saved));
        assert!(restored.is_err(), "{changed}");
    }
}

#[test]
fn a_forged_file_of_lanes_deletes_nothing_else() {
    let delete = of_window(1_000, 2_000);
    let file = delete.clone().lanes(lanes(4), NOW).build().checkpoint().to_json();
    assert!(resume_on_lanes(&delete, &sealed_again(&file)).is_ok());
    for (from, to) in [
        ("\"lo\":1000", "\"lo\":999"),
        ("\"hi\":2000", "\"hi\":2001"),
        ("\"open_below\":false", "\"open_below\":true"),
        ("\"open_above\":false", "\"open_above\":true"),
        ("\"fromDate\":1000", "\"fromDate\":999"),
        ("\"toDate\":2000", "\"toDate\":2001"),
        ("\"request\":\"none\"", "\"request\":{\"in-flight\":0}"),
        ("\"request\":\"none\"", "\"request\":{\"in-doubt\":50}"),
        ("\"page_size\":100", "\"page_size\":101"),
        ("\"verify\":true", "\"verify\":false"),
        ("\"delete\"", "\"resume\""),
        ("{\"filter\":", "{\"filters\":"),
    ] {
        assert!(resume_on_lanes(&delete, &forged(&file, from, to)).is_err(), "{to}");
    }
}

/// Times that were given as such are the same in every process. Those relative to the present were earlier, never later.
#[test]
fn a_file_says_nothing_that_widens_what_is_given() {
    let relative = |from, to| RelativeTimes { from, to };
    let words = Fingerprint::from_pairs(&endpoint(), [("from", "some time")]);
    let at = UnixMillis::new;
    let both = |from: i64, to: i64| window(from, to).build().unwrap();
    let created = |created: i64| window(10, 20).workflow_created_at(at(created)).build().unwrap();
    let upper = |to: i64| Filter::builder().to(at(to)).build().unwrap();
    for (saved, given, times, fits) in [
        (both(10, 20), both(10, 20), relative(false, false), true),
        (both(9, 20), both(10, 20), relative(false, false), false),
        (both(10, 21), both(10, 20), relative(false, false), false),
        (both(11, 20), both(10, 20), relative(false, false), false),
        (both(10, 19), both(10, 20), relative(false, true), true),
        (both(10, 21), both(10, 20), relative(false, true), false),
        (both(9, 20), both(10, 20), relative(true, false), true),
        // No file is older than the service keeps runs.
        (both(10, 20), both(10 + 92 * 86_400_000, 20 + 92 * 86_400_000), relative(true, true), true),
        (both(10, 20), both(11 + 92 * 86_400_000, 21 + 92 * 86_400_000), relative(true, true), false),
        (both(1, i64::MAX), both(2 + 92 * 86_400_000, i64::MAX), relative(true, false), false),
        (both(7, 17), both(10, 20), relative(true, true), true),
        (both(7, 20), both(10, 20), relative(true, true), false),
        (both(6, 17), both(10, 20), relative(true, true), false),
        (both(12, 22), both(10, 20), relative(true, true), false),
        (upper(5), upper(9), relative(false, true), true),
        (upper(10), upper(9), relative(false, true), false),
        (upper(5), both(1, 9), relative(true, true), false),
        (created(5), created(5), relative(false, false), true),
        (created(4), created(5), relative(true, true), false),
    ] {
        let build = |filter: &Filter| {
            BulkDelete::builder(endpoint(), Selection::Filter(filter.clone()))
                .fingerprint(words.clone())
                .relative_times(times)
        };
        let restored = build(&given).resume_from(build(&saved).build().checkpoint());
        assert_eq!(restored.is_ok(), fits, "{saved:?} for {given:?} with {times:?}");
        let operation = build(&saved).lanes(lanes(4), NOW).build().checkpoint().to_json();
        assert_eq!(resume_on_lanes(&build(&given), &operation).is_ok(), fits, "{saved:?} for {given:?} with {times:?}");
        if let Ok(bulk) = restored {
            // With the times of the file.
            let OneStep::Send(request) = bulk.one().poll() else { panic!() };
            let query = request.uri().query().unwrap();
            assert!(query.contains(&format!("toDate={}&", saved.to().unwrap())), "{query}");
        }
    }
}

/// The file of one lane keeps its own times also where many lanes continue from it.
#[test]
fn the_file_of_a_single_lane_keeps_its_times_on_many() {
    let words = Fingerprint::from_pairs(&endpoint(), [("from", "7d")]);
    let build = |from, to| {
        of_window(from, to)
            .page_size(NonZeroU32::new(10).unwrap())
            .fingerprint(words.clone())
            .relative_times(RelativeTimes { from: true, to: true })
    };
    let file = build(1_000, 2_000).build().checkpoint().to_json();
    let mut operation = resume_on_lanes(&build(1_500, 2_500), &file).unwrap();
    let Step::Send(_, request) = operation.poll(Duration::ZERO) else { panic!() };
    assert_eq!(request.uri().query(), Some("fromDate=1000&toDate=2000&count=10"));
    let Selection::Filter(filter) = operation.selection() else { panic!() };
    assert_eq!((filter.from(), filter.to()), (Some(UnixMillis::new(1_000)), Some(UnixMillis::new(2_000))));
}

/// A later process learns what was left, not that all is well.
#[test]
fn a_maximum_that_was_not_confirmed_is_not_confirmed_by_going_on() {
    for (verify, n) in [(true, 1), (false, 1), (true, 4), (false, 4)] {
        let delete = || BulkDelete::builder(endpoint(), Selection::Everything).max(NonZeroU64::new(100)).verify(verify);
        let mut operation = delete().lanes(lanes(n), NOW).build();
        for _ in 0..3 {
            let halted = loop {
                match operation.poll(Duration::ZERO) {
                    Step::Done(outcome) => break outcome.halted,
                    Step::Send(lane, _) => drop(operation.fail(lane, Delivery::Unknown).unwrap()),
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(halted, Some(Halt::MaximumUnconfirmed), "verify: {verify}");
            operation = resume_on_lanes(&delete(), &operation.checkpoint().to_json()).unwrap();
        }
        let mut bulk = delete().one();
        for _ in 0..3 {
            let halted = loop {
                match bulk.poll() {
                    OneStep::Done(outcome) => break outcome.halted,
                    OneStep::Send(_) => drop(bulk.on_failure(Delivery::Unknown).unwrap()),
                    OneStep::Wait(_) => {}
                }
            };
            assert_eq!(halted, Some(Halt::MaximumUnconfirmed), "verify: {verify}");
            bulk = delete().resume_from(bulk.checkpoint()).unwrap().one();
        }
    }
}

/// Without a verification pass, too, a maximum that is used up by what is not known is no success.
#[test]
fn a_last_page_does_not_make_an_unconfirmed_maximum_a_success() {
    let mut bulk = BulkDelete::builder(endpoint(), Selection::Everything).max(NonZeroU64::new(150)).verify(false).one();
    let OneStep::Send(_) = bulk.poll() else { panic!() };
    bulk.on_failure(Delivery::Unknown).unwrap();
    let OneStep::Wait(_) = bulk.poll() else { panic!() };
    let OneStep::Send(request) = bulk.poll() else { panic!() };
    assert_eq!(request.uri().query(), Some("count=50"));
    bulk.on_response(&http::Response::new(r#"{"deleted":50}"#)).unwrap();
    let OneStep::Done(outcome) = bulk.poll() else { panic!() };
    assert_eq!(outcome.halted, Some(Halt::MaximumUnconfirmed));
}

/// A delete that gave up is tried again by whoever goes on.
#[test]
fn a_delete_that_gave_up_is_tried_again() {
    let policy = RetryPolicy::default().max_attempts(NonZeroU32::new(2).unwrap());
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).retry(policy, 1);
    let (mut operation, mut clock, mut turn) = (delete.clone().lanes(lanes(4), NOW).build(), Duration::ZERO, 0);
    loop {
        match operation.poll(clock) {
            Step::Done(outcome) => {
                assert!(matches!(outcome.halted, Some(Halt::GaveUp { .. })), "{outcome:?}");
                break;
            }
            Step::WaitUntil(at) => clock = at,
            Step::AwaitResponse => panic!(),
            Step::Send(lane, _) => {
                turn += 1;
                if turn % 2 == 1 {
                    operation.fail(lane, Delivery::Unknown).unwrap();
                } else {
                    operation.respond(lane, &http::Response::new(r#"{"deleted":0}"#)).unwrap();
                }
            }
        }
    }
    let mut operation = resume_on_lanes(&delete, &operation.checkpoint().to_json()).unwrap();
    for deleted in [1, 0] {
        let Step::Send(lane, _) = operation.poll(clock) else { panic!("nothing is asked") };
        operation.respond(lane, &http::Response::new(format!("{{\"deleted\":{deleted}}}"))).unwrap();
    }
    assert!(matches!(operation.poll(clock), Step::Done(outcome) if outcome.verified && outcome.halted.is_none()));
}

/// A request in doubt of one lane waits to be settled on many lanes, too, also at the maximum.
#[test]
fn a_single_lanes_lost_request_waits_on_many() {
    let resume = || BulkResume::builder(endpoint(), Selection::Everything).max(NonZeroU64::new(50));
    let mut bulk = resume().one();
    let OneStep::Send(_) = bulk.poll() else { panic!() };
    let saved = Checkpoint::from_json(bulk.checkpoint().to_json().as_bytes()).unwrap();
    let mut operation = resume().lanes(lanes(4), NOW).resume_from(saved).unwrap();
    let Step::Done(outcome) = operation.poll(Duration::ZERO) else { panic!("sent") };
    assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 50, .. })), "{outcome:?}");
}

/// Whatever stands in a file that somebody has sealed again.
#[test]
fn a_forged_file_of_one_lane_is_held_to_the_selection() {
    let delete = BulkDelete::builder(endpoint(), Selection::Everything).max(NonZeroU64::new(5));
    let whole = delete.build().checkpoint().to_json();
    for (from, to) in [
        ("\"left\":5", "\"left\":6"),
        ("\"left\":5", "\"left\":null"),
        ("\"request\":\"none\"", "\"request\":{\"in-flight\":0}"),
        ("\"request\":\"none\"", "\"request\":{\"in-doubt\":50}"),
        ("\"max\":5", "\"max\":null"),
        ("\"page_size\":100", "\"page_size\":0"),
        ("\"cursor\":null", "\"cursor\":\"\""),
        ("\"delete\"", "\"explode\""),
        ("\"everything\"", "{\"filter\":{}}"),
        ("{\"operation\"", "{\"new\":1,\"operation\""),
    ] {
        assert!(Checkpoint::from_json(forged(&whole, from, to).as_bytes()).is_err(), "{to}");
    }
}

/// A database may keep it as a value of serde: it is the text of the file, and held to the same.
#[test]
fn a_checkpoint_is_a_text_in_serde() {
    let checkpoint = of_window(1_000, 2_000).build().checkpoint();
    let json = serde_json::to_string(&checkpoint).unwrap();
    assert_eq!(json, serde_json::to_string(&checkpoint.to_json()).unwrap());
    assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
    let error = serde_json::from_str::<Checkpoint>(&json.replacen("2000", "3000", 1)).unwrap_err();
    assert!(error.to_string().contains("changed since it was written"), "{error}");
    assert!(serde_json::from_str::<Checkpoint>("{}").is_err());
}

#[test]
fn each_reason_against_a_checkpoint_is_a_sentence() {
    let saved = || of_window(1_000, 2_000).build().checkpoint();
    let all = Selection::Everything;
    let sentence = |result: Result<BulkDelete, CheckpointError>| result.unwrap_err().to_string();
    let resume = BulkResume::builder(endpoint(), all.clone()).resume_from(saved());
    for (told, expected) in [
        (
            resume.unwrap_err().to_string(),
            "the checkpoint belongs to a delete: repeat the operation that it was taken from, or give another checkpoint",
        ),
        (
            sentence(BulkDelete::builder(endpoint(), all).resume_from(saved())),
            "the checkpoint belongs to another endpoint, selection or overrides: give the same ones again, or another checkpoint",
        ),
        (
            sentence(of_window(1_000, 2_000).max(NonZeroU64::new(5)).resume_from(saved())),
            "the checkpoint was taken with another page size, maximum or verification: give the same ones again, or another checkpoint",
        ),
        (
            sentence(of_window(1_000, 2_000).verify(false).resume_from(saved())),
            "the checkpoint was taken with another page size, maximum or verification: give the same ones again, or another checkpoint",
        ),
        (Checkpoint::from_json("{}").unwrap_err().to_string(), "the checkpoint cannot be read ("),
        (
            CheckpointError::Version(5).to_string(),
            "the checkpoint has format 5, this program reads format 7: use the program that wrote it",
        ),
    ] {
        assert!(told.starts_with(expected), "{told}");
    }
}

/// Whoever shows a checkpoint learns what it is of: a window, ids, or ids that a listing found.
#[test]
fn a_checkpoint_tells_what_it_is_of() {
    let at = |millis| Some(UnixMillis::new(millis));
    let of_filter = of_window(1_000, 2_000).build().checkpoint();
    assert_eq!((of_filter.window(), of_filter.is_of_ids()), ((at(1_000), at(2_000)), false));
    assert_eq!((of_filter.id_list(), of_filter.ids_before()), (None, 0));
    let ids = || Selection::Ids(Ids::parse(["a", "b"]).unwrap());
    let of_ids = BulkDelete::builder(endpoint(), ids()).part(40, Default::default()).build().checkpoint();
    assert_eq!((of_ids.window(), of_ids.is_of_ids()), ((None, None), true));
    assert_eq!((of_ids.id_list(), of_ids.ids_before()), (None, 40));
    // The list is found again by its digest, and belongs to the selection that was listed.
    let words = Fingerprint::from_pairs(&endpoint(), [("any", "words")]);
    let resume = |from, digest| {
        let selection = Selection::Filter(window(from, 2_000).build().unwrap());
        BulkResume::builder(endpoint(), ids()).fingerprint(words.clone()).listed(selection, digest)
    };
    let listed = resume(1_000, "d1").build().checkpoint();
    assert_eq!((listed.window(), listed.id_list(), listed.is_of_ids()), ((at(1_000), at(2_000)), Some("d1"), true));
    let goes_on = resume(1_000, "d1").resume_from(listed.clone()).unwrap();
    let Some(Selection::Filter(filter)) = goes_on.listed() else { panic!("it was listed") };
    assert_eq!((filter.from(), filter.to()), (at(1_000), at(2_000)));
    for other in [resume(1_000, "d2"), BulkResume::builder(endpoint(), ids()).fingerprint(words.clone())] {
        assert_eq!(other.resume_from(listed.clone()).unwrap_err(), CheckpointError::OtherSelection);
    }
    assert!(resume(1_001, "d1").resume_from(listed).is_err(), "another window was listed");
}

/// A list of any length has a fingerprint of all of its ids, at one service.
#[test]
fn a_long_list_has_a_fingerprint_of_its_own() {
    let of = |ids: &[&str]| {
        let mut builder = FingerprintBuilder::default();
        ids.iter().for_each(|id| builder.add(id));
        builder
    };
    let elsewhere = Endpoint::new("https://qstash-us-east-1.upstash.io", Token::new("t").unwrap()).unwrap();
    let here = of(&["a", "b"]).at(&endpoint());
    assert_eq!(here, of(&["a", "b"]).at(&endpoint()));
    for other in [of(&["b", "a"]), of(&["a"]), of(&["a", "b", "c"]), of(&["ab"]), of(&["a", "b", ""])] {
        assert_ne!(other.at(&endpoint()), here);
    }
    assert_ne!(of(&["a", "b"]).at(&elsewhere), here);
    assert!(!here.to_string().is_empty() && here.to_string() == of(&["a", "b"]).at(&endpoint()).to_string());
}

/// Whoever gives a settlement on a command line can only mean what was shown.
#[test]
fn only_the_first_doubt_is_noted_as_shown() {
    let ids = Ids::parse((0..100).map(|n| format!("r-{n}"))).unwrap();
    let builder = || BulkResume::builder(endpoint(), Selection::Ids(ids.clone())).lanes(lanes(2), NOW);
    let mut resume = builder().build();
    let (Step::Send(one, _), Step::Send(two, _)) = (resume.poll(Duration::ZERO), resume.poll(Duration::ZERO)) else {
        panic!("two requests of fifty ids")
    };
    let in_flight = resume.checkpoint();
    assert_eq!(in_flight.clone().with_doubt_shown(), in_flight, "nobody is in doubt yet");
    drop(resume.on_failure(one, Delivery::Unknown.into()).unwrap());
    drop(resume.on_failure(two, Delivery::Unknown.into()).unwrap());
    let saved = resume.checkpoint();
    assert!(!saved.is_doubt_shown());
    let shown = Checkpoint::from_json(saved.with_doubt_shown().to_json()).unwrap();
    assert!(shown.is_doubt_shown());
    assert_eq!(shown.clone().with_doubt_shown(), shown);
    let mut next = builder().resume_from(shown).unwrap();
    assert_eq!(next.all_in_doubt(), (2, 100));
    next.settle(Settlement::Applied).unwrap();
    // The other one was shown to nobody.
    let left = next.checkpoint();
    assert!(next.in_doubt().is_some() && !left.is_doubt_shown() && left.with_doubt_shown().is_doubt_shown());
    assert!(!of_window(1, 2).build().checkpoint().with_doubt_shown().is_doubt_shown());
}
