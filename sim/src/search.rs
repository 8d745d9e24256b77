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
