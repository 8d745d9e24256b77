//! An operation from start to end in memory: the emulator's model for a service, and a clock that only moves when the operation
//! waits. This is how to test an application quickly, and with faults that are the same each time.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;
use upstash_dlq_core::http::{Request, Response};
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Selection, Token, drive};
use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Service, Wire, sample};

const START: i64 = 1_764_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let faults = FaultPlan::script(vec![
        None,
        Some(Fault::TooManyRequests { retry_after_s: Some(30) }),
        Some(Fault::LostResponse),
        Some(Fault::ServerError(503)),
    ]);
    let mut service = Service::new(Config::default().faults(faults));
    service.extend(sample::runs(250, 1, START));

    let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
    let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
    let clock = Cell::new(Duration::ZERO);
    let driven = drive(
        &mut delete,
        |request| respond(&mut service, clock.get(), request),
        || clock.get(),
        |wait| clock.set(clock.get() + wait),
        &mut (),
    );

    let completed = driven.into_outcome(&delete).into_result()?;
    assert!(completed.verified && service.is_empty());
    assert_eq!(completed.totals.retries, 3);
    // The response that said how many of these runs were deleted was lost.
    assert_eq!((completed.totals.affected, service.deleted_total()), (150, 250));
    assert!(clock.get() >= Duration::from_secs(30), "the server has asked for 30 s");
    Ok(())
}

/// The response, unless the model says that it does not arrive in whole.
fn respond(service: &mut Service, clock: Duration, request: Request<()>) -> Result<Response<Vec<u8>>, Delivery> {
    let now = i64::try_from(clock.as_millis()).map_or(START, |passed| START + passed);
    let response = service.handle(now, request.map(|()| Vec::new()));
    match response.extensions().get() {
        None | Some(Wire::Delay(_)) => Ok(response),
        Some(_) => Err(Delivery::Unknown),
    }
}
