//! Replays the corpora of the emulator's fuzz targets on whatever compiler runs the tests.

use crate::load_file::load_file;
use crate::service::service;
use std::path::Path;

type Target = fn(&[u8]);

#[test]
fn the_corpus_keeps_every_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let targets: [(&str, Target); 2] = [("load_file", load_file), ("service", service)];
    for (name, target) in targets {
        let inputs = std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path());
        let mut replayed = 0;
        for path in inputs {
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed >= 3, "{name}: {replayed} inputs");
    }
}
