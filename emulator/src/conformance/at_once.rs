//! A check of one transport on several threads: each request gets its own response.

use crate::conformance::server::{Server, lock};
use crate::conformance::trial::Trial;
use http::Method;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

const THREADS: usize = 8;
const ROUNDS: usize = 3;

/// How long the first responses are held back for the other requests of the round. A transport that sends one after the
/// other is slow, not wrong.
const HOLD_BACK: Duration = Duration::from_millis(300);

pub(super) fn at_once(trial: &mut Trial<'_>) -> io::Result<()> {
    let arrived = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let server = Server::start(move |conn| {
        while let Some(seen) = conn.request() {
            let (count, changed) = &*arrived;
            let mut all = lock(count);
            *all += 1;
            changed.notify_all();
            if *all < THREADS {
                let waited = changed.wait_timeout_while(all, HOLD_BACK, |all| *all < THREADS);
                all = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            drop(all);
            let length = seen.target.len();
            conn.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", seen.target).as_bytes());
        }
    })?;
    let transport = trial.transport(&server.url());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (transport, outcomes) = (&transport, &outcomes);
            let work = move || {
                for round in 0..ROUNDS {
                    // Of different lengths, so that a mixed-up end shows, too.
                    let target = format!("/v2/{}/{round}", "x".repeat(thread));
                    let outcome = transport.send(&Method::GET, &target);
                    lock(outcomes).push((target, outcome));
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, work)?;
        }
        io::Result::Ok(())
    })?;
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (target, outcome) in outcomes {
        trial.expect_response(&format!("GET {target}, one of {THREADS} at once"), outcome, 200, target.as_bytes());
    }
    trial.expect_requests("eight threads with three requests each", &server.finish(), THREADS * ROUNDS);
    Ok(())
}
