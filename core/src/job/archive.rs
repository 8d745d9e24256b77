//! The three kinds of requests that an archived delete makes: list, fetch and delete.

use crate::engine::job::{Job, Next, Repeat};
use crate::job::batch::BatchJob;
use crate::job::fetch::FetchJob;
use crate::job::list::ListJob;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::wire::bulk::Delete;
use crate::wire::error::ResponseError;
use crate::wire::list::ListPage;
use crate::wire::page::DeletePage;
use alloc::boxed::Box;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) enum ArchiveJob {
    List(Box<ListJob>),
    Fetch(FetchJob),
    Delete(BatchJob<Delete>),
}

#[derive(Debug)]
pub(crate) enum ArchivePart {
    Listed(ListPage),
    /// `None` if the run is not in the DLQ.
    Fetched(Option<DlqMessage>),
    Deleted(DeletePage),
}

impl Job for ArchiveJob {
    type Page = ArchivePart;

    fn request(&self, endpoint: &Endpoint, asked: u64) -> Result<Request<()>, http::Error> {
        match self {
            Self::List(job) => job.request(endpoint, asked),
            Self::Fetch(job) => job.request(endpoint, asked),
            Self::Delete(job) => job.request(endpoint, asked),
        }
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<ArchivePart, ResponseError> {
        match self {
            Self::List(job) => job.parse(response).map(ArchivePart::Listed),
            Self::Fetch(job) => job.parse(response).map(ArchivePart::Fetched),
            Self::Delete(job) => job.parse(response).map(ArchivePart::Deleted),
        }
    }

    fn on_page(&mut self, page: &ArchivePart) -> Next {
        match (self, page) {
            (Self::List(job), ArchivePart::Listed(page)) => job.on_page(page),
            _ => Next::Finished,
        }
    }

    fn repeat(&self) -> Repeat {
        match self {
            Self::List(_) | Self::Fetch(_) => Repeat::Reads,
            Self::Delete(_) => Repeat::Harmless,
        }
    }

    fn affected(page: &ArchivePart) -> u64 {
        match page {
            ArchivePart::Deleted(page) => page.deleted,
            ArchivePart::Listed(_) | ArchivePart::Fetched(_) => 0,
        }
    }
}
