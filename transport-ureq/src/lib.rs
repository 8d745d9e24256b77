#![doc = include_str!("../README.md")]

mod client;
mod failure;
mod fleet;
mod operation;
mod pages;
mod resolver;
#[cfg(feature = "tracing")]
mod trace;

pub use client::{Client, ClientBuilder, MAX_BODY};
pub use operation::Operation;
pub use pages::{Items, Pages};
pub use upstash_dlq_core as core;
