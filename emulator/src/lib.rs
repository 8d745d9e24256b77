#![doc = include_str!("../README.md")]

mod access;
mod body;
mod config;
pub mod conformance;
mod date;
mod failure;
mod fault;
mod handle;
mod load;
mod model;
mod operations;
mod overrides;
mod query;
mod random;
mod response;
mod route;
mod run;
pub mod sample;
mod server;
mod started;

pub use config::{Config, CursorKind, Ignored, LOCAL_TOKEN, RateLimit};
pub use fault::{Fault, FaultPlan, PROFILES, Wire};
pub use load::{LoadError, load};
pub use model::{LoggedRequest, Service};
pub use run::{FailureCallbackInfo, Run};
pub use server::{Clock, RecordedRequest, Server, ServerOptions};
pub use started::{Started, StartedBy};
