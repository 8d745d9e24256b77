//! The deliberate bugs of this crate. Their list is in the core, and exists only in builds with `--cfg upstash_dlq_bugs`.

/// True if the bug of this name is switched on.
macro_rules! bug {
    ($bug:ident) => {{
        #[cfg(upstash_dlq_bugs)]
        {
            upstash_dlq_core::bugs::Bug::$bug.is_on()
        }
        #[cfg(not(upstash_dlq_bugs))]
        {
            false
        }
    }};
}

pub(crate) use bug;
