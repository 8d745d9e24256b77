#![doc = include_str!("../README.md")]

mod builder;
mod bulk_request;
mod client;
mod facade;
mod failure;
mod pages;
mod proxy;
mod ready;
mod run;
mod settings;
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transport;

pub use builder::ClientBuilder;
pub use bulk_request::BulkRequest;
pub use client::Client;
pub use pages::{Items, Paged, Pages};
pub use transport::ReqwestTransport;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::{BuildError, MAX_BODY};

/// The repository's front page is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
