//! Listing page by page, for whoever wants to look.

use crate::interrupt;
use crate::progress::Progress;
use std::ops::ControlFlow;
use upstash_dlq_core::{Delivery, Driven, Event, Halt, List, ListPage, Observer, Pager, RetryPolicy, drive};
use upstash_dlq_ureq::Client;

pub(crate) enum Failed {
    Halted(Halt),
    Interrupted,
}

struct Watch<'a, F> {
    on_page: F,
    progress: Option<&'a mut Progress>,
}

impl<F: FnMut(&ListPage) -> ControlFlow<()>> Observer<Pager> for Watch<'_, F> {
    fn before_send(&mut self, _: &Pager) -> ControlFlow<()> {
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn after(&mut self, _: &Pager, event: &Event<ListPage>) -> ControlFlow<()> {
        match (event, &mut self.progress) {
            (Event::Page(page), _) => return (self.on_page)(page),
            (Event::Retry(retried), Some(progress)) => progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Until the end, or until `on_page` has seen enough. The number of requests comes back in any case.
pub(crate) fn each_page(
    client: &Client,
    list: List,
    policy: RetryPolicy,
    progress: Option<&mut Progress>,
    on_page: impl FnMut(&ListPage) -> ControlFlow<()>,
) -> (u64, Result<(), Failed>) {
    let mut pager = Pager::new(client.endpoint().clone(), list, policy, client.seed());
    let mut requests = 0;
    let send = |request| {
        let answer = client.send(request);
        if !matches!(&answer, Err(failure) if failure.delivery == Delivery::NotSent) {
            requests += 1;
        }
        answer
    };
    let driven = drive(&mut pager, send, interrupt::sleep, &mut Watch { on_page, progress });
    let result = match driven {
        Driven::Done(Some(halt)) => Err(Failed::Halted(halt)),
        Driven::Stopped if interrupt::requested() => Err(Failed::Interrupted),
        Driven::Done(None) | Driven::Stopped => Ok(()),
    };
    (requests, result)
}
