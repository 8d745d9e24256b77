#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

pub mod checkpoint;
pub mod client;
pub mod drive;
pub mod engine;
mod job;
pub mod model;
pub mod operation;
mod plan;
pub mod selection;
pub mod wire;

pub use checkpoint::Checkpoint;
pub use drive::{Driven, Observer, drive, drive_async};
pub use engine::{Delivery, Event, Halt, Operation, Outcome, RetryPolicy, Settlement, Step, Totals, TransportFailure};
pub use model::{DlqId, DlqMessage, Endpoint, Token, UnixMillis};
pub use operation::{ArchivedDelete, BulkDelete, BulkRestart, BulkResume, Listing, SingleCall};
pub use selection::{Filter, Selection};
