//! One budget of response bytes for all lanes of a client, so that many lanes do not take many times the memory.
//!
//! This is the arithmetic: who may hold how much, and who waits. How to wait, and how long, the clients know. A response over
//! [`FREE_BODY`] takes its `content-length` from the budget before its body is read, or its bound if it states no length, and gives
//! back what it did not need. It holds the rest until the core has read it. It takes once and never a second time, so no two
//! responses can wait for each other.
//!
//! An operation that holds nothing may always take, however large the response and whoever else holds something. So a response
//! larger than the whole budget only waits for the other lanes of its own operation, and an operation never waits for one that its
//! caller has put aside. The bytes that are held at once are at most the budget, and one response of each operation.
//!
//! Only requests that read wait. What may change something is never kept waiting, because a wait can end in a timeout, and nobody
//! would know what became of it. Its responses are small.

use alloc::collections::{BTreeMap, VecDeque};

/// The bytes of response bodies that all lanes of a client may hold at once, unless its builder says otherwise (64 MiB).
pub const BODY_BUDGET: usize = 64 * 1024 * 1024;

/// A response of so many bytes takes nothing from the budget (1 MiB).
pub const FREE_BODY: usize = 1024 * 1024;

/// How much room to make for a body over [`FREE_BODY`] of so many bytes.
///
/// The allocator of glibc keeps freed memory for later, for each thread, unless a block has more than 32 MiB. Such a block goes back
/// to the system at once. So there every large body gets one, of which only the part that is written takes memory. Otherwise each
/// lane's thread would keep the largest page that it has read.
pub const fn room_for(bytes: u64) -> u64 {
    const AT_ONCE: u64 = 33 * 1024 * 1024;
    if cfg!(all(target_os = "linux", target_env = "gnu")) && bytes < AT_ONCE { AT_ONCE } else { bytes }
}

/// The budget: how many bytes there are, who holds how many, and who waits for some. Of an operation's lanes, the first to wait is
/// the first to take. The caller numbers its operations; each number stands for one.
///
/// ```
/// use upstash_dlq_core::client::budget::ResponseBudget;
/// let mut budget = ResponseBudget::new(100);
/// let (first, second, other) = (budget.wait(1), budget.wait(1), budget.wait(2));
/// assert!(!budget.try_take(second, 10), "it is not its turn");
/// assert!(budget.try_take(first, 300), "its operation holds nothing");
/// assert!(!budget.try_take(second, 10), "nothing is left");
/// assert!(budget.try_take(other, 10), "its operation holds nothing");
/// budget.give_back(1, 300);
/// assert!(budget.try_take(second, 10));
/// ```
#[derive(Clone, Debug)]
pub struct ResponseBudget {
    limit: u64,
    /// What all operations hold.
    held: u64,
    /// The operations that hold something, or wait.
    operations: BTreeMap<u64, Account>,
    next: u64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    held: u64,
    /// Who waits, in order.
    waiting: VecDeque<u64>,
}

/// A place in a queue of a [`ResponseBudget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it keeps others waiting until it takes or leaves"]
pub struct Ticket {
    operation: u64,
    number: u64,
}

impl ResponseBudget {
    /// A budget of so many bytes, of which nobody holds any.
    pub fn new(limit: u64) -> Self {
        Self { limit, held: 0, operations: BTreeMap::new(), next: 0 }
    }

    /// Joins the end of the operation's queue.
    pub fn wait(&mut self, operation: u64) -> Ticket {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.operations.entry(operation).or_default().waiting.push_back(number);
        Ticket { operation, number }
    }

    /// Takes so many bytes, and leaves the queue. Returns false if others come first, or if not enough is left. Try again after every
    /// change.
    pub fn try_take(&mut self, ticket: Ticket, bytes: u64) -> bool {
        let Some(account) = self.operations.get_mut(&ticket.operation) else { return false };
        let fits = account.held == 0 || self.held.saturating_add(bytes) <= self.limit;
        if account.waiting.front() != Some(&ticket.number) || !fits {
            return false;
        }
        account.waiting.pop_front();
        self.take_at_once(ticket.operation, bytes);
        true
    }

    /// Takes so many bytes, whoever waits and whatever is left.
    pub fn take_at_once(&mut self, operation: u64, bytes: u64) {
        self.held = self.held.saturating_add(bytes);
        let account = self.operations.entry(operation).or_default();
        account.held = account.held.saturating_add(bytes);
    }

