//! Replays the corpora of the store's fuzz targets on whatever compiler runs the tests.

use crate::archive_file::archive_file;
use crate::id_spool::id_spool;
use std::path::Path;

type Target = fn(&[u8]);

#[test]
fn the_corpus_keeps_every_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let targets: [(&str, Target); 2] = [("archive_file", archive_file), ("id_spool", id_spool)];
    for (name, target) in targets {
        let inputs = std::fs::read_dir(root.join("corpus").join(name)).unwrap().map(|entry| entry.unwrap().path());
        let mut replayed = 0;
        for path in inputs {
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed >= 3, "{name}: {replayed} inputs");
    }
}
