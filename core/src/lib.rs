#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod bulk;
mod call;
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
mod list;
mod message;
mod page;
mod pager;
mod query;
mod response;
mod retry;
mod retry_after;
mod selection;
mod unix_millis;

pub mod fuzzing;

pub use bulk::{Bulk, BulkDelete, Halt, OutOfTurn, Outcome, Totals};
pub use call::Call;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cursor::{Cursor, CursorError};
pub use dlq_id::DlqId;
pub use drive::{Driven, Machine, Observer, drive, drive_async};
pub use endpoint::{Endpoint, EndpointBuilder, EndpointError, Token};
pub use escape::Escaped;
pub use failure_function_state::FailureFunctionState;
pub use filter::{Filter, FilterBuilder};
pub use fingerprint::Fingerprint;
pub use list::{List, ListPage};
pub use message::DlqMessage;
pub use page::DeletePage;
pub use pager::{Pager, PagerEnd};
pub use response::{ErrorBody, ResponseError};
pub use retry::{Cause, Delivery, Event, Retried, RetryPolicy, Step, TransportFailure};
pub use selection::{Ids, Selection, SelectionError};
pub use unix_millis::UnixMillis;
