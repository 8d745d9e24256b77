//! The three kinds of requests of an operation that acts only on runs it has looked at: list, fetch and act.

use crate::engine::job::{Job, Next, Repeat};
use crate::engine::oversized::Oversized;
use crate::job::batch::BatchJob;
use crate::job::fetch::FetchJob;
use crate::job::list::ListJob;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::wire::bulk::{BulkOperation, BulkPage};
use crate::wire::error::ResponseError;
use crate::wire::list::ListPage;
use alloc::boxed::Box;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) enum ChosenJob<O> {
    List(Box<ListJob>),
    Fetch(FetchJob),
    /// A request for runs of the batch with this number.
    Act(u64, BatchJob<O>),
}

#[derive(Debug)]
pub(crate) enum ChosenPart<O: BulkOperation> {
    Listed(ListPage),
    /// `None` if the run is not in the DLQ.
    Fetched(Option<DlqMessage>),
    Acted(O::Page),
}

impl<O: BulkOperation> ChosenJob<O> {
    /// The ids of a request that acts on runs. None for one that only looks.
    pub(crate) fn ids(&self) -> &[DlqId] {
        match self {
            Self::Act(_, job) => job.ids(),
            Self::List(_) | Self::Fetch(_) => &[],
        }
    }
}

impl<O> ChosenJob<O> {
    pub(crate) fn listing(&self) -> Option<&ListJob> {
        match self {
            Self::List(job) => Some(job),
            Self::Fetch(_) | Self::Act(..) => None,
        }
    }

    pub(crate) fn listing_mut(&mut self) -> Option<&mut ListJob> {
        match self {
            Self::List(job) => Some(job),
            Self::Fetch(_) | Self::Act(..) => None,
        }
    }
}

impl<O: BulkOperation> Job for ChosenJob<O> {
    type Page = ChosenPart<O>;

    fn asks(&self, allowance: Option<u64>) -> u64 {
        match self {
            Self::Act(_, job) => job.asks(allowance),
            Self::List(_) | Self::Fetch(_) => 0,
        }
    }

    fn request(&self, endpoint: &Endpoint, asked: u64) -> Result<Request<()>, http::Error> {
        match self {
            Self::List(job) => job.request(endpoint, asked),
            Self::Fetch(job) => job.request(endpoint, asked),
            Self::Act(_, job) => job.request(endpoint, asked),
        }
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<ChosenPart<O>, ResponseError> {
        match self {
            Self::List(job) => job.parse(response).map(ChosenPart::Listed),
            Self::Fetch(job) => job.parse(response).map(ChosenPart::Fetched),
            Self::Act(_, job) => job.parse(response).map(ChosenPart::Acted),
        }
    }

    fn on_page(&mut self, page: &ChosenPart<O>) -> Next {
        match (self, page) {
            (Self::List(job), ChosenPart::Listed(page)) => job.on_page(page),
            _ => Next::Finished,
        }
    }

    fn repeat(&self) -> Repeat {
        match self {
            Self::List(_) | Self::Fetch(_) => Repeat::Reads,
            Self::Act(_, job) => job.repeat(),
        }
    }

    fn on_refused(&mut self, error: &ResponseError) -> bool {
        match self {
            // Runs that are listed again are known, and not acted on twice. What starts runs takes no such risk.
            Self::List(job) => job.on_refused(error) || (O::RETRY_SAFE && job.start_over(error)),
            Self::Fetch(_) | Self::Act(..) => false,
        }
    }

    fn on_too_large(&mut self, bound: u64) -> bool {
        match self {
            Self::List(job) => job.on_too_large(bound),
            Self::Fetch(_) | Self::Act(..) => false,
        }
    }

    fn oversized(&self) -> Oversized {
        match self {
            Self::List(job) => job.oversized(),
            Self::Fetch(job) => job.oversized(),
            Self::Act(_, job) => job.oversized(),
        }
    }

    fn on_applied(&mut self) -> Next {
        match self {
            Self::Act(_, job) => job.on_applied(),
            Self::List(_) | Self::Fetch(_) => Next::More,
        }
    }

    fn missing(&self, page: &ChosenPart<O>) -> u64 {
        match (self, page) {
            (Self::Fetch(job), ChosenPart::Fetched(message)) => job.missing(message),
            // What is acted on was looked at before.
            _ => 0,
        }
    }

    fn affected(page: &ChosenPart<O>) -> u64 {
        match page {
            ChosenPart::Acted(page) => page.affected(),
            ChosenPart::Listed(_) | ChosenPart::Fetched(_) => 0,
        }
    }
}
