//! Waits for the client's budget of response bytes, and gives back what was taken.

use http::Request;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use upstash_dlq_core::client::budget::ResponseBudget;

/// The budget of a transport. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budget: Mutex<ResponseBudget>,
    changed: Condvar,
}

/// The operation that a request belongs to, noted in the request. What belongs to none is one of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperationNumber(u64);

impl OperationNumber {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_else(Self::new)
    }
}

/// Bytes that a response holds, noted in the response. They are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    operation: OperationNumber,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let budget = ResponseBudget::new(u64::try_from(bytes).unwrap_or(u64::MAX));
        Self(Arc::new(Shared { budget: Mutex::new(budget), changed: Condvar::new() }))
    }

    /// Waits until no lane of the operation waits for bytes. A request that reads is not sent before: its time would run while it
    /// waits.
    pub(crate) fn wait_for_queue(&self, operation: OperationNumber) {
        let waited = self.0.changed.wait_while(self.lock(), |budget| budget.has_queue(operation.0));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes so many bytes. `None` if they were not there before the deadline.
    pub(crate) fn take(&self, operation: OperationNumber, bytes: u64, deadline: Option<Instant>) -> Option<Held> {
        let mut budget = self.lock();
        let ticket = budget.wait(operation.0);
        loop {
            if budget.try_take(ticket, bytes) {
                drop(budget);
                self.0.changed.notify_all();
                return Some(Held { budget: self.clone(), operation, bytes });
            }
            budget = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.0.changed.wait(budget).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => {
                    budget.leave(ticket);
                    drop(budget);
                    self.0.changed.notify_all();
                    return None;
                }
                Some(left) => self.0.changed.wait_timeout(budget, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Takes so many bytes, whoever waits.
    pub(crate) fn take_at_once(&self, operation: OperationNumber, bytes: u64) -> Held {
        self.lock().take_at_once(operation.0, bytes);
        Held { budget: self.clone(), operation, bytes }
    }

    fn lock(&self) -> MutexGuard<'_, ResponseBudget> {
        // Nothing panics while it is locked.
        self.0.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Gives back all but so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let needed = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.bytes);
        let spare = std::mem::replace(&mut self.bytes, needed) - needed;
        self.budget.lock().give_back(self.operation.0, spare);
        self.budget.0.changed.notify_all();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.lock().give_back(self.operation.0, self.bytes);
        self.budget.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// The present: whoever has to wait has no time.
    fn now() -> Option<Instant> {
        Some(Instant::now())
    }

    #[test]
    fn what_is_dropped_gives_back_and_a_deadline_ends_the_wait() {
        let (budget, one, other) = (Budget::new(100), OperationNumber::new(), OperationNumber::new());
        let mut held = budget.take(one, 100, now()).unwrap();
        assert!(budget.take(one, 60, now()).is_none());
        // Whoever has waited in vain has left, and another operation that holds nothing waits for nobody.
        budget.wait_for_queue(one);
        drop(budget.take(other, 1_000, now()).unwrap());
        held.shrink_to(40);
        let second = budget.take(one, 60, now()).unwrap();
        assert!(budget.take(one, 1, now()).is_none(), "nothing is left");
        drop(held);
        drop(budget.take(one, 40, now()).unwrap());
        drop(second);
        drop(budget.take_at_once(one, 500));
        drop(budget.take(one, 100, now()).unwrap());
    }

    #[test]
    fn whoever_waits_is_woken() {
        let (budget, one) = (Budget::new(10), OperationNumber::new());
        let held = budget.take_at_once(one, 30);
        let (sender, taken) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (budget, sender) = (budget.clone(), sender.clone());
                scope.spawn(move || {
                    budget.wait_for_queue(one);
                    let held = budget.take(one, 10, None);
                    sender.send(held.is_some()).unwrap();
                });
            }
            drop(held);
            for _ in 0..4 {
                assert!(taken.recv_timeout(Duration::from_secs(60)).unwrap());
            }
        });
    }
}
