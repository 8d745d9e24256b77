//! Replays the corpora of the store's fuzz targets on whatever compiler runs the tests.

use crate::archive_file::archive_file;
use crate::id_spool::id_spool;
use crate::replay::replay;

type Target = fn(&[u8]);

#[test]
fn the_corpus_keeps_every_promise() {
    let targets: [(&str, Target); 2] = [("archive_file", archive_file), ("id_spool", id_spool)];
    targets.into_iter().for_each(|(name, target)| replay(name, target));
}
