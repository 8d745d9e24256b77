#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocking;
mod budget;
mod bugs;
mod builder;
mod client;
mod driver;
mod facade;
mod failure;
mod pages;
mod prepared;
mod proxy;
mod ready;
mod run;
mod running;
mod settings;
mod storage;
mod timer;
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transport;

pub use blocking::Blocking;
pub use builder::ClientBuilder;
pub use client::Client;
pub use pages::{Items, Pages};
pub use prepared::Prepared;
pub use transport::ReqwestTransport;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::{BuildError, MAX_BODY};

/// The repository's front page is a test, too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
