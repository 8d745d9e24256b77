//! What a checkpoint tells about itself, and what it must not hold: windows that overlap, or a request that asks for nothing.

use crate::fuzz::forge::sealed_again;
use crate::one_lane::Respond;
use std::num::NonZeroUsize;
use std::time::Duration;
use upstash_dlq_core::checkpoint::{CheckpointError, Fingerprint, FingerprintBuilder};
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::selection::{Ids, Refined, Refinement, RelativeTimes};
use upstash_dlq_core::wire::{BulkOperation, Delete, Restart, Resume};
use upstash_dlq_core::{
    BulkDelete, BulkResume, Checkpoint, Endpoint, Filter, Operation, Selection, Step, Token, Totals, UnixMillis,
};

fn endpoint() -> Endpoint {
    Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap()
}

fn lanes(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

fn dates(from: i64, to: i64) -> Selection {
    Selection::Filter(Filter::builder().from(UnixMillis::new(from)).to(UnixMillis::new(to)).build().unwrap())
}

#[test]
fn a_checkpoint_tells_its_window_and_its_list() {
    let delete = BulkDelete::builder(endpoint(), dates(1_000, 2_000)).build().checkpoint();
    assert_eq!(delete.window(), (Some(UnixMillis::new(1_000)), Some(UnixMillis::new(2_000))));
    assert!(!delete.is_of_ids() && delete.id_list().is_none());
    let ids = || Selection::Ids(Ids::parse(["a", "b"]).unwrap());
    let given = BulkResume::builder(endpoint(), ids()).build().checkpoint();
    assert_eq!((given.window(), given.is_of_ids(), given.id_list()), ((None, None), true, None));
    let listed = BulkResume::builder(endpoint(), ids()).listed(dates(3_000, 4_000), "0a1b").build().checkpoint();
    assert_eq!(listed.window(), (Some(UnixMillis::new(3_000)), Some(UnixMillis::new(4_000))));
    assert_eq!((listed.is_of_ids(), listed.id_list()), (true, Some("0a1b")));
    let refined = |filter| Refined::new(filter, Refinement::builder().status(500).build().unwrap());
    for (filter, window) in [(None, (None, None)), (dates(1_000, 2_000).filter().cloned(), delete.window())] {
        let refined = BulkDelete::builder(endpoint(), Selection::Refined(refined(filter))).build().checkpoint();
        assert_eq!((refined.window(), refined.is_of_ids(), refined.id_list()), (window, false, None));
        assert_eq!(refined.ids_before(), 0);
    }
}

/// A process may be killed after its delete has ended, and before the checkpoint is removed.
#[test]
fn a_checkpoint_of_a_delete_that_is_complete_has_nothing_left_to_do() {
    let builder = || BulkDelete::builder(endpoint(), Selection::Everything);
    let mut delete = builder().build();
    for deleted in [3, 0] {
        let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!("a request was expected") };
        delete.respond(id, &http::Response::new(format!("{{\"deleted\":{deleted}}}").as_str())).unwrap();
    }
    let Step::Done(outcome) = delete.poll(Duration::ZERO) else { panic!("it has ended") };
    assert!(outcome.verified);
    let mut later = builder().resume_from(delete.checkpoint()).unwrap();
    assert!(matches!(later.poll(Duration::ZERO), Step::Done(again) if again == outcome));
}

#[test]
fn the_fingerprint_of_a_list_is_of_each_value_in_its_order() {
    let of = |values: &[&str]| {
        let mut builder = FingerprintBuilder::default();
        values.iter().for_each(|value| builder.add(value));
        builder.at(&endpoint())
    };
    assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
    let all = [of(&[]), of(&["a"]), of(&["b"]), of(&["a", "b"]), of(&["b", "a"]), of(&["ab"])];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "two lists have the fingerprint {one}");
    }
    // It is the text in the file.
    let selection = dates(1_000, 2_000);
    let fingerprint = Fingerprint::from_selection(&endpoint(), &selection).to_string();
    assert_eq!(fingerprint.len(), 32);
    let other = BulkDelete::builder(endpoint(), selection).fingerprint(of(&["a"])).build().checkpoint().to_json();
    assert_ne!(of(&["a"]).to_string(), fingerprint);
    assert!(!other.contains(&fingerprint), "{other}");
}

