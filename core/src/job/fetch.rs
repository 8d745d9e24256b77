//! Fetches one run by its id. A run that is not in the DLQ is no error here.

use crate::bugs::bug;
use crate::engine::job::{Job, Next, Repeat};
use crate::engine::oversized::Oversized;
use crate::job::call::CallJob;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::model::message::DlqMessage;
use crate::wire::error::{ErrorBody, ResponseError};
use crate::wire::single::GetMessage;
use http::{Request, Response, StatusCode};

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
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn on_page(&mut self, _page: &Option<DlqMessage>) -> Next {
        Next::Finished
    }

    fn repeat(&self) -> Repeat {
        self.0.repeat()
    }

    fn oversized(&self) -> Oversized {
        Oversized::Run { id: self.id().clone() }
    }
}

/// Whether the service itself says that there is no such run. A 404 of a proxy, or one about the region, does not say so.
fn is_absent(error: &ResponseError) -> bool {
    if bug!(NotFoundTakenAsAbsent) {
        return error.status() == StatusCode::NOT_FOUND;
    }
    !error.is_wrong_region()
        && matches!(error, ResponseError::Status { status: StatusCode::NOT_FOUND, body: ErrorBody::Message(_) })
}