    /// Leaves the queue without taking anything. Whoever has taken has left already.
    pub fn leave(&mut self, ticket: Ticket) {
        if let Some(account) = self.operations.get_mut(&ticket.operation) {
            account.waiting.retain(|waiting| *waiting != ticket.number);
        }
        self.forget_idle(ticket.operation);
    }

    /// Gives back so many of the bytes that the operation has taken.
    pub fn give_back(&mut self, operation: u64, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
        if let Some(account) = self.operations.get_mut(&operation) {
            account.held = account.held.saturating_sub(bytes);
        }
        self.forget_idle(operation);
    }

    /// Whether a lane of the operation waits. Its further requests are then better sent later: a server may not wait with a response.
    pub fn has_queue(&self, operation: u64) -> bool {
        self.operations.get(&operation).is_some_and(|account| !account.waiting.is_empty())
    }

    fn forget_idle(&mut self, operation: u64) {
        if self.operations.get(&operation).is_some_and(|account| account.held == 0 && account.waiting.is_empty()) {
            self.operations.remove(&operation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Whatever they need and in whatever order they take, leave and give back: no more is held than there is and one response of
    /// each operation, nobody waits for nobody, and in the end everybody had what they needed.
    #[test]
    fn everybody_gets_what_they_need_and_never_more_than_there_is() {
        let mut dice = 1_u64;
        let mut dice = |below: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % below
        };
        for _ in 0..2_000 {
            let (limit, operations) = (dice(200), 1 + dice(3));
            let mut budget = ResponseBudget::new(limit);
            let mut waiting: Vec<_> = (0..1 + dice(20))
                .map(|_| {
                    let operation = dice(operations);
                    (operation, budget.wait(operation), dice(150), dice(4) == 0)
                })
                .collect();
            let (mut held, mut served) = (Vec::new(), 0);
            let expected = waiting.iter().filter(|(.., leaves)| !leaves).count();
            while !waiting.is_empty() || !held.is_empty() {
                if dice(2) == 0 && !waiting.is_empty() {
                    let at = usize::try_from(dice(waiting.len() as u64)).unwrap();
                    let (operation, ticket, need, leaves) = waiting[at];
                    if leaves {
                        budget.leave(ticket);
                        let _ = waiting.remove(at);
                    } else if budget.try_take(ticket, need) {
                        let _ = waiting.remove(at);
                        held.push((operation, need));
                        served += 1;
                    }
                } else if dice(2) == 0 && !held.is_empty() {
                    let (operation, bytes) = held.remove(usize::try_from(dice(held.len() as u64)).unwrap());
                    budget.give_back(operation, bytes);
                }
                let of =
                    |wanted| held.iter().filter(move |(operation, _)| *operation == wanted).map(|(_, bytes)| *bytes);
                let largest: u64 = (0..operations).filter_map(|operation| of(operation).max()).sum();
                let total: u64 = held.iter().map(|(_, bytes)| bytes).sum();
                assert!(total <= limit + largest && (operations > 1 || total <= limit.max(largest)));
                assert_eq!(budget.held, total);
                for operation in 0..operations {
                    let front = waiting.iter().find(|(of, ..)| *of == operation);
                    assert_eq!(budget.has_queue(operation), front.is_some());
                    if let (Some((_, ticket, need, _)), 0) = (front, of(operation).sum::<u64>()) {
                        assert!(budget.clone().try_take(*ticket, *need), "it waits for nobody of its own");
                    }
                }
            }
            assert!(served == expected && budget.operations.is_empty() && budget.held == 0);
        }
    }

    /// A ticket serves once. Whoever has left the queue, or has taken, takes nothing with it any more.
    #[test]
    fn a_ticket_serves_once() {
        let mut budget = ResponseBudget::new(10);
        let gone = budget.wait(1);
        budget.leave(gone);
        budget.leave(gone);
        budget.give_back(1, 7);
        assert!(!budget.try_take(gone, 1) && budget.held == 0, "its operation is forgotten");
        let (first, second) = (budget.wait(1), budget.wait(1));
        budget.leave(first);
        assert!(!budget.try_take(first, 1) && budget.try_take(second, 1) && !budget.try_take(second, 1));
        assert_eq!(budget.held, 1);
    }

    #[test]
    fn what_is_not_kept_waiting_lets_others_wait() {
        let mut budget = ResponseBudget::new(10);
        budget.take_at_once(1, 30);
        let ticket = budget.wait(1);
        assert!(!budget.try_take(ticket, 1));
        budget.give_back(1, 30);
        assert!(budget.try_take(ticket, 1) && !budget.has_queue(1));
    }
}
