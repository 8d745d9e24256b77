#![doc = include_str!("../README.md")]

mod access;
mod body;
mod date;
mod fault;
mod load;
mod model;
mod operations;
mod overrides;
mod query;
mod random;
mod route;
mod run;
pub mod sample;
mod server;

pub use fault::{Fault, FaultPlan, PROFILES, Wire};
pub use load::{LoadError, load};
pub use model::{Config, CursorKind, Ignored, LOCAL_TOKEN, LoggedRequest, RateLimit, Service};
pub use operations::{Started, StartedVerb};
pub use run::{FailureCallbackInfo, Run};
pub use server::{Clock, RecordedRequest, Server, ServerOptions};
