//! Awaits the client's budget of response bytes, and gives back what was taken. Every future here may be dropped at any await.

use http::Request;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use upstash_dlq_core::client::budget::{ResponseBudget, Ticket};

/// The budget of a transport. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    budget: Mutex<ResponseBudget>,
    changed: Notify,
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

/// A place in the queue, which is left when this is dropped.
struct Place<'a> {
    budget: &'a Budget,
    ticket: Ticket,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let budget = ResponseBudget::new(u64::try_from(bytes).unwrap_or(u64::MAX));
        Self(Arc::new(Shared { budget: Mutex::new(budget), changed: Notify::new() }))
    }

    /// Waits until no lane of the operation waits for bytes. A request that reads is not sent before: its time would run while it
    /// waits.
    pub(crate) async fn wait_for_queue(&self, operation: OperationNumber) {
        self.until(|budget| !budget.has_queue(operation.0)).await;
    }

    /// Takes so many bytes once they are there.
    pub(crate) async fn take(&self, operation: OperationNumber, bytes: u64) -> Held {
        let ticket = self.lock().wait(operation.0);
        let place = Place { budget: self, ticket };
        self.until(|budget| budget.try_take(ticket, bytes)).await;
        let held = Held { budget: self.clone(), operation, bytes };
        drop(place);
        held
    }

    /// Takes so many bytes, whoever waits.
    pub(crate) fn take_at_once(&self, operation: OperationNumber, bytes: u64) -> Held {
        self.lock().take_at_once(operation.0, bytes);
        Held { budget: self.clone(), operation, bytes }
    }

    async fn until(&self, mut is_so: impl FnMut(&mut ResponseBudget) -> bool) {
        loop {
            // It hears of every change from here on.
            let changed = self.0.changed.notified();
            if is_so(&mut self.lock()) {
                return;
            }
            changed.await;
        }
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
        self.budget.0.changed.notify_waiters();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.lock().give_back(self.operation.0, self.bytes);
        self.budget.0.changed.notify_waiters();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Whoever has taken has left already. The next may be at the front now.
        self.budget.lock().leave(self.ticket);
        self.budget.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::pin;

    #[test]
    fn what_is_dropped_gives_back_and_waits_no_more() {
        let (budget, one, other) = (Budget::new(100), OperationNumber::new(), OperationNumber::new());
        let mut held = budget.take(one, 100).now_or_never().unwrap();
        let mut second = pin!(budget.take(one, 60));
        let third = Box::pin(budget.take(one, 60));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = third;
        assert!(third.as_mut().now_or_never().is_none());
        assert!(budget.wait_for_queue(one).now_or_never().is_none());
        // Another operation that holds nothing waits for nobody.
        assert!(budget.wait_for_queue(other).now_or_never().is_some());
        drop(budget.take(other, 1_000).now_or_never().unwrap());
        held.shrink_to(40);
        let second = second.now_or_never().unwrap();
        assert!(third.as_mut().now_or_never().is_none(), "nothing is left");
        // Whoever is dropped while it waits leaves no gap in the queue.
        let mut fourth = pin!(budget.take(one, 60));
        assert!(fourth.as_mut().now_or_never().is_none());
        drop(third);
        drop(held);
        assert!(fourth.as_mut().now_or_never().is_none(), "the second holds 60");
        drop(second);
        drop(fourth.now_or_never().unwrap());
        assert!(budget.wait_for_queue(one).now_or_never().is_some());
    }

    #[test]
    fn what_is_not_kept_waiting_is_counted() {
        let (budget, one) = (Budget::new(10), OperationNumber::new());
        let held = budget.take_at_once(one, 30);
        let mut waiting = pin!(budget.take(one, 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        assert!(waiting.now_or_never().is_some());
    }
}
