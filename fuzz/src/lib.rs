//! The bodies of the fuzz targets. Each takes any bytes and panics only where a promise is broken.
//!
//! `fuzz_targets/` calls them; the tests of `core` include this file and replay the corpus on a stable compiler. The
//! bodies know core's public interface and nothing else of it; two hold it against the emulator, which reads the contract by
//! itself. `archive_file.rs` and `id_spool.rs` are about the store, `load_file.rs` and `service.rs` about the emulator: their
//! targets and the tests of those crates include them one by one.

pub mod archive;
pub mod batches;
pub mod calls;
pub mod checkpoint;
pub mod endpoint;
pub mod error_body;
pub mod forge;
pub mod given;
pub mod lanes;
pub mod list_page;
pub mod matches;
pub mod message;
pub mod one_lane;
pub mod one_pass;
pub mod operations;
pub mod overrides;
pub mod page;
pub mod query_encoding;
pub mod redaction;
pub mod retry_after;
pub mod shard;
pub mod shown;
pub mod signature;
pub mod wire;

/// A fuzz target's body.
pub type Target = fn(&[u8]);

/// Every target of core by the name of its corpus.
pub const TARGETS: [(&str, Target); 19] = [
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
    ("calls", calls::calls),
    ("endpoint", endpoint::endpoint),
    ("redaction", redaction::redaction),
    ("overrides", overrides::overrides),
    ("shard", shard::shard),
    ("matches", matches::matches),
    ("signature", signature::signature),
];
