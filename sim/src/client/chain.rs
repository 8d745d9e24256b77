//! One client: processes that begin, end, are killed and begin again, until the work is done.

use crate::client::context::{Context, Since};
use crate::client::end::End;
use crate::client::{archive, bulk, listing, refined, start_listed};
use crate::disk::Life;
use crate::network::while_alive;
use crate::random::Random;
use crate::schedule::Work;
use crate::world::World;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use upstash_dlq_core::Halt;
use upstash_dlq_core::wire::{Restart, Resume};

/// How many processes a client starts before its work counts as endless.
const MAX_PROCESSES: u32 = 40;

/// What all processes of one client have in common.
pub(crate) struct Chain {
    world: Arc<World>,
    /// How it ended. `None` if nobody knows.
    ended: Mutex<Option<End>>,
    /// How the processes halted before.
    halts: Mutex<Vec<End>>,
    since: Since,
}

impl Chain {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self { world, ended: Mutex::new(None), halts: Mutex::default(), since: Since::default() })
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every halt of a process, in order.
    pub(crate) fn halts(&self) -> Vec<End> {
        self.halts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_end(&self, end: Option<End>) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// Whether a process of this client has brought the work to its end.
    fn is_over(&self) -> bool {
        matches!(self.end(), Some(End::Complete(_) | End::GivenUp))
    }

    /// Starts process after process until the work is done.
    pub(crate) async fn live(self: Arc<Self>, is_second: bool) {
        let world = &self.world;
        if is_second && world.schedule.work().starts() && !world.schedule.has_checkpoint() {
            // Without a file that only one process has, two would start the same runs.
            return;
        }
        let mut random = Random::new(world.schedule.seed ^ 0x5eed);
        let (mut halts, mut round) = (0, 0);
        while round < MAX_PROCESSES {
            if self.is_over() {
                return;
            }
            if world.schedule.work().starts() && world.has_sent_changes() && !self.has_checkpoint() {
                // It may have been complete, and nobody has said so. Whoever begins again would start runs twice.
                return;
            }
            // What an earlier process has said is no longer the last word.
            self.set_end(None);
            let life = Life::new();
            let context = Arc::new(Context::begin(world, &self.since, &life, round));
            world.say(|| format!("p{} begins", context.process.number));
            let before = context.must_be_refused().then(|| world.checkpoint());
            let end = while_alive(&life, work(&context)).await;
            let is_refused = before.is_some();
            if let (Some(before), Some(end)) = (before, &end) {
                // The words of its beginning go on with it.
                if matches!(end, End::Complete(_)) || before != world.checkpoint() {
                    world.violated(format!("a checkpoint is not continued in other words: {end:?}"));
                }
            }
            life.end();
            let number = context.process.number;
            drop(context);
            world.say(|| match &end {
                None => format!("p{number} has died"),
                Some(end) => format!("p{number} ends: {}", end.told()),
            });
            let is_in_use = matches!(end, Some(End::InUse));
            round += u32::from(!is_in_use);
            match end {
                None | Some(End::Left) => {}
                Some(End::Halted(..)) if is_refused => {}
                Some(End::InUse) if is_second => return,
                Some(End::InUse | End::Unusable(_)) => {}
                Some(end @ (End::Complete(_) | End::GivenUp)) => return self.set_end(Some(end)),
                Some(End::Halted(halt, claim)) => {
                    halts += 1;
                    let goes_on = halt.is_retryable() || matches!(*halt, Halt::InDoubt { .. } | Halt::StoreFailed(_));
                    let halted = End::Halted(halt, claim);
                    self.halts.lock().unwrap_or_else(PoisonError::into_inner).push(halted.clone());
                    self.set_end(Some(halted));
                    if !goes_on || halts > 12 {
                        return;
                    }
                }
            }
            let pause = if is_in_use { 20_000 } else { random.within(1, 3_000) };
            sleep(Duration::from_millis(pause)).await;
        }
        world.violated(format!("it ends: not with {MAX_PROCESSES} processes, {:?}", self.end()));
    }

    fn has_checkpoint(&self) -> bool {
        self.world.checkpoint().is_some()
    }
}

/// What one process does.
async fn work(context: &Arc<Context>) -> End {
    match context.world.schedule.work() {
        Work::Delete => bulk::delete(context).await,
        Work::Archive => archive::delete(context).await,
        Work::Resume if context.world.schedule.is_refined() => refined::start::<Resume>(context).await,
        Work::Restart if context.world.schedule.is_refined() => refined::start::<Restart>(context).await,
        Work::Resume => bulk::start::<Resume>(context).await,
        Work::Restart => bulk::start::<Restart>(context).await,
        Work::ResumeListed => start_listed::resume(context).await,
        Work::List => listing::list(context).await,
        Work::Get => listing::get(context).await,
    }
}
