//! What the emulator promises, in one binary: a module a subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test reports by panicking"
)]

mod conformance;
mod corpus;
#[path = "../../../fuzz/src/load_file.rs"]
pub mod load_file;
mod model;
mod operations;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
mod server;
#[path = "../../../fuzz/src/service.rs"]
pub mod service;
