//! What core promises, in one binary: a module a subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test reports by panicking"
)]

mod adversary;
mod archive;
mod archive_lanes;
mod attempts;
mod builders;
mod cancellation;
mod cases;
mod checkpoints;
mod chosen;
mod corpus;
mod cutting;
mod driving;
mod dropped;
mod engine;
mod faulty_service;
#[path = "../../../fuzz/src/lib.rs"]
pub mod fuzz;
mod guarantees;
mod interleavings;
mod lanes;
mod listing;
mod odd_listings;
mod one_lane;
mod outcomes;
mod query;
mod read_back;
mod refined;
mod refinement;
#[path = "../../../fuzz/src/replay.rs"]
pub mod replay;
mod restarted;
mod results;
mod saved;
mod scenarios;
mod setup;
mod signatures;
mod sizes;
mod starting;
mod stores;
mod texts;
mod values;
mod world;
