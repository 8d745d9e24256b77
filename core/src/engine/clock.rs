//! The time that `poll` is told, across drivers whose clocks differ.

use core::time::Duration;

/// The clock of whoever drives an operation. Whoever drives it next may have another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    last: Duration,
    anew: bool,
}

/// A clock has taken the place of another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    old: Duration,
    new: Duration,
}

impl Clock {
    /// The next time is of another clock.
    pub(crate) fn begin_anew(&mut self) {
        self.anew = true;
    }

    /// Takes the time. Returns how to translate earlier times, if this is the first time of another clock.
    pub(crate) fn set(&mut self, now: Duration) -> Option<Change> {
        let old = core::mem::replace(&mut self.last, now);
        core::mem::take(&mut self.anew).then_some(Change { old, new: now })
    }
}

impl Change {
    /// A time as far ahead on the new clock as `time` was on the old one.
    pub(crate) fn translate(self, time: Duration) -> Duration {
        self.new.saturating_add(time.saturating_sub(self.old))
    }
}
