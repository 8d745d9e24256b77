//! One call: one request and its response.

use crate::engine::job::{Job, Next, Repeat};
use crate::model::endpoint::Endpoint;
use crate::wire::call::Call;
use crate::wire::error::ResponseError;
use http::{Request, Response};

#[derive(Clone, Debug)]
pub(crate) struct CallJob<C>(pub(crate) C);

impl<C: Call> Job for CallJob<C> {
    type Page = C::Output;

    fn asks(&self, _allowance: Option<u64>) -> u64 {
        1
    }

    fn request(&self, endpoint: &Endpoint, _asked: u64) -> Result<Request<()>, http::Error> {
        self.0.to_request(endpoint)
    }

    fn parse(&self, response: &Response<&[u8]>) -> Result<C::Output, ResponseError> {
        self.0.parse(response)
    }

    fn on_page(&mut self, _page: &C::Output) -> Next {
        Next::Finished
    }

    fn repeat(&self) -> Repeat {
        match (C::READ_ONLY, C::RETRY_SAFE) {
            (true, _) => Repeat::Reads,
            (false, true) => Repeat::Harmless,
            (false, false) => Repeat::InDoubt,
        }
    }
}
