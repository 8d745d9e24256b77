//! The life of a process, which its disk, its network and its client share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a process still runs. A dead one changes nothing any more, whatever its code goes on to do.
#[derive(Clone, Debug)]
pub(crate) struct Life(Arc<AtomicBool>);

impl Life {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
