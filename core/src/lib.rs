#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

pub mod engine;
pub mod model;
pub mod selection;
pub mod wire;

mod archive;
mod bulk;
mod bulk_builder;
mod checkpoint;
mod drive;
mod fleet;
mod fleet_checkpoint;
mod fleet_windows;
mod lanes;
mod list_fleet;
mod pager;
mod pagers;
mod single;

pub use archive::{ArchiveDelete, ArchiveOutcome, ArchiveStep};
pub use bulk::{Bulk, Settlement, Unsettled};
pub use bulk_builder::{BulkBuilder, BulkDelete, BulkRestart, BulkResume};
pub use checkpoint::{Checkpoint, CheckpointError, Fingerprint, FingerprintOfMany};
pub use drive::{Driven, Machine, Observer, drive, drive_async};
pub use engine::{
    Cause, Delivery, Event, Halt, OutOfTurn, Outcome, Retried, RetryPolicy, Step, Totals, TransportFailure,
};
pub use fleet::Fleet;
pub use fleet_checkpoint::FleetCheckpoint;
pub use lanes::{FleetObserver, FleetStep, LaneId, Lanes};
pub use list_fleet::{ListFleet, ListOutcome};
pub use model::{
    Cursor, CursorError, DlqId, DlqMessage, Endpoint, EndpointBuilder, EndpointError, Escaped, FailureCallbackInfo,
    FailureFunctionState, MessageError, Period, SelectionError, Token, UnixMillis,
};
pub use pager::{Pager, PagerEnd};
pub use selection::{Filter, FilterBuilder, Ids, Match, RelativeTimes, Selection, Shard};
pub use single::Single;
pub use wire::{
    BulkPage, Call, CancelCallback, Delete, DeleteOne, DeletePage, ErrorBody, FlowControl, GetMessage, List, ListPage,
    Overrides, OverridesBuilder, ResponseError, Restart, RestartOne, Resume, ResumeOne, RetryCallback, StartedPage,
    StartedRun, Verb,
};
