//! A listing whose operation is taken back.

use std::collections::BTreeSet;
use upstash_dlq_core::wire::{List, ListPage};
use upstash_dlq_core::{DlqMessage, Driven, Endpoint, Event, Listing, Token};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
use upstash_dlq_ureq::Client;

#[test]
fn a_listing_goes_on_where_its_pages_stood() {
    let mut service = Service::new(Config::default());
    sample::runs(250, 1, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
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
