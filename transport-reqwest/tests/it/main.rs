//! The async transport, in one binary: the suite that both transports pass, and a module for each subject of its own.
//!
//! Apart from it stand `tls`, which is run with each set of features, and `tracing`, which needs a feature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

#[macro_use]
#[path = "../../../transport-ureq/tests/it/suite/mod.rs"]
mod suite;

mod conformance;
mod driver;
mod dropped;
mod drops;
mod ends;
mod must_use;
mod observer;
mod own_client;
mod own_transport;
mod prepared;
mod stores;
mod streams;
mod support;

suite!(driver::Reqwest<driver::Ours>);
