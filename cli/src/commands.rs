//! One module a command: what it does with its arguments, from first to last.

pub(crate) mod callback;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod emulator;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod restart;
pub(crate) mod stats;
