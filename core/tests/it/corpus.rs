//! Replays the corpus of every fuzz target on whatever compiler runs the tests.

use std::path::Path;

use crate::fuzz::TARGETS;

#[test]
fn the_corpus_keeps_every_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for (name, target) in TARGETS {
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} has no fuzz target");
        let corpus = root.join("corpus").join(name);
        let mut replayed = 0;
        for entry in std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed >= 3, "{}: {replayed} inputs", corpus.display());
    }
    let files = std::fs::read_dir(root.join("fuzz_targets")).unwrap().count();
    assert_eq!(files, TARGETS.len(), "a fuzz target is not replayed");
}
