//! Turns the core's types into what people and programs read. Knows no command, and drives nothing.

pub(crate) mod causes;
pub(crate) mod failure;
pub(crate) mod newest;
pub(crate) mod progress;
pub(crate) mod progress_bar;
pub(crate) mod question;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod speed;
pub(crate) mod suggestion;
pub(crate) mod table;
pub(crate) mod tally;
pub(crate) mod terminal;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod wording;
