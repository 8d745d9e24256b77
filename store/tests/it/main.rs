//! What the files promise, on the real disk and on one that stops or fails at any step.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test reports by panicking"
)]

mod archive;
#[path = "../../../fuzz/src/archive_file.rs"]
pub mod archive_file;
mod archive_steps;
mod checkpoint;
mod corpus;
mod errors;
#[path = "../../../fuzz/src/id_spool.rs"]
pub mod id_spool;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
mod spool;
mod step_disk;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use upstash_dlq_store::core::{DlqId, DlqMessage};

fn message(id: &str) -> DlqMessage {
    DlqMessage::parse(&format!("{{\"dlqId\":\"{id}\",\"body\":\"ü\",\"n\":[-1.5e+3,true,null]}}")).unwrap()
}

fn line(id: &str) -> String {
    format!("{}\n", message(id).as_json())
}

fn id(number: usize) -> DlqId {
    DlqId::new(format!("id-{number}")).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Not by a command: a process that is being started holds the locks of all files that are open meanwhile.
fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
