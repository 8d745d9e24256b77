//! Pages and runs as streams.

use crate::Client;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http::Response;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use upstash_dlq_core::{
    Bulk, Delivery, DlqMessage, Event, Halt, Machine, OutOfTurn, Outcome, Pager, PagerEnd, Step, TransportFailure, Verb,
};

/// What a stream of pages can be made from.
pub trait Paged: Machine<Page: Send + Clone, Outcome: Send> + Send + Unpin + 'static {
    /// Why it was not completed.
    fn halted(outcome: Self::Outcome) -> Option<Halt>;
}

impl<V: Verb> Paged for Bulk<V> {
    fn halted(outcome: Outcome) -> Option<Halt> {
        outcome.halted
    }
}

impl Paged for Pager {
    fn halted(end: PagerEnd) -> Option<Halt> {
        end
    }
}

/// Pages as they come, one request ahead of none: a page is asked for when the stream is. After an error it ends.
///
/// It may be dropped at any point, and [`Self::into_machine`] then keeps what a drop loses: how far it has come, and whether a
/// request was out whose result nobody will learn.
///
/// - *delete*: begun anew, it deletes what is left. Lost is the count of what is gone.
/// - *resume*, *restart*: a request that was out may have started up to 50 runs. Where started runs stay listed, all of them
///   would be started again by beginning anew: keep the machine, or a [`Bulk::checkpoint`] of it.
/// - *list*: lost is where it stood.
#[must_use = "nothing is sent before the stream is polled"]
pub struct Pages<M: Paged> {
    client: Client,
    machine: M,
    out: Out,
    ended: bool,
}

/// What the stream waits for. It knows nothing that the machine does not know.
enum Out {
    Nothing,
    Request(BoxFuture<'static, Result<Response<Vec<u8>>, TransportFailure>>),
    Wait(BoxFuture<'static, ()>),
}

impl<M: Paged> Pages<M> {
    pub(crate) fn new(client: Client, machine: M) -> Self {
        Self { client, machine, out: Out::Nothing, ended: false }
    }

    /// The machine behind it. A request that is out is in its totals and in its checkpoint, as one whose result is not known.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to be driven on with [`Client::run`]. A request that is out is given up, and counts as
    /// [`Delivery::Unknown`]: a resume or restart then halts, and wants to be settled before it goes on.
    pub fn into_machine(self) -> M {
        let mut machine = self.machine;
        if let Out::Request(_) = self.out {
            // Cannot be out of turn: the request is out.
            let _ = machine.on_failure(Delivery::Unknown.into());
        }
        machine
    }
}

impl Pages<Pager> {
    /// The runs themselves.
    pub fn items(self) -> Items {
        Items { pages: self, page: Vec::new().into_iter() }
    }
}

/// A listing, run by run. After an error it ends.
#[derive(Debug)]
#[must_use = "nothing is sent before the stream is polled"]
pub struct Items {
    pages: Pages<Pager>,
    page: std::vec::IntoIter<DlqMessage>,
}

impl Items {
    /// See [`Pages::into_machine`]. What is left of the last page is lost.
    pub fn into_machine(self) -> Pager {
        self.pages.into_machine()
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

impl<M: Paged> Stream for Pages<M> {
    type Item = Result<M::Page, Halt>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.ended {
            match &mut this.out {
                Out::Nothing => match this.machine.poll() {
                    Step::Done(outcome) => {
                        this.ended = true;
                        return Poll::Ready(M::halted(outcome).map(Err));
                    }
                    Step::Wait(wait) => this.out = Out::Wait(Box::pin(tokio::time::sleep(wait))),
                    Step::Send(request) => {
                        let client = this.client.clone();
                        this.out = Out::Request(Box::pin(async move { client.send(request).await }));
                    }
                },
                Out::Wait(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    this.out = Out::Nothing;
                }
                Out::Request(request) => {
                    let answer = ready!(request.as_mut().poll(cx));
                    this.out = Out::Nothing;
                    let event = match answer {
                        Ok(response) => this.machine.on_response(&response),
                        Err(failure) => this.machine.on_failure(failure),
                    };
                    match event {
                        Ok(Event::Page(page)) => return Poll::Ready(Some(Ok(page))),
                        Ok(_) => {}
                        // Cannot happen: the request was in flight. Stopping is the safe reading of the impossible.
                        Err(OutOfTurn) => this.ended = true,
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

impl<M: Paged> std::fmt::Debug for Pages<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("client", &self.client).finish_non_exhaustive()
    }
}
