//! One operation with many requests in flight, from `next_step` and `report`: each request has a thread of its own, and the main
//! thread alone has the operation. The emulator's model stands for the network: put a client of your own into `send`.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use upstash_dlq_core::drive::{NextStep, next_step, report};
use upstash_dlq_core::http::{Request, Response};
use upstash_dlq_core::{BulkDelete, Delivery, Driven, Endpoint, Operation, Selection, Token, UnixMillis};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};

const NOW: i64 = 1_764_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut service = Service::new(Config::default());
    service.extend(sample::runs(2_000, 1, NOW));
    let service = Mutex::new(service);
    let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
    let delete = BulkDelete::builder(endpoint, Selection::Everything).lanes(8.try_into()?, UnixMillis::new(NOW));
    let mut delete = delete.build();
    delete.connection_lost(); // every driver begins with it
    let (start, mut most_in_flight) = (Instant::now(), 0);
    let driven = std::thread::scope(|scope| {
        let (responses, arrived) = mpsc::channel();
        let driven = loop {
            let until = match next_step(&mut delete, start.elapsed(), &mut ()) {
                NextStep::Send(id, request) => {
                    let (service, responses) = (&service, responses.clone());
                    scope.spawn(move || {
                        let sent = catch_unwind(AssertUnwindSafe(|| send(service, request)));
                        let _ = responses.send((id, sent.unwrap_or(Err(Delivery::Unknown))));
                    });
                    continue;
                }
                NextStep::Wait(until) => until.unwrap_or(Duration::MAX),
                NextStep::End(driven) => break driven,
            };
            most_in_flight = most_in_flight.max(delete.in_flight());
            let arrived = arrived.recv_timeout(until.saturating_sub(start.elapsed()));
            if arrived.is_ok_and(|(id, result)| report(&mut delete, id, result, &mut ()).is_break()) {
                break Driven::Stopped;
            }
        };
        // A stop leaves requests in flight. They are awaited, too.
        while delete.in_flight() > 0 {
            let (id, result) = arrived.recv()?;
            let _ = report(&mut delete, id, result, &mut ());
        }
        Ok::<_, mpsc::RecvError>(driven)
    })?;
    let completed = driven.into_outcome(&delete).into_result()?;
    assert_eq!((completed.totals.affected, most_in_flight), (2_000, 8));
    Ok(())
}

fn send(service: &Mutex<Service>, request: Request<()>) -> Result<Response<Vec<u8>>, Delivery> {
    Ok(service.lock().unwrap_or_else(PoisonError::into_inner).handle(NOW, request.map(|()| Vec::new())))
}
