//! Arguments, files and the environment, turned into the core's types.

pub(crate) mod endpoint;
pub(crate) mod filters;
pub(crate) mod flag;
pub(crate) mod ids;
pub(crate) mod overrides;
pub(crate) mod selection;
pub(crate) mod time;
