//! Turns arguments, files and the environment into the core's types. Sends nothing, and asks nobody.

pub(crate) mod endpoint;
pub(crate) mod filters;
pub(crate) mod flag;
pub(crate) mod ids;
pub(crate) mod overrides;
pub(crate) mod refinement;
pub(crate) mod selection;
pub(crate) mod time;
