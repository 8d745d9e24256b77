//! Replays the corpora of the emulator's fuzz targets on whatever compiler runs the tests.

use crate::load_file::load_file;
use crate::replay::replay;
use crate::service::service;

type Target = fn(&[u8]);

#[test]
fn the_corpus_keeps_every_promise() {
    let targets: [(&str, Target); 2] = [("load_file", load_file), ("service", service)];
    targets.into_iter().for_each(|(name, target)| replay(name, target));
}
