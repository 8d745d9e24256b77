//! The command as a real process, in one binary: a module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![cfg_attr(not(unix), allow(unused_imports, dead_code, reason = "some tests send signals, or open a terminal"))]

mod check;
mod command;
mod common;
#[cfg(unix)]
mod compose;
mod demo;
mod documented;
#[cfg(unix)]
mod draw;
mod emulator;
mod environment;
mod escapes;
mod faults;
mod files;
mod going_on;
mod help;
mod ids;
mod kill;
mod lanes;
mod left_in_flight;
mod links;
mod man;
mod maximum;
mod memory;
mod mismatch;
mod operations;
mod output;
mod pages;
mod paste;
mod person;
mod picture;
mod progress;
mod prompt;
#[cfg(unix)]
mod recipes;
mod runs;
#[cfg(unix)]
mod scene;
mod sentences;
mod sizes;
#[path = "../../../transport-ureq/tests/it/suite/faults.rs"]
mod socket;
mod starting;
#[path = "../../../transport-ureq/tests/it/suite/tls.rs"]
mod tls;
mod triage;
mod two_processes;
#[cfg(unix)]
mod unreachable;
mod untold;
mod verbose;
mod wording;
#[path = "../../../transport-ureq/tests/it/suite/world.rs"]
mod world;
