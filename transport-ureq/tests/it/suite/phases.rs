//! What went wrong, when, and whether the request may have been carried out: each fault, met by one request that starts runs.

use super::faults::{AMPLE, Fate, Fault, Limit, Place, SHORT, Way, faults};
use super::world::{NOW, World};
use super::{Driver, LONG, Setup};
use std::sync::Mutex;
use std::time::Instant;
use upstash_dlq_core::{BulkResume, Endpoint, Operation, Selection, Step, Token};
use upstash_dlq_emulator::{Config, Service, sample};

fn setup(fault: &Fault, place: Option<&Place>) -> Setup {
    let usual = Setup {
        connect_timeout: LONG,
        trusting: fault.trusting,
        proxy: place.and_then(|place| place.proxy.clone()),
        ..Setup::default()
    };
    match fault.limit {
        Limit::None => usual,
        Limit::Connect => Setup { connect_timeout: SHORT, ..usual },
        Limit::Whole => Setup { timeout: AMPLE, ..usual },
    }
}

/// Meets it, and returns what is wrong.
fn meet<D: Driver>(fault: &Fault) -> Option<String> {
    let (mut place, mut world) = (None, None);
    match fault.way {
        Way::Elsewhere(start) => place = Some(start()),
        Way::Service(broken) => {
            let mut service = Service::new(Config::default());
            service.extend(sample::runs(5, 1, NOW));
            world = Some((World::start(service, move |_, _, _| Some(broken)), broken));
        }
    }
    let url = place.as_ref().map(|place| place.url.clone()).or(world.as_ref().map(|(world, _)| world.url())).unwrap();
    let endpoint = Endpoint::builder().allow_plain_http().build(&url, Token::new("s3cret").unwrap()).unwrap();
    // A POST that starts runs: what all this is for.
    let mut bulk = BulkResume::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = bulk.poll(std::time::Duration::ZERO) else { panic!() };
    let (setup, start) = (setup(fault, place.as_ref()), Instant::now());
    let result = D::send_with(&endpoint, &setup, request);
    let (name, elapsed) = (fault.name, start.elapsed());
    if let Some((world, broken)) = world {
        world.down();
        let started = world.with_service(|service| service.started().count());
        if started != if broken.carried_out { 5 } else { 0 } {
            return Some(format!("{name}: {started} runs were started"));
        }
    }
    // The shorter of the two counts, and neither outcome would show it.
    if setup.timeout.min(setup.connect_timeout) < LONG && elapsed > LONG / 2 {
        return Some(format!("{name}: took {elapsed:?}"));
    }
    match (result, fault.fate) {
        (Ok(_), Fate::Answered) => None,
        (Err(failure), _) if failure.message.contains("s3cret") => Some(format!("{name}, with a token: {failure:?}")),
        (Err(failure), Fate::Failed(delivery)) if failure.delivery == delivery => None,
        (result, fate) => Some(format!("{name}: {result:?} is not {fate:?}")),
    }
}

pub(crate) fn each_phase_and_its_delivery<D: Driver>() {
    let faults = faults();
    // Most of the time it waits, so several are met at once.
    let left = Mutex::new(faults.iter());
    let wrong = Mutex::new(Vec::new());
    let meet_all = || {
        while let Some(fault) = { left.lock().unwrap().next() } {
            let found = meet::<D>(fault);
            wrong.lock().unwrap().extend(found);
        }
    };
    std::thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(meet_all))));
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
