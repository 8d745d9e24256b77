#![doc = include_str!("../README.md")]

mod client;
mod connect;
mod failure;
mod fleet;
mod not_sent;
mod operation;
mod pages;
mod proxy;
mod resolver;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;
#[cfg(feature = "tracing")]
mod trace;

pub use client::{BuildError, Client, ClientBuilder, MAX_BODY};
pub use operation::Operation;
pub use pages::{Items, Pages};
pub use upstash_dlq_core as core;
