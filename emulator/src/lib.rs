#![doc = include_str!("../README.md")]

mod body;
mod date;
mod fault;
mod model;
mod query;
mod random;
mod run;
pub mod sample;
mod server;

pub use fault::{Fault, FaultPlan, PROFILES, Wire};
pub use model::{Config, CursorKind, LOCAL_TOKEN, LoggedRequest, RateLimit, Service};
pub use run::Run;
pub use server::{Clock, RecordedRequest, Server, ServerOptions};
