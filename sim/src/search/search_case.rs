//! Searches one case: its operation, from its beginning.

use crate::search::case::{Case, Operation};
use crate::search::explore::{Found, explore};
use crate::search::node::Node;
use crate::search::subject::Subject;
use upstash_dlq_core::{ArchivedDelete, BulkDelete, BulkResume, Listing};

impl Case {
    /// Visits every state, or as many as `most`.
    pub fn search(&self, most: u64) -> Found {
        match self.operation {
            Operation::Delete => search::<BulkDelete>(self, most),
            Operation::Resume => search::<BulkResume>(self, most),
            Operation::Archive => search::<ArchivedDelete>(self, most),
            Operation::List => search::<Listing>(self, most),
        }
    }
}

fn search<S: Subject>(case: &Case, most: u64) -> Found {
    explore(Node::<S>::new(case.clone()), most)
}
