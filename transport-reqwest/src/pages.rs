use crate::Client;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use upstash_dlq_core::{Bulk, DlqMessage, Driven, Event, Halt, Machine, Observer, Outcome, Pager, PagerEnd, Verb};

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

type Turn<M> = (M, Option<Result<<M as Machine>::Page, Halt>>);

/// Pages as they come, one request ahead of none: a page is asked for when the stream is. After an error it ends. It may be
/// dropped at any point.
#[must_use = "nothing is sent before the stream is polled"]
pub struct Pages<M: Paged> {
    client: Client,
    state: State<M>,
}

enum State<M: Paged> {
    Idle(M),
    Waiting(BoxFuture<'static, Turn<M>>),
    Ended(M),
    /// Only while a poll moves from one to another.
    Moving,
}

impl<M: Paged> Pages<M> {
    pub(crate) fn new(client: Client, machine: M) -> Self {
        Self { client, state: State::Idle(machine) }
    }

    /// The machine behind it; `None` while a request is out.
    pub fn machine(&self) -> Option<&M> {
        match &self.state {
            State::Idle(machine) | State::Ended(machine) => Some(machine),
            State::Waiting(_) | State::Moving => None,
        }
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

/// Stops the loop at each page.
struct OnePage<P>(Option<P>);

impl<M: Machine<Page: Clone>> Observer<M> for OnePage<M::Page> {
    fn after(&mut self, _: &M, event: &Event<M::Page>) -> ControlFlow<()> {
        if let Event::Page(page) = event {
            self.0 = Some(page.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

async fn turn<M: Paged>(client: Client, mut machine: M) -> Turn<M> {
    let mut page = OnePage(None);
    let item = match client.run(&mut machine, &mut page).await {
        Driven::Stopped => page.0.map(Ok),
        Driven::Done(outcome) => M::halted(outcome).map(Err),
    };
    (machine, item)
}

impl<M: Paged> Stream for Pages<M> {
    type Item = Result<M::Page, Halt>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut future = match std::mem::replace(&mut self.state, State::Moving) {
            State::Idle(machine) => Box::pin(turn(self.client.clone(), machine)),
            State::Waiting(future) => future,
            ended @ (State::Ended(_) | State::Moving) => {
                self.state = ended;
                return Poll::Ready(None);
            }
        };
        let (machine, item) = match future.as_mut().poll(cx) {
            Poll::Ready(turn) => turn,
            Poll::Pending => {
                self.state = State::Waiting(future);
                return Poll::Pending;
            }
        };
        self.state = if matches!(item, Some(Ok(_))) { State::Idle(machine) } else { State::Ended(machine) };
        Poll::Ready(item)
    }
}

impl<M: Paged> std::fmt::Debug for Pages<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("client", &self.client).finish_non_exhaustive()
    }
}
