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

use crate::many::on_all_cores;
pub use case::{Case, all};
pub use explore::Found;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Searches each case on all cores, up to `most` states of each. Calls `tell` as each ends, and returns what was found, in the order
/// of the cases.
pub fn in_parallel(cases: &[Case], most: u64, tell: impl Fn(&Case, &Found) + Sync) -> Vec<Found> {
    let found = Mutex::new(vec![Found::default(); cases.len()]);
    on_all_cores(0..cases.len() as u64, |number| {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(case) = cases.get(at) {
            let one = case.search(most);
            tell(case, &one);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = found.get_mut(at) {
                *place = one;
            }
        }
        ControlFlow::Continue(())
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
