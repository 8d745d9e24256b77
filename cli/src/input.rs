//! Arguments, files and the environment, turned into the core's types.

pub(crate) mod ids;
pub(crate) mod selection;
pub(crate) mod time;
