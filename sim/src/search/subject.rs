//! The operations that are searched. To add one, implement [`Subject`] for it, and add it to `case` and `search_case`.

use crate::search::case::Case;
use crate::search::service::{Asked, Runs, created_at, is_red, long_id_of, run_of, status_of};
use std::fmt::Debug;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;
use upstash_dlq_core::engine::InvalidState;
use upstash_dlq_core::operation::{ArchivePage, Bulk, BulkBuilder, InDoubt, OperationBuilder};
use upstash_dlq_core::selection::{Ids, Refined, Refinement};
use upstash_dlq_core::wire::{BulkOperation, Call, Delete, ListPage, Resume};
use upstash_dlq_core::{
    ArchivedDelete, Checkpoint, DlqMessage, Endpoint, Filter, Halt, List, Listing, Operation, RetryPolicy, Selection,
    Settlement, Token, UnixMillis,
};

/// The status that a refinement asks for.
const WANTED: u16 = 500;

/// What an operation claims at its end.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) halt: Option<Halt>,
    pub(crate) is_verified: bool,
}

/// A request in doubt, as a person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    Ids(Vec<usize>),
    Cursor(Option<String>),
}

/// An operation that can be searched.
pub(crate) trait Subject: Operation + Clone + Debug {
    /// Whether what it deletes must be stored first.
    const IS_ARCHIVED: bool = false;
    /// Whether it starts runs.
    const STARTS: bool = false;
    /// Whether it lists.
    const LISTS: bool = false;

    fn build(case: &Case) -> Self;

    fn claim(outcome: &Self::Outcome) -> Claim;

    /// What a later process finds in a file. `None` if this operation keeps no checkpoint.
    fn checkpoint(&self) -> Option<String> {
        None
    }

    fn resume(_case: &Case, _checkpoint: &str) -> Option<Self> {
        None
    }

    /// The runs that a page hands over.
    fn shown(_page: &Self::Page) -> Vec<usize> {
        Vec::new()
    }

    /// A batch that is to be stored, and its runs.
    fn batch(_page: &Self::Page) -> Option<(u64, Runs)> {
        None
    }

    fn stored(&mut self, _number: u64) -> Result<(), InvalidState> {
        Err(InvalidState)
    }

    fn not_stored(&mut self, _number: u64) -> Result<(), InvalidState> {
        Err(InvalidState)
    }

    fn doubt(&self) -> Option<Doubt> {
        None
    }

    fn settle(&mut self, _settlement: Settlement) {}
}

fn endpoint() -> Endpoint {
    let token = Token::new("t").unwrap_or_else(|_| unreachable!("it is valid"));
    Endpoint::new("https://s.invalid", token).unwrap_or_else(|_| unreachable!("it is valid"))
}

fn policy() -> RetryPolicy {
    RetryPolicy::default()
        .max_attempts(NonZeroU32::MIN.saturating_add(2))
        .base(Duration::ZERO)
        .max_backoff(Duration::ZERO)
        .max_wait(Duration::from_secs(1))
}

impl Case {
    pub(crate) fn wants(&self, run: usize) -> bool {
        (!self.by_filter || is_red(run, self.runs)) && (!self.refined || status_of(run) == WANTED)
    }

    fn selection(&self) -> Selection {
        let everything = Selection::Everything;
        if self.by_ids {
            return Ids::parse((0..self.runs).map(long_id_of)).map_or(everything, Selection::Ids);
        }
        let filter = Filter::builder().label("red").build().ok().filter(|_| self.by_filter);
        if self.refined {
            let refinement = Refinement::builder().status(WANTED).build();
            return refinement.map_or(everything, |status| Selection::Refined(Refined::new(filter, status)));
        }
        if let Some(filter) = filter {
            return Selection::Filter(filter);
        }
        everything
    }

    fn now(&self) -> UnixMillis {
        UnixMillis::new(created_at(self.runs))
    }

    fn lanes(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.lanes).unwrap_or(NonZeroUsize::MIN)
    }

    fn bulk<O: BulkOperation>(&self) -> BulkBuilder<O> {
        Bulk::<O>::builder(endpoint(), self.selection())
            .page_size(NonZeroU32::MIN)
            .max(self.max.and_then(NonZeroU64::new))
            .lanes(self.lanes(), self.now())
            .retry(policy(), 0)
    }
}

fn index_of(message: &DlqMessage) -> Option<usize> {
    message.dlq_id().and_then(|id| run_of(id.as_str()))
}

macro_rules! bulk {
    ($operation:ty, starts: $starts:literal) => {
        impl Subject for Bulk<$operation> {
            const STARTS: bool = $starts;

            fn build(case: &Case) -> Self {
                case.bulk().build()
            }

            fn claim(outcome: &Self::Outcome) -> Claim {
                Claim { halt: outcome.halted.clone(), is_verified: outcome.verified }
            }

            fn checkpoint(&self) -> Option<String> {
                Some(self.checkpoint().to_json())
            }

            fn resume(case: &Case, checkpoint: &str) -> Option<Self> {
                case.bulk().resume_from(Checkpoint::from_json(checkpoint).ok()?).ok()
            }

            fn doubt(&self) -> Option<Doubt> {
                Some(match self.in_doubt()? {
                    InDoubt::Ids(ids) => Doubt::Ids(ids.iter().filter_map(|id| run_of(id.as_str())).collect()),
                    InDoubt::Listing(list) => Doubt::Cursor(Asked::read(&list.to_request(&endpoint()).ok()?).cursor),
                })
            }

            fn settle(&mut self, settlement: Settlement) {
                // The caller has seen that a request is in doubt.
                let _ = Bulk::settle(self, settlement);
            }
        }
    };
}

bulk!(Delete, starts: false);
bulk!(Resume, starts: true);

impl Subject for ArchivedDelete {
    const IS_ARCHIVED: bool = true;

    fn build(case: &Case) -> Self {
        case.bulk::<Delete>().build_archived()
    }

    fn claim(outcome: &Self::Outcome) -> Claim {
        Claim { halt: outcome.halted.clone(), is_verified: outcome.verified }
    }

    fn batch(page: &ArchivePage) -> Option<(u64, Runs)> {
        let batch = page.batch.as_ref()?;
        let mut runs = Runs::default();
        batch.messages.iter().filter_map(index_of).for_each(|run| runs.add(run));
        Some((batch.number, runs))
    }

    fn stored(&mut self, number: u64) -> Result<(), InvalidState> {
        ArchivedDelete::stored(self, number)
    }

    fn not_stored(&mut self, number: u64) -> Result<(), InvalidState> {
        ArchivedDelete::not_stored(self, number)
    }
}

impl Subject for Listing {
    const LISTS: bool = true;

    fn build(case: &Case) -> Self {
        let list = List::for_selection(&case.selection());
        let builder = Listing::builder(endpoint(), list.page_size(1));
        OperationBuilder::lanes(builder, case.lanes(), case.now()).retry(policy(), 0).build()
    }

    fn claim(outcome: &Self::Outcome) -> Claim {
        Claim { halt: outcome.halted.clone(), is_verified: false }
    }

    fn shown(page: &ListPage) -> Vec<usize> {
        page.messages.iter().filter_map(index_of).collect()
    }
}
