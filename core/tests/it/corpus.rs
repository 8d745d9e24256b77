//! Replays the corpus of core's fuzz targets on whatever compiler runs the tests.

use std::path::Path;

use crate::fuzz::TARGETS;
use crate::fuzz::forge::{sealed, version};
use crate::replay::replay;
use upstash_dlq_core::{BulkDelete, Checkpoint, Endpoint, Selection, Token};

#[test]
fn the_corpus_keeps_every_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for (name, target) in TARGETS {
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} has no fuzz target");
        replay(name, target);
    }
}

/// A target calls one of core's bodies, or includes one that the tests of another crate include, too.
#[test]
fn every_fuzz_target_is_replayed_by_the_tests_of_some_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let replayed = ["store", "emulator"].map(|name| read(&root.join(name).join("tests/it/corpus.rs"))).concat();
    let mut of_core = 0;
    for entry in std::fs::read_dir(root.join("fuzz/fuzz_targets")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if read(&path).contains("upstash_dlq_fuzz::") {
            of_core += 1;
        } else {
            assert!(replayed.contains(&format!("(\"{name}\", {name})")), "{name} is not replayed");
        }
    }
    assert_eq!(of_core, TARGETS.len(), "a fuzz target is not replayed");
}

/// Files of an older format are refused, and show nothing about the present one.
#[test]
fn most_checkpoints_of_the_corpus_are_of_the_present_format() {
    let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("t").unwrap()).unwrap();
    let version = version(&BulkDelete::builder(endpoint, Selection::Everything).build().checkpoint().to_json());
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/checkpoint");
    let is_present = |text: &String| Checkpoint::from_json(sealed(version, text).as_bytes()).is_ok();
    let files = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let (present, refused): (Vec<_>, Vec<_>) =
        files.map(|path| std::fs::read_to_string(path).unwrap()).partition(is_present);
    assert!(present.len() >= 20 && refused.len() >= 5, "{} and {}", present.len(), refused.len());
    for operation in ["delete", "resume", "restart"] {
        assert!(present.iter().any(|text| text.contains(&format!("\"operation\":\"{operation}\""))), "{operation}");
    }
}
