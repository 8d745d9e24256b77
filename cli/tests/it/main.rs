//! The command as a real process, in one binary: a module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod command;
mod common;
mod emulator;
mod escapes;
mod files;
mod going_on;
mod ids;
mod kill;
mod lanes;
mod maximum;
mod memory;
mod mismatch;
mod output;
mod paste;
mod progress;
mod prompt;
mod runs;
mod sentences;
mod starting;
mod two_processes;
mod unreachable;
mod wording;
