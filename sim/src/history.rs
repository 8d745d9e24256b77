//! Runs one schedule, and holds what happened against the promises.

use crate::client::{Chain, End};
use crate::network::LATEST_MS;
use crate::promises;
use crate::random::Random;
use crate::schedule::{Item, Schedule};
use crate::trace::Trace;
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use upstash_dlq_core::Halt;

/// The most virtual time that a history may take.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);

/// What came of one schedule.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The promises that were broken. Empty if all was kept.
    pub violations: Vec<String>,
    /// How many requests were sent.
    pub requests: usize,
    /// What happened, line by line. Empty unless it was asked for.
    pub trace: Vec<String>,
}

impl Report {
    /// The names of the promises that were broken.
    pub fn promises(&self) -> Vec<String> {
        let name = |violation: &String| violation.split(':').next().unwrap_or_default().to_owned();
        self.violations.iter().map(name).collect()
    }
}

/// Runs a schedule. It takes virtual time only, and is the same each time.
pub fn run(schedule: &Schedule, is_traced: bool) -> Report {
    let trace = Trace::new(is_traced);
    let ran = catch_unwind(AssertUnwindSafe(|| run_in_virtual_time(schedule.clone(), &trace)));
    let mut report = ran.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        let violations = vec![format!("no panic: {}", words.unwrap_or_default())];
        Report { violations, ..Report::default() }
    });
    report.trace = trace.take();
    report
}

fn run_in_virtual_time(schedule: Schedule, trace: &Trace) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else {
        return Report { violations: vec!["there is no runtime".into()], ..Report::default() };
    };
    runtime.block_on(async {
        let world = Arc::new(World::new(schedule, trace.clone()));
        let chain = Chain::new(Arc::clone(&world));
        others(&world, &chain);
        let lived = tokio::time::timeout(LONGEST, Arc::clone(&chain).live(false)).await;
        if lived.is_err() {
            world.violated(format!("it ends: not after {LONGEST:?}"));
        }
        // What is on its way arrives.
        tokio::time::sleep(Duration::from_millis(LATEST_MS + 30_000)).await;
        promises::check(&world, chain.end(), &chain.halts());
        if promises::must_end_well(&world, chain.end()) {
            world.calm();
            if !tries_again(&chain).await {
                let end = chain.end();
                world.violated(format!("once nothing goes wrong, the work is completed: {end:?}"));
            }
        }
        let facts = world.facts();
        Report { violations: facts.violations, requests: facts.asked.len(), trace: Vec::new() }
    })
}

/// A person tries again, when nothing goes wrong any more. Returns whether the work comes to its end. The first time may halt at
/// what an earlier process has left in its file.
async fn tries_again(chain: &Arc<Chain>) -> bool {
    for _ in 0..3 {
        let lived = tokio::time::timeout(LONGEST, Arc::clone(chain).live(false)).await;
        let is_over = match chain.end() {
            Some(End::Complete(_) | End::GivenUp) => true,
            // Nobody can say how many are missing.
            Some(End::Halted(halt, _)) => matches!(*halt, Halt::MaximumUnconfirmed),
            _ => false,
        };
        if lived.is_ok() && is_over {
            return true;
        }
    }
    false
}

/// What happens beside the client.
fn others(world: &Arc<World>, chain: &Arc<Chain>) {
    for item in world.schedule.items.clone() {
        let (world, chain) = (Arc::clone(world), Arc::clone(chain));
        match item {
            Item::Kill { at_ms } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                world.say(|| "the client is killed".into());
                world.machine.kill();
            })),
            Item::PowerLoss { at_ms } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                world.say(|| "the machine loses its power".into());
                world.machine.lose_power(&mut Random::new(world.schedule.seed ^ at_ms));
            })),
            Item::OtherDeletes { at_ms, run } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                world.delete(run);
            })),
            Item::Arrival { at_ms, run } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                world.insert(run);
            })),
            Item::ArchiveRemoved { at_ms } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                world.remove_archive();
            })),
            Item::SecondProcess { at_ms } => drop(tokio::spawn(async move {
                world.sleep_until_ms(at_ms).await;
                chain.live(true).await;
            })),
            _ => {}
        }
    }
}
