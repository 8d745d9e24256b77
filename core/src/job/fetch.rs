//! Fetches one run by its id. A run that is not in the DLQ is no error here.

use crate::engine::job::{Job, Next, Repeat};
use crate::engine::oversized::Oversized;
use crate::job::call::CallJob;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::wire::error::ResponseError;
use crate::wire::single::GetMessage;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) struct FetchJob(CallJob<GetMessage>);

impl FetchJob {
    pub(crate) fn new(id: DlqId) -> Self {
        Self(CallJob(GetMessage(id)))
    }

    pub(crate) fn id(&self) -> &DlqId {
        &self.0.0.0
    }
}

impl Job for FetchJob {
    /// `None` if the run is not in the DLQ.
    type Page = Option<DlqMessage>;

    fn request(&self, endpoint: &Endpoint, asked: u64) -> Result<Request<()>, http::Error> {
        self.0.request(endpoint, asked)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<Option<DlqMessage>, ResponseError> {
        match self.0.parse(response) {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.is_run_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn on_page(&mut self, _page: &Option<DlqMessage>) -> Next {
        Next::Finished
    }

    fn repeat(&self) -> Repeat {
        self.0.repeat()
    }

    fn missing(&self, page: &Option<DlqMessage>) -> u64 {
        u64::from(page.is_none())
    }

    fn oversized(&self) -> Oversized {
        Oversized::Run { id: self.id().clone() }
    }
}
