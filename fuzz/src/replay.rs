//! Replays a corpus, for the ordinary tests of each crate that has fuzz targets.

use std::path::Path;

/// Runs the target on each input of its committed corpus, which has at least three.
pub fn replay(name: &str, target: fn(&[u8])) {
    // Each crate lies beside `fuzz/`.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 3, "{}: {replayed} inputs", corpus.display());
}
