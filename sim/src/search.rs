//! A bounded model check of small cases: the orders of events, with four runs (twelve where windows of time are tried: a listing,
//! and an archive by filter on two lanes), two lanes, three faults and one crash, over the real operations. They are values, so
//! their states can be cloned and hashed.
//!
//! Waits have the length zero, so time stands still. Whether a wait ends before or after another event is an order of events
//! like any other, and all of them are tried.

mod case;
mod explore;
mod node;
mod search_case;
mod service;
mod subject;

pub use case::{Case, all};
pub use explore::Found;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

/// Searches each case on all cores, up to `most` states of each. Returns what was found, in the order of the cases.
pub fn in_parallel(cases: &[Case], most: u64) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![Found::default(); cases.len()]);
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                while let Some((at, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    let one = case.search(most);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(place) = found.get_mut(at) {
                        *place = one;
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
