//! The lanes of a scheduler, as its plan may see and change them.

use crate::engine::exchange::Exchange;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(crate) struct Lane<J> {
    pub(crate) job: J,
    pub(crate) exchange: Exchange,
}

/// All lanes. A plan can look at lanes with a request in flight, but must not change them.
#[derive(Debug)]
pub(crate) struct Lanes<'a, J> {
    pub(crate) slots: &'a mut [Option<Lane<J>>],
    /// How many lanes may be open.
    pub(crate) limit: usize,
    pub(crate) open: usize,
    /// Gets the lanes that are closed here.
    pub(crate) closed: &'a mut Vec<usize>,
}

impl<J> Lanes<'_, J> {
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &J> {
        self.slots.iter().flatten().map(|lane| &lane.job)
    }

    /// The jobs of lanes whose last response was a page and whose next request is not sent yet.
    pub(crate) fn at_page_boundary(&mut self) -> impl Iterator<Item = &mut J> {
        let idle = self.slots.iter_mut().flatten().filter(|lane| lane.exchange.is_at_page_boundary());
        idle.map(|lane| &mut lane.job)
    }

    /// Closes the lanes with such a job and without a request in flight. The rest of their jobs is not done. Returns how many
    /// there were.
    pub(crate) fn close_idle_if(&mut self, is_wanted: impl Fn(&J) -> bool) -> usize {
        let mut count = 0;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if slot.take_if(|lane| lane.exchange.asked().is_none() && is_wanted(&lane.job)).is_some() {
                self.closed.push(at);
                self.open = self.open.saturating_sub(1);
                count += 1;
            }
        }
        count
    }
}
