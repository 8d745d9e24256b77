//! What delete, resume and restart share: preview, confirm, run, and report how it ended. Knows no command.

pub(crate) mod archive;
pub(crate) mod archive_file;
pub(crate) mod by_filter;
pub(crate) mod by_ids;
pub(crate) mod checkpoint_file;
pub(crate) mod confirm;
pub(crate) mod context;
pub(crate) mod dry_run;
pub(crate) mod finish;
pub(crate) mod list_then_start;
pub(crate) mod look_up;
pub(crate) mod outcome;
pub(crate) mod parts;
pub(crate) mod preview;
pub(crate) mod reporter;
pub(crate) mod settle;
