//! The core's types, turned into what people and programs read.

pub(crate) mod failure;
pub(crate) mod progress;
pub(crate) mod progress_line;
pub(crate) mod report;
pub(crate) mod suggestion;
pub(crate) mod table;
pub(crate) mod tally;
pub(crate) mod terminal;
pub(crate) mod tty;
pub(crate) mod wording;
