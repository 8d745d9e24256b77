//! Whole histories of upstash-dlq from one seed: the real core, the real async driver and the real files of the store, over a
//! simulated disk and a simulated network, in virtual time.
//!
//! ```text
//! seed -> draw -> Schedule (items) -> history -> client (processes) -> upstash-dlq-reqwest -> network -> emulator's Service
//!                                        |           |                                         |
//!                                        |           +-> upstash-dlq-store -> disk             +-> world: what really happened
//!                                        +-> promises: what the library claims, held against the world
//! ```
//!
//! A schedule is a list of items, and each can be left out. So a failing one is shrunk by leaving out items, and one command
//! replays what is left. To add an operation, add it to `schedule::Work`, to `draw`, and a file to `client`.

#[cfg(upstash_dlq_bugs)]
pub mod bugs;
mod client;
mod disk;
mod draw;
mod history;
mod many;
mod network;
mod population;
mod promises;
mod random;
mod refinement;
mod schedule;
pub mod search;
mod selection;
mod service;
mod shrink;
mod trace;
mod world;

pub use draw::DRAW;
pub use history::{Report, run};
pub use many::{Summary, current_seed, run_many};
pub use schedule::Schedule;
pub use shrink::{replay_command, shrink};

/// The repository's front page is a test, too. It stands here because no package holds that page for its library.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
