//! A listing, page by page or run by run.

use crate::client::Client;
use std::ops::ControlFlow;
use std::time::Instant;
use upstash_dlq_core::wire::ListPage;
use upstash_dlq_core::{DlqMessage, Driven, Event, Halt, Listing, Observer, drive};

/// A listing, page by page. After an error it ends.
#[derive(Debug)]
#[must_use = "nothing is sent before `next`"]
pub struct Pages {
    client: Client,
    listing: Listing,
    ended: bool,
}

/// A listing, run by run. After an error it ends.
#[derive(Debug)]
#[must_use = "nothing is sent before `next`"]
pub struct Items {
    pages: Pages,
    page: std::vec::IntoIter<DlqMessage>,
}

impl Pages {
    pub(crate) fn new(client: Client, listing: Listing) -> Self {
        Self { client, listing, ended: false }
    }

    /// The single runs.
    pub fn items(self) -> Items {
        Items { pages: self, page: Vec::new().into_iter() }
    }

    /// Returns the listing, to be driven on with [`Client::run`] from where it stands.
    pub fn into_operation(self) -> Listing {
        self.listing
    }
}

impl Items {
    /// See [`Pages::into_operation`]. The runs of the last page that were not taken are lost.
    pub fn into_operation(self) -> Listing {
        self.pages.into_operation()
    }
}

/// Stops the loop at each page.
struct OnePage(Option<ListPage>);

impl Observer<Listing> for OnePage {
    fn on_event(&mut self, _: &mut Listing, event: &Event<ListPage>) -> ControlFlow<()> {
        if let Event::Page(page) = event {
            self.0 = Some(page.clone());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl Iterator for Pages {
    type Item = Result<ListPage, Halt>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut page = OnePage(None);
        let start = Instant::now();
        let (client, now) = (&self.client, || start.elapsed());
        match drive(&mut self.listing, |request| client.send(request), now, std::thread::sleep, &mut page) {
            Driven::Stopped => page.0.map(Ok),
            Driven::Done(outcome) => {
                self.ended = true;
                outcome.halted.map(Err)
            }
        }
    }
}

impl Iterator for Items {
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
