//! A listing or a bulk operation as a stream of pages, or of runs.

use crate::client::Client;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http::Response;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use upstash_dlq_core::engine::{InvalidState, RequestId};
use upstash_dlq_core::operation::{Bulk, ListingOutcome};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{DlqMessage, Event, Halt, Listing, Operation, Outcome, Step, TransportFailure};

/// An operation that can be a stream of pages.
pub trait Paged: Operation<Page: Send + Clone, Outcome: Send> + Send + Unpin + 'static {
    /// Why the operation was not completed. `None` if it was.
    fn halted(outcome: Self::Outcome) -> Option<Halt>;
}

impl<O: BulkOperation> Paged for Bulk<O> {
    fn halted(outcome: Outcome) -> Option<Halt> {
        outcome.halted
    }
}

impl Paged for Listing {
    fn halted(outcome: ListingOutcome) -> Option<Halt> {
        outcome.halted
    }
}

/// A stream of pages. It requests a page only when it is polled for one, and ends after an error.
///
/// The stream may be dropped at any point. A drop loses how far the operation has come, and whether a request was in flight
/// whose result nobody will learn. [`Self::into_operation`] keeps both.
///
/// - *delete*: a new delete deletes the rest. Only the counts are lost.
/// - *resume*, *restart*: a request that was in flight may have started up to 50 runs. A new operation would start them again,
///   and all others that are still listed. Keep the operation, or a [`Bulk::checkpoint`] of it.
/// - *list*: the position is lost.
#[must_use = "nothing is sent before the stream is polled"]
pub struct Pages<O: Paged> {
    client: Client,
    operation: O,
    start: Instant,
    awaited: Awaited,
    ended: bool,
}

/// What the stream waits for.
enum Awaited {
    Nothing,
    Response(RequestId, BoxFuture<'static, Result<Response<Vec<u8>>, TransportFailure>>),
    Sleep(BoxFuture<'static, ()>),
}

impl<O: Paged> Pages<O> {
    pub(crate) fn new(client: Client, operation: O) -> Self {
        Self { client, operation, start: Instant::now(), awaited: Awaited::Nothing, ended: false }
    }

    /// The operation. Its totals and its checkpoint count a request in flight as unconfirmed.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Returns the operation, to be driven on with [`Client::run`]. A request in flight is given up and counts as
    /// [`Delivery::Unknown`](upstash_dlq_core::Delivery::Unknown). A resume or restart then has to be settled before it
    /// continues.
    pub fn into_operation(self) -> O {
        let mut operation = self.operation;
        operation.connection_lost();
        operation
    }
}

impl Pages<Listing> {
    /// The single runs.
    pub fn items(self) -> Items {
        Items { pages: self, page: Vec::new().into_iter() }
    }
}

/// A listing, run by run. After an error it ends.
#[derive(Debug)]
#[must_use = "nothing is sent before the stream is polled"]
pub struct Items {
    pages: Pages<Listing>,
    page: std::vec::IntoIter<DlqMessage>,
}

impl Items {
    /// See [`Pages::into_operation`]. The runs of the last page that were not taken are lost.
    pub fn into_operation(self) -> Listing {
        self.pages.into_operation()
    }
}

impl Stream for Items {
    type Item = Result<DlqMessage, Halt>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.page.next() {
                return Poll::Ready(Some(Ok(message)));
            }
            match Pin::new(&mut self.pages).poll_next(cx) {
                Poll::Ready(Some(Ok(page))) => self.page = page.messages.into_iter(),
                Poll::Ready(Some(Err(halt))) => return Poll::Ready(Some(Err(halt))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<O: Paged> Stream for Pages<O> {
    type Item = Result<O::Page, Halt>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.ended {
            match &mut this.awaited {
                Awaited::Nothing => {
                    let now = this.start.elapsed();
                    match this.operation.poll(now) {
                        Step::Done(outcome) => {
                            this.ended = true;
                            return Poll::Ready(O::halted(outcome).map(Err));
                        }
                        Step::WaitUntil(until) => {
                            this.awaited = Awaited::Sleep(Box::pin(tokio::time::sleep(until.saturating_sub(now))));
                        }
                        Step::Send(id, request) => {
                            let client = this.client.clone();
                            let response = Box::pin(async move { client.send(request).await });
                            this.awaited = Awaited::Response(id, response);
                        }
                        // Nothing is in flight here, so there is nothing to wait for.
                        Step::AwaitResponse => this.ended = true,
                    }
                }
                Awaited::Sleep(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    this.awaited = Awaited::Nothing;
                }
                Awaited::Response(id, response) => {
                    let (id, result) = (*id, ready!(response.as_mut().poll(cx)));
                    this.awaited = Awaited::Nothing;
                    let event = match result {
                        Ok(response) => {
                            let (parts, body) = response.into_parts();
                            this.operation.on_response(id, Response::from_parts(parts, body.as_slice()))
                        }
                        Err(failure) => this.operation.on_failure(id, failure),
                    };
                    match event {
                        Ok(Event::Page(page)) => return Poll::Ready(Some(Ok(page))),
                        Ok(_) => {}
                        // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
                        Err(InvalidState) => this.ended = true,
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

impl<O: Paged> std::fmt::Debug for Pages<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("client", &self.client).finish_non_exhaustive()
    }
}
