//! The bodies of the fuzz targets. Each takes any bytes and panics only where a promise is broken.
//!
//! `fuzz_targets/` calls them; the tests of `core` include this file and replay the corpus on a stable compiler. The
//! bodies know core's public interface and nothing else of it. `archive_file.rs` is about the store: its target and the
//! store's tests include it by itself.

pub mod archive;
pub mod batches;
pub mod checkpoint;
pub mod error_body;
pub mod forge;
pub mod given;
pub mod lanes;
pub mod list_page;
pub mod message;
pub mod one_lane;
pub mod one_pass;
pub mod operations;
pub mod page;
pub mod query_encoding;
pub mod retry_after;
pub mod shown;
pub mod wire;

/// A fuzz target's body.
pub type Target = fn(&[u8]);

/// Every target of core by the name of its corpus.
pub const TARGETS: [(&str, Target); 12] = [
    ("query_encoding", query_encoding::query_encoding),
    ("page", page::page),
    ("error_body", error_body::error_body),
    ("retry_after", retry_after::retry_after),
    ("checkpoint", checkpoint::checkpoint),
    ("operations", operations::operations),
    ("list_page", list_page::list_page),
    ("message", message::message),
    ("archive", archive::archive),
    ("one_pass", one_pass::one_pass),
    ("lanes", lanes::lanes),
    ("batches", batches::batches),
];
