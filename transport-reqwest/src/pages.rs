//! An operation page by page, or item by item, as a stream.

use crate::running::Running;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::{Itemized, Paged};
use upstash_dlq_core::{Halt, Operation};

/// The pages of an operation, made by [`Prepared::pages`](crate::Prepared::pages). After an error it ends.
///
/// It sends requests only when it is polled for a page. So a request may time out if the stream is not polled for long. With
/// several lanes, as many requests may be in flight.
///
/// The stream may be dropped at any point. A drop loses how far the operation has come, and which requests were in flight, unless
/// a store keeps its checkpoints: one is stored before a page is handed over, too. What
/// that means depends on the operation: see [`Prepared::run`](crate::Prepared::run). [`Self::into_operation`] keeps both.
#[must_use = "nothing is sent before the stream is polled"]
pub struct Pages<'a, O: Operation> {
    state: State<'a, O>,
    /// Whether the last item was handed over.
    is_ended: bool,
    /// Whether a poll has begun and not returned. After a panic, it never did.
    is_polled: bool,
}

enum State<'a, O: Operation> {
    /// The store is asked for its checkpoint.
    Loading {
        operation: O,
        loading: BoxFuture<'a, Running<'a, O>>,
    },
    Running(Box<Running<'a, O>>),
}

impl<'a, O: Operation> State<'a, O> {
    fn running(mut running: Running<'a, O>) -> Self {
        running.driver.hand_over();
        Self::Running(Box::new(running))
    }
}

impl<O: Operation> Unpin for Pages<'_, O> {}

impl<'a, O: Operation> Pages<'a, O> {
    pub(crate) fn running(running: Running<'a, O>) -> Self {
        Self { state: State::running(running), is_ended: false, is_polled: false }
    }

    /// `operation` stands for the one that is loaded, and has halted.
    pub(crate) fn loading(operation: O, loading: BoxFuture<'a, Running<'a, O>>) -> Self {
        Self { state: State::Loading { operation, loading }, is_ended: false, is_polled: false }
    }

    /// The operation, for its totals and its checkpoint. A request in flight counts as unconfirmed. Until the checkpoint of a store
    /// has been read, it is an operation that has halted, so that nobody continues without that checkpoint.
    pub fn operation(&self) -> &O {
        match &self.state {
            State::Loading { operation, .. } => operation,
            State::Running(running) => &running.operation,
        }
    }

    /// Returns the operation, to be driven on with [`Client::run`](crate::Client::run) from where it stands. A request in flight is given up and
    /// counts as [`Delivery::Unknown`](upstash_dlq_core::Delivery::Unknown). A resume or restart then has to be settled before
    /// it continues. Until the checkpoint of a store has been read, it is an operation that has halted:
    /// [`Prepared::into_operation`](crate::Prepared::into_operation) reads it. The store keeps the checkpoint that it has.
    pub fn into_operation(self) -> O {
        match self.state {
            State::Loading { operation, .. } => operation,
            State::Running(running) => running.into_operation(),
        }
    }
}

impl<'a, O: Paged> Pages<'a, O> {
    /// The outcome, or how the operation stands: halted by [`Halt::Stopped`] if it has not ended.
    pub fn outcome(&self) -> O::Outcome {
        match &self.state {
            State::Loading { operation, .. } => operation.outcome_halted(Halt::Stopped),
            State::Running(running) => running.driver.outcome(&running.operation),
        }
    }

    /// The single items: listed runs, started runs, fetched runs, or runs that were archived and are deleted.
    pub fn items(self) -> Items<'a, O>
    where
        O: Itemized,
    {
        Items { pages: self, items: Vec::new().into_iter() }
    }
}

impl<O: Paged> Stream for Pages<'_, O> {
    type Item = Result<O::Page, Halt>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_ended {
            return Poll::Ready(None);
        }
        if let State::Loading { loading, .. } = &mut this.state {
            if mem::replace(&mut this.is_polled, true) {
                this.is_ended = true;
                return Poll::Ready(Some(Err(Halt::StoreFailed(StoreFailure::new("the store has panicked")))));
            }
            let polled = loading.as_mut().poll(cx);
            this.is_polled = false;
            this.state = State::running(ready!(polled));
        }
        if let State::Running(running) = &mut this.state {
            if let Some(page) = ready!(running.poll_page(cx)) {
                return Poll::Ready(Some(Ok(page)));
            }
        }
        this.is_ended = true;
        Poll::Ready(O::halted(&this.outcome()).cloned().map(Err))
    }
}

/// The items of an operation, one after another. After an error it ends.
#[must_use = "nothing is sent before the stream is polled"]
pub struct Items<'a, O: Itemized> {
    pages: Pages<'a, O>,
    items: std::vec::IntoIter<<O as Itemized>::Item>,
}

impl<O: Itemized> Unpin for Items<'_, O> {}

impl<O: Itemized> Items<'_, O> {
    /// See [`Pages::operation`].
    pub fn operation(&self) -> &O {
        self.pages.operation()
    }

    /// See [`Pages::outcome`].
    pub fn outcome(&self) -> O::Outcome {
        self.pages.outcome()
    }

    /// See [`Pages::into_operation`]. The items of the last page that were not taken are lost.
    pub fn into_operation(self) -> O {
        self.pages.into_operation()
    }
}

impl<O: Itemized> Stream for Items<'_, O> {
    type Item = Result<<O as Itemized>::Item, Halt>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(Pin::new(&mut this.pages).poll_next(cx)) {
                Some(Ok(page)) => this.items = O::items(page).into_iter(),
                Some(Err(halt)) => return Poll::Ready(Some(Err(halt))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<O: Operation> fmt::Debug for Pages<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("operation", &self.operation().name()).finish_non_exhaustive()
    }
}

impl<O: Itemized> fmt::Debug for Items<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}
