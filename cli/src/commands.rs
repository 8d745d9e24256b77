//! One module per command. A command takes the context and its arguments, and returns a status or an error; it never ends the
//! process.

pub(crate) mod callback;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod emulator;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod start;
pub(crate) mod stats;
