//! An operation that runs: the operation, its observer and its driver, in one value.

use crate::driver::Driver;
use std::future::poll_fn;
use std::task::{Context, Poll};
use upstash_dlq_core::{Observer, Operation};

pub(crate) type BoxObserver<'a, O> = Box<dyn Observer<O> + Send + 'a>;

pub(crate) struct Running<'a, O: Operation> {
    pub(crate) operation: O,
    pub(crate) observer: BoxObserver<'a, O>,
    pub(crate) driver: Driver<'a, O>,
}

impl<O: Operation> Running<'_, O> {
    pub(crate) fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<O::Page>> {
        self.driver.poll_page(&mut self.operation, &mut *self.observer, cx)
    }

    pub(crate) async fn run(mut self) -> O::Outcome {
        while poll_fn(|cx| self.poll_page(cx)).await.is_some() {}
        self.driver.into_outcome(&self.operation)
    }

    pub(crate) fn into_operation(self) -> O {
        let mut operation = self.operation;
        self.driver.leave(&mut operation);
        operation
    }
}
