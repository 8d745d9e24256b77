//! Which lanes an operation has, and when it is done.
//!
//! Floor 5: a plan knows the jobs of its lanes, but not who sends their requests.

pub(crate) mod archive;
pub(crate) mod batches;
pub(crate) mod budget;
pub(crate) mod chosen;
pub(crate) mod cut;
mod density;
pub(crate) mod fetches;
pub(crate) mod listing_windows;
pub(crate) mod once;
