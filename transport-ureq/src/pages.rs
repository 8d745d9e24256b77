//! A listing as an iterator.

use crate::Client;
use std::ops::ControlFlow;
use upstash_dlq_core::{DlqMessage, Driven, Event, Halt, List, ListPage, Observer, Pager, RetryPolicy};

/// A listing, page by page. After an error it ends.
#[derive(Debug)]
#[must_use = "nothing is sent before `next`"]
pub struct Pages<'a> {
    client: &'a Client,
    pager: Pager,
    ended: bool,
}

/// A listing, run by run.
#[derive(Debug)]
#[must_use = "nothing is sent before `next`"]
pub struct Items<'a> {
    pages: Pages<'a>,
    page: std::vec::IntoIter<DlqMessage>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(client: &'a Client, list: List) -> Self {
        let pager = Pager::new(client.endpoint().clone(), list, RetryPolicy::default(), client.seed());
        Self { client, pager, ended: false }
    }

    /// The runs themselves.
    pub fn items(self) -> Items<'a> {
        Items { pages: self, page: Vec::new().into_iter() }
    }

    /// The machine behind it, to be driven on with [`Client::run`] from where it stands.
    pub fn into_machine(self) -> Pager {
        self.pager
    }
}

impl Items<'_> {
    /// See [`Pages::into_machine`]. What is left of the last page is lost.
    pub fn into_machine(self) -> Pager {
        self.pages.into_machine()
    }
}

/// Stops the loop at each page.
struct OnePage(Option<ListPage>);

impl Observer<Pager> for OnePage {
    fn after(&mut self, _: &Pager, event: &Event<ListPage>) -> ControlFlow<()> {
        if let Event::Page(page) = event {
            self.0 = Some(page.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<ListPage, Halt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut page = OnePage(None);
        match self.client.run(&mut self.pager, &mut page) {
            Driven::Stopped => page.0.map(Ok),
            Driven::Done(halt) => {
                self.ended = true;
                halt.map(Err)
            }
        }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<DlqMessage, Halt>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(message) = self.page.next() {
                return Some(Ok(message));
            }
            match self.pages.next()? {
                Ok(page) => self.page = page.messages.into_iter(),
                Err(halt) => return Some(Err(halt)),
            }
        }
    }
}