/// Ids that a listing has found belong to that listing and to its list, whatever is done with them.
fn listed_ids_go_on_with_their_list<O: BulkOperation>() {
    let words = Fingerprint::from_selection(&endpoint(), &Selection::Everything);
    let ids = || Selection::Ids(Ids::parse(["a", "b"]).unwrap());
    let given = || Bulk::<O>::builder(endpoint(), ids()).fingerprint(words.clone());
    let listed = |from, digest| given().listed(dates(from, 2_000), digest);
    let saved = || listed(1_000, "d1").build().checkpoint();
    let goes_on = listed(1_000, "d1").resume_from(saved()).unwrap();
    assert_eq!(goes_on.listed(), Some(&dates(1_000, 2_000)));
    let part = listed(1_000, "d1").part(40, Totals::default());
    for other in [listed(1_000, "d2"), listed(1_001, "d1"), given(), part] {
        assert_eq!(other.resume_from(saved()).unwrap_err(), CheckpointError::OtherSelection);
    }
    let of_given = given().build().checkpoint();
    assert_eq!(listed(1_000, "d1").resume_from(of_given.clone()).unwrap_err(), CheckpointError::OtherSelection);
    assert_eq!(given().resume_from(of_given).unwrap().listed(), None);
}

#[test]
fn each_operation_goes_on_with_its_list() {
    listed_ids_go_on_with_their_list::<Delete>();
    listed_ids_go_on_with_their_list::<Resume>();
    listed_ids_go_on_with_their_list::<Restart>();
}

/// Each condition of a refinement counts, so that no file goes on with another one.
#[test]
fn the_fingerprint_of_a_refinement_is_of_each_condition() {
    let by = Refinement::builder;
    let signature = |text: &str| text.parse().unwrap();
    let refinements = [
        by().status(500),
        by().status(502),
        by().status(500).status(502),
        by().signature(signature("e1-4k7q0zbd")),
        by().signature(signature("e1-4k7q0zbe")),
        by().error_text("timeout"),
        by().error_text("refused"),
        by().status(500).error_text("timeout"),
    ];
    let of = |selection: Selection| Fingerprint::from_selection(&endpoint(), &selection).to_string();
    let mut all: Vec<String> = refinements
        .into_iter()
        .map(|refinement| of(Selection::Refined(Refined::new(None, refinement.build().unwrap()))))
        .collect();
    all.push(of(Selection::Everything));
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one), "two of {all:?} are the same");
    }
}

/// A delete on four lanes, cut into windows of which some have a request in flight.
fn on_four_lanes() -> BulkDelete {
    let builder = BulkDelete::builder(endpoint(), dates(1_000, 9_000)).lanes(lanes(4), UnixMillis::new(9_000));
    let mut delete = builder.build();
    for page in [r#"{"deleted":100,"cursor":"a"}"#, r#"{"deleted":100,"cursor":"b"}"#] {
        let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
        delete.respond(id, &http::Response::new(page.to_owned())).unwrap();
    }
    while let Step::Send(..) = delete.poll(Duration::ZERO) {}
    delete
}

/// The lower and the upper end of each window in a file.
fn windows(file: &str) -> Vec<(i64, i64)> {
    let number = |text: &str| text.split([',', '}']).next().unwrap().parse::<i64>().unwrap();
    let parts = file.split("\"window\":{\"lo\":").skip(1);
    parts.map(|part| (number(part), number(part.split_once("\"hi\":").unwrap().1))).collect()
}

