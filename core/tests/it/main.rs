//! What core promises, in one binary: a module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod adversary;
mod archive;
mod cancellation;
mod cases;
mod checkpoints;
mod corpus;
mod driving;
mod fleet;
#[path = "../../../fuzz/src/lib.rs"]
pub mod fuzz;
mod guarantees;
mod list_fleet;
mod machines;
mod one_lane;
mod query;
mod scenarios;
mod start_fleet;
mod world;
