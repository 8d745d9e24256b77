//! An observer stops many lanes, and a restart runs: what only applications of the library do.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, StartedBy, sample};
use upstash_dlq_reqwest::Client;
use upstash_dlq_reqwest::core::wire::DeletePage;
use upstash_dlq_reqwest::core::{BulkDelete, Driven, Endpoint, Event, Observer, Selection, Token, UnixMillis};

const NOW: i64 = 1_764_000_000_000;

fn serve(runs: usize) -> (Server, Client) {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, NOW).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN).unwrap()).unwrap()).unwrap();
    (server, client)
}

/// Stops before a request, or after so many pages.
struct Stop {
    before: bool,
    pages: u32,
}

impl Observer<BulkDelete> for Stop {
    fn before_send(&mut self, _: &BulkDelete) -> ControlFlow<()> {
        if self.before && self.pages == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_event(&mut self, _: &mut BulkDelete, event: &Event<DeletePage>) -> ControlFlow<()> {
        if let Event::Page(_) = event {
            self.pages = self.pages.saturating_sub(1);
        }
        if self.pages == 0 && !self.before { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[tokio::test]
async fn an_observer_stops_many_lanes() {
    for before in [true, false] {
        let (server, client) = serve(3_000);
        let lanes = NonZeroUsize::new(8).unwrap();
        let delete = BulkDelete::builder(client.endpoint().clone(), Selection::Everything);
        let mut operation = delete.page_size(10.try_into().unwrap()).lanes(lanes, UnixMillis::new(NOW)).build();
        let driven = client.run(&mut operation, &mut Stop { before, pages: 20 }).await;
        assert!(matches!(driven, Driven::Stopped), "{driven:?}");
        let (requests, left) = server.with_service(|service| (service.requests_total(), service.len()));
        // Those that were out come to their end, one per lane at most.
        assert!((20..20 + 8).contains(&requests), "{requests} requests");
        let totals = operation.totals();
        assert_eq!((totals.requests, totals.unconfirmed, totals.affected), (requests, 0, 3_000 - left as u64));
        // And it can be driven on.
        let driven = client.run(&mut operation, &mut |_: &BulkDelete, _: &Event<DeletePage>| ()).await;
        assert!(matches!(driven, Driven::Done(outcome) if outcome.verified && outcome.totals.affected == 3_000));
    }
}

#[tokio::test]
async fn a_restart_starts_each_run_once() {
    let (server, client) = serve(120);
    let outcome = client.restart(Selection::Everything).run().await;
    assert!(outcome.halted.is_none() && outcome.totals.affected == 120, "{outcome:?}");
    let restarted =
        server.with_service(|service| service.started().filter(|run| run.started_by == StartedBy::Restart).count());
    assert_eq!(restarted, 120);
}
