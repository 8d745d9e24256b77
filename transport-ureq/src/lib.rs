#![doc = include_str!("../README.md")]

mod client;
mod connect;
mod facade;
mod failure;
mod hooks;
mod not_sent;
mod pages;
mod prepared;
mod proxy;
mod resolver;
mod run;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;
#[cfg(feature = "tracing")]
mod trace;

pub use client::{Client, ClientBuilder, MAX_BODY};
pub use pages::{Items, Pages};
pub use prepared::Prepared;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::BuildError;
