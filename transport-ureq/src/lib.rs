#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod budget;
mod builder;
mod client;
mod connect;
mod connection;
mod facade;
mod failure;
mod hooks;
mod not_sent;
mod pages;
mod prepared;
mod proxy;
mod resolver;
mod run;
mod settings;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;
#[cfg_attr(not(feature = "tracing"), path = "untraced.rs")]
mod trace;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use pages::{Items, Pages};
pub use prepared::Prepared;
pub use transport::UreqTransport;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::{BuildError, MAX_BODY};
