//! Replays the corpus of the store's fuzz target on whatever compiler runs the tests.

use crate::archive_file::archive_file;
use std::path::Path;

#[test]
fn the_corpus_keeps_every_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let inputs = std::fs::read_dir(root.join("corpus/archive_file")).unwrap().map(|entry| entry.unwrap().path());
    let mut replayed = 0;
    for path in inputs {
        println!("{}", path.display());
        archive_file(&std::fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 3, "{replayed} inputs");
    // Any other target of no part of core would be replayed by nobody.
    let targets = std::fs::read_dir(root.join("fuzz_targets")).unwrap().map(|entry| entry.unwrap().path());
    let others: Vec<_> =
        targets.filter(|path| !std::fs::read_to_string(path).unwrap().contains("upstash_dlq_fuzz::")).collect();
    assert_eq!(others, [root.join("fuzz_targets/archive_file.rs")]);
}
