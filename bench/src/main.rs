//! `cargo run --release --manifest-path bench/Cargo.toml` measures everything and writes `bench/results/`.
//! With the name of a part, which `bench/README.md` has, it measures that one; with `--write PART` it also writes its section.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark reports by panicking")]

mod clients;
mod machine;
mod micro;
mod picture;
mod process;
mod scenarios;
mod server;
mod triage;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => server::serve(),
        ["client", kind, url, rest @ ..] => clients::run(kind, url, rest),
        [] => scenarios::all(),
        ["--write", part] => scenarios::write_part(part),
        [part] => scenarios::part(part),
        _ => panic!("give no argument, or one of micro, cpu, lanes, careful, fixed, triage, memory, startup"),
    }
}
