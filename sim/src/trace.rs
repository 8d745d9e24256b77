//! What happened, line by line, for people. It costs nothing unless somebody wants to read it.

use std::sync::{Arc, Mutex, PoisonError};

/// Collects lines, or nothing. Clones write to the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Option<Arc<Mutex<Vec<String>>>>);

impl Trace {
    pub(crate) fn new(is_wanted: bool) -> Self {
        Self(is_wanted.then(Arc::default))
    }

    pub(crate) fn add(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.0 {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line());
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        let take = |lines: &Arc<Mutex<Vec<String>>>| {
            std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.0.as_ref().map(take).unwrap_or_default()
    }
}
