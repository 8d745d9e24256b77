//! The clients of a history. Each kind of work is a file; what all have in common is in `chain` and `context`.

mod archive;
mod bulk;
mod chain;
mod context;
mod end;
mod held;
mod listing;
mod person;
mod refined;
mod start_listed;

pub(crate) use chain::Chain;
pub(crate) use end::{Claim, End};
