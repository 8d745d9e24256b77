//! A listing whose operation is taken back.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use upstash_dlq_core::operation::ArchivePage;
use upstash_dlq_core::wire::{List, ListPage};
use upstash_dlq_core::{
    ArchivedDelete, BulkDelete, DlqMessage, Driven, Endpoint, Event, Halt, Listing, Observer, Operation, Selection,
    Token,
};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

fn serve(runs: usize) -> (Server, Client) {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
    (server, client)
}

#[test]
fn a_listing_goes_on_where_its_pages_stood() {
    let (_server, client) = serve(250);
    let ids = |page: &ListPage| page.messages.iter().filter_map(DlqMessage::dlq_id).collect::<Vec<_>>();
    let mut pages = client.list(List::everything().page_size(100)).pages();
    let mut seen = ids(&pages.next().unwrap().unwrap());
    let mut listing = pages.into_operation();
    let driven = client.run(&mut listing, &mut |_: &Listing, event: &Event<ListPage>| {
        if let Event::Page(page) = event {
            seen.extend(ids(page));
        }
    });
    let Driven::Done(outcome) = driven else { panic!() };
    assert_eq!((outcome.halted, outcome.listed, seen.len()), (None, 250, 250));
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 250);
}

/// Of the page that has arrived, the items that were not taken are lost. The pages after it are not.
#[test]
fn items_turn_back_into_their_operation() {
    let (server, client) = serve(250);
    let mut items = client.list(List::everything().page_size(100)).items();
    assert_eq!(items.by_ref().take(30).filter(Result::is_ok).count(), 30);
    assert_eq!((items.operation().totals().pages, items.outcome().listed), (1, 100));
    let shown = format!("{items:?}");
    assert!(shown.contains("Pages") && shown.contains("list") && !shown.contains(LOCAL_TOKEN), "{shown}");
    let mut listing = items.into_operation();
    let driven = client.run(&mut listing, &mut |_: &Listing, _: &Event<ListPage>| ());
    assert!(matches!(driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.listed == 250));
    assert_eq!(server.with_service(|service| service.requests_total()), 3);
}

#[test]
fn pages_show_how_their_operation_stands() {
    let (_server, client) = serve(250);
    let mut pages = client.list(List::everything().page_size(100)).pages();
    assert_eq!(pages.operation().totals().requests, 0, "nothing is sent before a page is taken");
    for page in 1..=3 {
        assert!(pages.next().is_some_and(|page| page.is_ok()));
        assert_eq!(pages.operation().totals().pages, page);
    }
}

/// What stores after several pages does so in `before_wait`, which pages ask for, too.
#[test]
fn pages_let_an_observer_store_before_a_wait() {
    struct Keeper(Vec<u64>);
    impl Observer<ArchivedDelete> for Keeper {
        fn on_event(&mut self, _: &mut ArchivedDelete, event: &Event<ArchivePage>) -> ControlFlow<()> {
            if let Event::Page(ArchivePage { batch: Some(batch), .. }) = event {
                self.0.push(batch.number);
            }
            ControlFlow::Continue(())
        }

        fn before_wait(&mut self, operation: &mut ArchivedDelete) -> ControlFlow<(), bool> {
            let numbers = std::mem::take(&mut self.0);
            numbers.iter().for_each(|number| operation.stored(*number).unwrap());
            ControlFlow::Continue(!numbers.is_empty())
        }
    }
    let (server, client) = serve(250);
    let archived = || BulkDelete::builder(client.endpoint().clone(), Selection::Everything).archived();
    let mut pages = client.prepare(archived()).observe(Keeper(Vec::new())).pages();
    assert!(pages.by_ref().all(|page| page.is_ok()));
    let outcome = pages.outcome();
    assert_eq!((outcome.halted, outcome.archived, outcome.verified), (None, 250, true));
    assert_eq!(server.with_service(|service| service.len()), 0);
}

/// Nobody stores what is to be deleted: the pages end with an error, and not as if all were done.
#[test]
fn pages_that_wait_for_nobody_end_with_an_error() {
    let (server, client) = serve(250);
    let archived = BulkDelete::builder(client.endpoint().clone(), Selection::Everything).archived();
    let last = client.prepare(archived).pages().last();
    assert!(matches!(last, Some(Err(Halt::Stopped))), "{last:?}");
    assert_eq!(server.with_service(|service| service.len()), 250);
}
