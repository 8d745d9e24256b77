//! A bulk operation on lanes.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::{Job, Stand, Watch, usage};
use crate::commands::restart;
use crate::input::selection::window;
use crate::input::time::Age;
use crate::listing::{Speed, unless_interrupted};
use crate::output::report::Report;
use crate::output::wording;
use std::ops::ControlFlow;
use upstash_dlq_core::{
    BulkBuilder, Event, Fleet, FleetCheckpoint, FleetObserver, Halt, OutOfTurn, Settlement, Totals, Verb,
};

impl<V: Verb> Stand for Fleet<V> {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn checkpoint(&self) -> String {
        self.checkpoint().to_json()
    }

    fn is_unsettled(&self) -> bool {
        self.unsettled().is_some()
    }

    fn how_to_settle(&self, halt: &Halt, job: &Job<'_>, has_checkpoint: bool) -> String {
        restart::how_to_settle(self.unsettled(), halt, job, has_checkpoint)
    }
}

/// Where the checkpoint left them.
fn restored<V: Verb>(
    job: &Job<'_>,
    builder: &BulkBuilder<V>,
    speed: Speed,
    file: Option<&CheckpointFile>,
) -> Result<Option<Fleet<V>>, String> {
    let Some(file) = file else { return Ok(None) };
    let Some(checkpoint) = file.read(FleetCheckpoint::from_json)? else { return Ok(None) };
    let totals = checkpoint.totals();
    let fleet = builder.clone().restore_fleet(checkpoint, speed.lanes, Age::from_clock().now());
    let fleet = fleet.map_err(|error| wording::checkpoint(&error, None, file.path()))?;
    job.note_going_on(file, totals);
    Ok(Some(fleet))
}

/// Looks, asks, and drives the lanes to their end.
pub(crate) fn run<V: Verb>(
    job: &Job<'_>,
    builder: BulkBuilder<V>,
    speed: Speed,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    let mut fleet = match restored(job, &builder, speed, file) {
        Ok(fleet) => fleet,
        Err(sentence) => return usage(report, sentence),
    };
    // One that has not begun has nothing to be settled, and says so.
    let settled = restart::settled(settlement, |how| fleet.as_mut().ok_or(OutOfTurn)?.settle(how))
        .and_then(|()| fleet.as_ref().map_or(Ok(()), |fleet| restart::keep(fleet, settlement, file)));
    if let Err(sentence) = settled {
        return usage(report, sentence);
    }
    let selection = fleet.as_ref().map_or(builder.selection(), Fleet::selection).clone();
    report.set_window(window(&selection));
    job.show_window(&selection);
    let mut expected = None;
    let mut before = 0;
    // Nothing will be sent before it is settled: there is nothing to ask.
    if !fleet.as_ref().is_some_and(Stand::is_unsettled) {
        let earlier = file.zip(fleet.as_ref().map(Fleet::totals));
        (report, expected, before) = match job.look_and_ask(&selection, None, earlier, report) {
            Ok(asked) => asked,
            Err(report) => return *report,
        };
    }
    report.set_requests_before(before);
    if speed.lanes.get() > 1 && !V::REPEATABLE {
        job.terminal.note(
            "--parallel is ignored: resume and restart use one lane, because a server that ignores dates would start runs twice",
        );
    }
    let fleet = fleet.unwrap_or_else(|| builder.build_fleet(speed.lanes, Age::from_clock().now()));
    let mut fleet = match speed.rate {
        Some(rate) => fleet.rate(rate),
        None => fleet,
    };
    let mut watch = job.watch(file, expected);
    let driven = job.client.run_fleet(&mut fleet, &mut watch);
    watch.progress.finish();
    let broken = watch.broken.take();
    job.conclude(&fleet, file, driven, broken, None, report)
}

impl<V: Verb> FleetObserver<Fleet<V>> for Watch<'_> {
    fn before_send(&mut self, fleet: &Fleet<V>) -> ControlFlow<()> {
        self.before(fleet)
    }

    fn after(&mut self, fleet: &Fleet<V>, event: &Event<V::Page>) -> ControlFlow<()> {
        self.on_event(fleet, event)
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        unless_interrupted()
    }
}
