//! Replays a corpus, for the ordinary tests of each crate that has fuzz targets.

use std::path::{Path, PathBuf};

/// Runs the target on each input of its committed corpus, which has at least three. If `DLQ_INPUTS` names a folder, also runs
/// it on what is in the subfolder of the target's name: `.ci/coverage --corpora` unpacks `fuzz/minimised` there.
pub fn replay(name: &str, target: fn(&[u8])) {
    // Each crate lies beside `fuzz/`.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let replayed = replay_folder(&corpus, target);
    assert!(replayed >= 3, "{}: {replayed} inputs", corpus.display());
    if let Some(inputs) = std::env::var_os("DLQ_INPUTS") {
        let more = PathBuf::from(inputs).join(name);
        assert!(!more.exists() || replay_folder(&more, target) > 0, "{} is empty", more.display());
    }
}

fn replay_folder(folder: &Path, target: fn(&[u8])) -> usize {
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
        replayed += 1;
    }
    replayed
}
