//! A bulk operation on a few ids: one request.

use crate::bugs::bug;
use crate::engine::job::{Job, Next, Repeat};
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::Endpoint;
use crate::selection::ids::Ids;
use crate::wire::bulk::{BulkOperation, BulkPage};
use crate::wire::error::ResponseError;
use crate::wire::overrides::Overrides;
use crate::wire::query::push_pair;
use crate::wire::request;
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ops::Range;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) struct BatchJob<O> {
    ids: Arc<Ids>,
    /// Which of them.
    pub(crate) range: Range<usize>,
    overrides: Overrides,
    operation: PhantomData<O>,
}

impl<O: BulkOperation> BatchJob<O> {
    pub(crate) fn new(ids: Arc<Ids>, range: Range<usize>, overrides: Overrides) -> Self {
        Self { ids, range, overrides, operation: PhantomData }
    }

    pub(crate) fn ids(&self) -> &[DlqId] {
        self.ids.as_slice().get(self.range.clone()).unwrap_or_default()
    }
}

impl<O: BulkOperation> Job for BatchJob<O> {
    type Page = O::Page;

    fn asks(&self, _allowance: Option<u64>) -> u64 {
        self.range.len() as u64
    }

    fn request(&self, endpoint: &Endpoint, _asked: u64) -> Result<Request<()>, http::Error> {
        let mut target = endpoint.path(O::PATH);
        for id in self.ids() {
            push_pair(&mut target, "dlqIds", id.as_str());
        }
        if bug!(IdsNarrowed) {
            push_pair(&mut target, "fromDate", "1");
        }
        let overrides = Some(&self.overrides).filter(|_| self.range.start == 0 || !bug!(SettingsLost));
        request::build(endpoint, O::METHOD, target, overrides)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<O::Page, ResponseError> {
        O::parse(response)
    }

    fn on_page(&mut self, _page: &O::Page) -> Next {
        Next::Finished
    }

    fn repeat(&self) -> Repeat {
        if O::RETRY_SAFE { Repeat::Harmless } else { Repeat::InDoubt }
    }

    fn on_applied(&mut self) -> Next {
        Next::Finished
    }

    fn missing(&self, page: &O::Page) -> u64 {
        (self.range.len() as u64).saturating_sub(page.affected())
    }

    fn affected(page: &O::Page) -> u64 {
        page.affected()
    }
}
