#![doc = include_str!("../README.md")]

mod bulk_request;
mod client;
mod facade;
mod failure;
mod pages;
mod proxy;
mod run;
#[cfg(feature = "tracing")]
mod trace;

pub use bulk_request::BulkRequest;
pub use client::{Client, ClientBuilder, MAX_BODY};
pub use pages::{Items, Paged, Pages};
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::BuildError;

/// The repository's front page is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
