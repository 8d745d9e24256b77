//! Against the emulator: whole operations, whatever goes wrong, and many lanes.

use super::{Driver, LONG, endpoint, fast};
use upstash_dlq_core::model::Cursor;
use upstash_dlq_core::wire::Call as _;
use upstash_dlq_core::wire::List;
use upstash_dlq_core::{Filter, Selection};
use upstash_dlq_emulator::{Config, CursorKind, FaultPlan, Server, ServerOptions, Service, sample};

pub(crate) fn against_the_emulator_whatever_goes_wrong<D: Driver>() {
    for (profile, cursors) in [
        ("none", CursorKind::Key),
        ("flaky", CursorKind::Offset),
        ("lost-responses", CursorKind::Key),
        ("garbage", CursorKind::Offset),
    ] {
        let faults = FaultPlan::profile(profile, 7).unwrap();
        let mut service = Service::new(Config::default().cursors(cursors));
        let runs = sample::runs(900, 3, 1_764_000_000_000);
        let matching =
            runs.iter().filter(|run| run.labels.iter().any(|l| l == "nightly" || l == "red & white")).count();
        runs.into_iter().for_each(|run| service.insert(run));
        let server = Server::start(service, ServerOptions::default()).unwrap();
        let endpoint = endpoint(&server.url());
        assert_eq!(D::list(&endpoint, List::everything()).unwrap().len(), 900);
        server.with_service(|service| service.set_faults(faults));
        let filter = Filter::builder().label("nightly").label("red & white").build().unwrap();
        let outcome = D::delete(&endpoint, LONG, Selection::Filter(filter), fast(20));
        assert!(outcome.halted.is_none() && outcome.verified, "{profile}: {outcome:?}");
        let (truth, left) = server.with_service(|service| (service.deleted_total(), service.len()));
        assert_eq!((truth, left), (matching as u64, 900 - matching), "{profile}");
        assert!(
            outcome.totals.affected <= truth && (outcome.totals.unconfirmed > 0 || outcome.totals.affected == truth)
        );
    }
}

pub(crate) fn many_lanes_delete_everything_once<D: Driver>() {
    for (profile, cursors) in [("none", CursorKind::Key), ("flaky", CursorKind::Offset)] {
        let mut service = Service::new(Config::default().cursors(cursors));
        sample::runs(3_000, 3, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
        let server = Server::start(service, ServerOptions::default()).unwrap();
        server.with_service(|service| service.set_faults(FaultPlan::profile(profile, 7).unwrap()));
        let outcome = D::delete_on(&endpoint(&server.url()), Selection::Everything, 8);
        assert!(outcome.halted.is_none() && outcome.verified, "{profile}: {outcome:?}");
        server.with_service(|service| {
            assert!(service.is_empty() && service.requests_total() == outcome.totals.requests);
            assert!(outcome.totals.affected == 3_000 || outcome.totals.unconfirmed > 0);
        });
        assert!(profile != "none" || (2..=9).contains(&server.connections()), "{} connections", server.connections());
    }
}

pub(crate) fn many_lanes_count_and_start_each_run_once<D: Driver>() {
    for ignore_dates in [false, true] {
        let mut service = Service::new(Config::default().ignore_dates(ignore_dates).started_runs_stay(true));
        sample::runs(3_000, 3, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
        let server = Server::start(service, ServerOptions::default()).unwrap();
        let endpoint = endpoint(&server.url());
        assert_eq!(D::count(&endpoint, List::everything(), 8), Ok(3_000));
        let filter = Filter::builder().label("nightly").build().unwrap();
        let nightly = D::count(&endpoint, List::matching(filter.clone()), 8).unwrap();
        let outcome = D::resume_on(&endpoint, Selection::Filter(filter), 8);
        assert!(outcome.halted.is_none() && outcome.totals.affected == nightly, "{outcome:?}");
        // One look at a run is all that a resume gets: it stays where it was, and a second one would start it again.
        let mut started: Vec<String> =
            server.with_service(|service| service.started().map(|started| started.dlq_id.clone()).collect());
        started.sort_unstable();
        started.dedup();
        assert_eq!(started.len() as u64, nightly);
        // Three clients, of which those that count have more than one connection if they have lanes.
        assert_eq!(server.connections() > 3, !ignore_dates, "{} connections", server.connections());
    }
    let nobody = endpoint("http://127.0.0.1:1");
    let outcome = D::resume_on(&nobody, Selection::Everything, 2);
    assert!(outcome.halted.is_some() && outcome.totals.requests == 0, "{outcome:?}");
}

pub(crate) fn a_page_after_a_cursor_lists_on<D: Driver>() {
    let mut service = Service::new(Config::default());
    sample::runs(250, 3, 1_764_000_000_000).into_iter().for_each(|run| service.insert(run));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let endpoint = endpoint(&server.url());
    let first = List::everything();
    let reply = D::send(&endpoint, LONG, first.to_request(&endpoint).unwrap()).unwrap();
    let page = first.parse(&reply).unwrap();
    let cursor: Cursor = page.cursor.unwrap();
    assert_eq!(page.messages.len() + D::list(&endpoint, first.after(cursor)).unwrap().len(), 250);
}
