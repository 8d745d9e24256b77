#![doc = include_str!("../README.md")]

mod client;
mod failure;
mod fleet;
mod operation;
mod pages;
mod proxy;
#[cfg(feature = "tracing")]
mod trace;

pub use client::{BuildError, Client, ClientBuilder, MAX_BODY};
pub use operation::Operation;
pub use pages::{Items, Paged, Pages};
pub use upstash_dlq_core as core;

/// The repository's front page is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
