#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | to … | take |
//! |---|---|
//! | delete, resume or restart by ids, by filter, or everything | [`BulkDelete`], [`BulkResume`], [`BulkRestart`] |
//! | say which runs | [`Selection`], [`Filter`], and the rest of [`selection`] |
//! | say which runs by what the service cannot filter by: a response status, a failure's signature, a text in the error | [`selection::Refinement`], [`selection::Refined`] |
//! | set lanes, a maximum, a rate, retries | [`operation::BulkBuilder`], [`operation::ListingBuilder`] |
//! | delete only what has been archived first | [`ArchivedDelete`] |
//! | list, or count on many lanes | [`Listing`] |
//! | get, delete, resume or restart one run, or its failure callback | [`SingleCall`], and the calls in [`wire`] |
//! | drive an operation | [`drive()`], [`drive_async`], [`Observer`]; with many connections, `next_step` and `report` in [`mod@drive`] |
//! | see the states of a request | [`Operation`](Operation#states) |
//! | know how it ended | [`Outcome`], [`Totals`], [`Halt`] |
//! | continue in another process | [`Checkpoint`], [`operation::BulkBuilder::resume_from`], [`checkpoint`] |
//! | settle a start whose response was lost | [`Halt::InDoubt`], [`operation::Bulk::settle`], [`Settlement`] |
//! | read ids, times and messages | [`model`] |
#![no_std]

extern crate alloc;

#[cfg(not(upstash_dlq_bugs))]
mod bugs;
#[cfg(upstash_dlq_bugs)]
pub mod bugs;
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
pub use engine::{Delivery, Event, Halt, Operation, RetryPolicy, Settlement, Step, Totals, TransportFailure};
pub use http;
pub use model::{DlqId, DlqMessage, Endpoint, Token, UnixMillis};
pub use operation::{ArchivedDelete, BulkDelete, BulkRestart, BulkResume, GetMany, Listing, SingleCall};
pub use operation::{Completed, Incomplete, Outcome};
pub use selection::{Filter, Ids, Selection};
pub use wire::List;
