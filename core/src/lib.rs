#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod archive;
mod base64;
mod bulk;
mod bulk_builder;
mod call;
mod calls;
mod checkpoint;
mod cursor;
mod cycle;
mod dlq_id;
mod drive;
mod endpoint;
mod escape;
mod failure_function_state;
mod filter;
mod fingerprint;
mod last_line;
mod list;
mod message;
mod outcome;
mod overrides;
mod page;
mod pager;
mod period;
mod query;
mod response;
mod retry;
mod retry_after;
mod selection;
mod single;
mod unix_millis;
mod verb;

pub mod fuzzing;

pub use archive::{ArchiveDelete, ArchiveOutcome, ArchiveStep};
pub use bulk::{Bulk, Settlement, Unsettled};
pub use bulk_builder::{BulkBuilder, BulkDelete, BulkRestart, BulkResume};
pub use call::Call;
pub use calls::{CancelCallback, DeleteOne, GetMessage, RestartOne, ResumeOne, RetryCallback};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cursor::{Cursor, CursorError};
pub use dlq_id::DlqId;
pub use drive::{Driven, Machine, Observer, drive, drive_async};
pub use endpoint::{Endpoint, EndpointBuilder, EndpointError, Token};
pub use escape::Escaped;
pub use failure_function_state::FailureFunctionState;
pub use filter::{Filter, FilterBuilder};
pub use fingerprint::Fingerprint;
pub use last_line::LastLine;
pub use list::{List, ListPage};
pub use message::{DlqMessage, FailureCallbackInfo, MessageError};
pub use outcome::{Halt, OutOfTurn, Outcome, Totals};
pub use overrides::{FlowControl, Overrides, OverridesBuilder};
pub use page::{DeletePage, StartedPage, StartedRun};
pub use pager::{Pager, PagerEnd};
pub use period::Period;
pub use response::{ErrorBody, ResponseError};
pub use retry::{Cause, Delivery, Event, Retried, RetryPolicy, Step, TransportFailure};
pub use selection::{Ids, Selection, SelectionError};
pub use single::Single;
pub use unix_millis::UnixMillis;
pub use verb::{BulkPage, Delete, Restart, Resume, Verb};
