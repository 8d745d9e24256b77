//! Lists the ids into a file beside the checkpoint, and then resumes exactly those, in batches on lanes. It is what the command
//! does for `resume --parallel N --checkpoint FILE`.

use crate::client::context::Context;
use crate::client::end::End;
use crate::client::held::{Held, unusable};
use crate::client::person::{settle, wait_for_arrivals};
use crate::disk::ProcessDisk;
use http::StatusCode;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::selection::{Ids, Listed};
use upstash_dlq_core::wire::{ListPage, Resume};
use upstash_dlq_core::{BulkResume, Driven, Event, Halt, List, Listing, Observer, Selection, Totals};
use upstash_dlq_store::{IdSpool, IdSpoolWriter, Problem, StoreError};

/// How many ids are in memory at a time.
const PART: usize = 7;

pub(super) async fn resume(context: &Arc<Context>) -> End {
    let Some(selection) = context.selection() else { return End::Complete(context.claim(<_>::default())) };
    let (held, saved) = match Held::open(context) {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let spool = match &saved {
        Some(saved) => held.file.spool(saved.id_list().unwrap_or_default()),
        None => match list_all(context, &held, &selection).await {
            Ok(Some(spool)) => Ok(spool),
            Ok(None) => return End::Complete(context.claim(<_>::default())),
            Err(end) => return end,
        },
    };
    let spool = match spool {
        Ok(spool) => spool,
        Err(error) => {
            if !matches!(error.problem, Problem::Read(_)) {
                let told = format!("a checkpoint survives: the list of ids beside it cannot be used, {error}");
                context.world.violated(told);
            }
            return unusable(&error);
        }
    };
    match start(context, &held, &selection, &spool, saved).await {
        Ok(end) | Err(end) => end,
    }
}

/// Lists the ids of everything that matches. `None` if nothing does.
async fn list_all(
    context: &Arc<Context>,
    held: &Held,
    selection: &Selection,
) -> Result<Option<IdSpool<ProcessDisk>>, End> {
    let writer = held.file.new_spool().map_err(|error| unusable(&error))?;
    let list = List::for_selection(selection);
    let list = list.page_size(context.page_size());
    let mut listing = Listing::builder(context.endpoint.clone(), list)
        .lanes(context.lanes(), context.wall())
        .retry(context.client_policy(), context.seed)
        .build();
    let left = context.world.schedule.max().unwrap_or(u64::MAX);
    let listed = ListedIds { selection: selection.clone(), left, added: 0, broken: None, writer };
    let mut observer = Listing1 { listed: Mutex::new(listed), waits_until: None };
    let driven = context.client.run(&mut listing, &mut observer).await;
    let listed = observer.listed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = match driven {
        Driven::Done(outcome) => outcome.halted,
        Driven::Stopped => None,
    };
    let claim = context.claim(<_>::default());
    match (listed.broken, outcome) {
        (Some(Broken::Halt(halt)), _) | (None, Some(halt)) => Err(End::halted(halt, claim)),
        (Some(Broken::Store(error)), _) => Err(unusable(&error)),
        (None, None) if listed.added == 0 => Ok(None),
        (None, None) => {
            let spool = listed.writer.finish().map_err(|error| unusable(&error))?;
            // The next operation knows nothing of what the server has asked of this one.
            if let Some(until) = observer.waits_until {
                tokio::time::sleep_until(until).await;
            }
            Ok(Some(spool))
        }
    }
}

enum Broken {
    Halt(Halt),
    Store(StoreError),
}

struct ListedIds {
    selection: Selection,
    left: u64,
    added: u64,
    broken: Option<Broken>,
    writer: IdSpoolWriter<ProcessDisk>,
}

struct Listing1 {
    listed: Mutex<ListedIds>,
    /// Until when the server has asked to wait.
    waits_until: Option<Instant>,
}

impl Observer<Listing> for Listing1 {
    fn on_event(&mut self, _operation: &mut Listing, event: &Event<ListPage>) -> ControlFlow<()> {
        if let Event::Retry(retried) = event {
            if retried.cause.status().is_some_and(|status| status == StatusCode::TOO_MANY_REQUESTS) {
                self.waits_until = self.waits_until.max(Instant::now().checked_add(retried.after));
            }
        }
        let Event::Page(page) = event else { return ControlFlow::Continue(()) };
        let listed = self.listed.get_mut().unwrap_or_else(PoisonError::into_inner);
        for message in &page.messages {
            if listed.left == 0 {
                break;
            }
            let added = match (message.dlq_id(), listed.selection.check_listed(message, false)) {
                (None, _) => Err(Broken::Halt(Halt::UnusableMessage)),
                (Some(id), Listed::Mismatch(field)) => Err(Broken::Halt(Halt::Mismatch { id, field })),
                (Some(_), Listed::LeftOut) => Ok(false),
                (Some(id), Listed::Selected { .. }) => listed.writer.add(&id).map_err(Broken::Store),
            };
            match added {
                Ok(is_new) => {
                    listed.left -= u64::from(is_new);
                    listed.added += u64::from(is_new);
                }
                Err(broken) => {
                    listed.broken = Some(broken);
                    return ControlFlow::Break(());
                }
            }
        }
        if listed.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Starts the listed runs, part by part.
async fn start(
    context: &Arc<Context>,
    held: &Held,
    selection: &Selection,
    spool: &IdSpool<ProcessDisk>,
    saved: Option<upstash_dlq_core::Checkpoint>,
) -> Result<End, End> {
    let (words, relative) = context.words(selection);
    let build = |ids, before, totals: Totals| -> BulkBuilder<Resume> {
        let policy = context.client_policy();
        BulkResume::builder(context.endpoint.clone(), Selection::Ids(ids))
            .max(context.max())
            .overrides(context.overrides())
            .lanes(context.lanes(), context.wall())
            .retry(policy, context.seed)
            .fingerprint(words.clone())
            .relative_times(relative)
            .part(before, totals)
            .listed(selection.clone(), spool.digest())
    };
    let part = |before| -> Result<Option<Ids>, End> {
        let ids = spool.read(before, PART).map_err(|error| unusable(&error))?;
        Ok(Ids::new(ids).ok())
    };
    let before = saved.as_ref().map_or(0, upstash_dlq_core::Checkpoint::ids_before);
    let Some(ids) = part(before)? else { return Err(End::Unusable("the list of ids is too short".into())) };
    let mut taken = before + ids.len() as u64;
    let builder = build(ids, before, Totals::default());
    let mut operation = match saved {
        Some(saved) => {
            let resumed = builder.resume_from(saved);
            let mut operation = resumed.map_err(|error| {
                // A clock that was set back resolves "until now" to an earlier time than the file has.
                if context.world.schedule.clock_step() >= 0 && !context.must_be_refused() {
                    context.world.violated(format!("a checkpoint survives: it is refused, {error}"));
                }
                End::Unusable(error.to_string())
            })?;
            if operation.in_doubt().is_some() {
                wait_for_arrivals(context).await;
            }
            if settle(context, &mut operation).is_none() {
                return Err(End::GivenUp);
            }
            held.file.write(&operation.checkpoint().to_json()).map_err(|error| unusable(&error))?;
            if operation.in_doubt().is_some() {
                context.world.on_silent(&context.process, "nothing is sent before each doubt is settled");
            }
            operation
        }
        None => builder.build(),
    };
    loop {
        let mut saver = Saver { held, broken: None };
        let driven = context.client.run(&mut operation, &mut saver).await;
        if let Some(error) = saver.broken {
            return Err(unusable(&error));
        }
        let outcome = driven.into_outcome(&operation);
        let next = if outcome.halted.is_none() && outcome.verified { part(taken)? } else { None };
        match next {
            Some(ids) => {
                let more = ids.len() as u64;
                operation = build(ids, taken, operation.totals()).build();
                taken += more;
            }
            None if outcome.halted.is_some() => {
                held.file.write(&operation.checkpoint().to_json()).map_err(|error| unusable(&error))?;
                return Ok(End::of_bulk(outcome, |totals| context.claim(totals)));
            }
            None => {
                let end = End::of_bulk(outcome, |totals| context.claim(totals));
                // One that stays is no harm: its requests are all settled.
                let _ = held.file.remove();
                return Ok(end);
            }
        }
    }
}

struct Saver<'a> {
    held: &'a Held,
    broken: Option<StoreError>,
}

impl Observer<Bulk<Resume>> for Saver<'_> {
    fn before_send(&mut self, operation: &Bulk<Resume>) -> ControlFlow<()> {
        match self.held.file.write(&operation.checkpoint().to_json()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.broken = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}