#[test]
fn windows_that_overlap_are_refused() {
    let file = on_four_lanes().checkpoint().to_json();
    let mut windows = windows(&file);
    windows.sort_unstable();
    assert!(windows.len() >= 3, "{file}");
    assert!(Checkpoint::from_json(sealed_again(&file)).is_ok());
    for pair in windows.windows(2) {
        let ((lo, hi), (next, _)) = (pair[0], pair[1]);
        assert_eq!(hi + 1, next, "{windows:?}");
        // By one millisecond.
        let wider = file.replacen(&format!("\"lo\":{lo},\"hi\":{hi}"), &format!("\"lo\":{lo},\"hi\":{next}"), 1);
        assert_ne!(wider, file);
        let error = Checkpoint::from_json(sealed_again(&wider)).unwrap_err();
        assert!(error.to_string().contains("its parts do not fit together"), "{error}");
    }
    // A gap is no overlap: those runs were handled.
    let (lo, hi) = windows[0];
    let narrower = file.replacen(&format!("\"lo\":{lo},\"hi\":{hi}"), &format!("\"lo\":{lo},\"hi\":{}", hi - 1), 1);
    assert!(Checkpoint::from_json(sealed_again(&narrower)).is_ok());
}

#[test]
fn an_open_end_between_two_windows_is_refused() {
    let everything = BulkDelete::builder(endpoint(), Selection::Everything).lanes(lanes(4), UnixMillis::new(9_000));
    let mut delete = everything.build();
    for page in [r#"{"deleted":100,"cursor":"a"}"#, r#"{"deleted":100,"cursor":"b"}"#] {
        let Step::Send(id, _) = delete.poll(Duration::ZERO) else { panic!() };
        delete.respond(id, &http::Response::new(page.to_owned())).unwrap();
    }
    let file = delete.checkpoint().to_json();
    let mut windows = windows(&file);
    windows.sort_unstable();
    for (at, (lo, hi)) in windows.iter().enumerate() {
        let (first, last) = (at == 0, at + 1 == windows.len());
        for (name, is_outer) in [("open_below", first), ("open_above", last)] {
            let head = format!("\"lo\":{lo},\"hi\":{hi},");
            let (before, after) = file.split_once(&head).unwrap();
            let (window, rest) = after.split_once('}').unwrap();
            let opened = window.replace(&format!("\"{name}\":false"), &format!("\"{name}\":true"));
            let forged = sealed_again(&format!("{before}{head}{opened}}}{rest}"));
            assert_eq!(Checkpoint::from_json(&forged).is_ok(), is_outer, "{name} of {lo}..={hi} in {windows:?}");
        }
    }
}

#[test]
fn a_request_that_asks_for_nothing_is_refused() {
    let file = on_four_lanes().checkpoint().to_json();
    assert!(file.contains("\"in-flight\":100"), "{file}");
    let forged = sealed_again(&file.replacen("\"in-flight\":100", "\"in-flight\":0", 1));
    assert!(Checkpoint::from_json(forged).is_err());
    // A delete is never in doubt: it may be repeated.
    let forged = sealed_again(&file.replacen("\"in-flight\":100", "\"in-doubt\":100", 1));
    assert!(Checkpoint::from_json(forged).is_err());
}

/// The file of a refined delete says nothing that widens what is given: neither the refinement, nor the dates beside it.
#[test]
fn the_file_of_a_refined_delete_widens_nothing() {
    let words = Fingerprint::from_selection(&endpoint(), &Selection::Everything);
    let filter = |from, to| Filter::builder().from(UnixMillis::new(from)).to(UnixMillis::new(to)).build().unwrap();
    let of = |filter: Option<Filter>, status: u16| {
        Selection::Refined(Refined::new(filter, Refinement::builder().status(status).build().unwrap()))
    };
    let build = |selection: Selection| {
        BulkDelete::builder(endpoint(), selection)
            .fingerprint(words.clone())
            .relative_times(RelativeTimes { from: true, to: false })
    };
    for (saved, given, fits) in [
        (of(None, 500), of(None, 500), true),
        (of(None, 502), of(None, 500), false),
        (of(Some(filter(9, 20)), 500), of(Some(filter(10, 20)), 500), true),
        (of(Some(filter(10, 21)), 500), of(Some(filter(10, 20)), 500), false),
        (of(Some(filter(9, 20)), 502), of(Some(filter(10, 20)), 500), false),
        (of(None, 500), of(Some(filter(10, 20)), 500), false),
        (of(Some(filter(10, 20)), 500), of(None, 500), false),
    ] {
        let file = build(saved.clone()).build().checkpoint();
        let restored = build(given.clone()).resume_from(file);
        assert_eq!(restored.is_ok(), fits, "{saved:?} for {given:?}");
    }
}
