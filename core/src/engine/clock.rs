//! The times that `poll` gets, across drivers with different clocks.

use core::time::Duration;

/// The clock of the driver. The next driver may have another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    last: Duration,
    is_new: bool,
}

/// A new clock has replaced an old one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    old: Duration,
    new: Duration,
}

impl Clock {
    /// Says that the next time comes from another clock.
    pub(crate) fn replace(&mut self) {
        self.is_new = true;
    }

    /// Takes the time. Returns how to translate earlier times if this is the first time of another clock.
    pub(crate) fn set(&mut self, now: Duration) -> Option<Change> {
        let old = core::mem::replace(&mut self.last, now);
        core::mem::take(&mut self.is_new).then_some(Change { old, new: now })
    }
}

impl Change {
    /// Translates a time: the result is as far ahead on the new clock as `time` is on the old one.
    pub(crate) fn translate(self, time: Duration) -> Duration {
        self.new.saturating_add(time.saturating_sub(self.old))
    }
}
