//! Operations that can be taken page by page, or item by item.

use crate::engine::halt::Halt;
use crate::engine::operation::Operation;
use crate::model::message::DlqMessage;
use crate::operation::archived_delete::ArchivedDelete;
use crate::operation::bulk::Bulk;
use crate::operation::get_many::GetMany;
use crate::operation::listing::Listing;
use crate::operation::outcome::Outcome;
use crate::plan::archive::{ArchiveOutcome, ArchivePage};
use crate::plan::fetches::{Fetched, GetManyOutcome};
use crate::plan::listing_windows::ListingOutcome;
use crate::wire::bulk::{BulkOperation, StartOperation};
use crate::wire::list::ListPage;
use crate::wire::page::{StartedPage, StartedRun};
use alloc::vec::Vec;

/// An operation whose pages can be taken one after another. No other crate can implement it.
pub trait Paged: sealed::Sealed + Operation<Page: Clone + Send, Outcome: Clone + Send> + Send {
    /// Why the operation was not completed. `None` if it was.
    fn halted(outcome: &Self::Outcome) -> Option<&Halt>;
}

/// An operation whose pages hold items: listed runs, started runs, fetched runs, or runs that were archived and are deleted.
pub trait Itemized: Paged {
    /// One item.
    type Item;

    /// The items of a page.
    fn items(page: Self::Page) -> Vec<Self::Item>;
}

macro_rules! paged {
    ([$($generics:tt)*] $operation:ty, $outcome:ty) => {
        impl<$($generics)*> sealed::Sealed for $operation {}
        impl<$($generics)*> Paged for $operation {
            fn halted(outcome: &$outcome) -> Option<&Halt> {
                outcome.halted.as_ref()
            }
        }
    };
}

paged!([O: BulkOperation] Bulk<O>, Outcome);
paged!([] ArchivedDelete, ArchiveOutcome);
paged!([] Listing, ListingOutcome);
paged!([] GetMany, GetManyOutcome);

impl Itemized for Listing {
    type Item = DlqMessage;

    fn items(page: ListPage) -> Vec<DlqMessage> {
        page.messages
    }
}

impl Itemized for GetMany {
    type Item = Fetched;

    fn items(page: Fetched) -> Vec<Fetched> {
        alloc::vec![page]
    }
}

impl Itemized for ArchivedDelete {
    type Item = DlqMessage;

    fn items(page: ArchivePage) -> Vec<DlqMessage> {
        page.batch.map(|batch| batch.messages).unwrap_or_default()
    }
}

impl<O: StartOperation> Itemized for Bulk<O> {
    type Item = StartedRun;

    fn items(page: StartedPage) -> Vec<StartedRun> {
        page.started
    }
}

mod sealed {
    pub trait Sealed {}
}
