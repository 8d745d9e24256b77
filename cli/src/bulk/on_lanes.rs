//! Runs a bulk operation on what matches a filter, on as many lanes as are allowed.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::confirm::{Confirmed, confirm, show_window};
use crate::bulk::context::BulkContext;
use crate::bulk::outcome::conclude;
use crate::bulk::reporter::BulkReporter;
use crate::bulk::settle;
use crate::drive::{self, Parallelism};
use crate::input::selection::window;
use crate::input::time::Now;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::wording;
use upstash_dlq_core::{BulkBuilder, Fleet, FleetCheckpoint, Settlement, Verb};

/// Previews, confirms, and drives the lanes to their end.
pub(crate) fn run<V: Verb>(
    bulk: &BulkContext<'_>,
    builder: BulkBuilder<V>,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    let restored = restore(bulk, &builder, parallelism, file).and_then(|mut fleet| {
        settle::apply(settlement, fleet.as_mut(), file)?;
        Ok(fleet)
    });
    let fleet = match restored {
        Ok(fleet) => fleet,
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let selection = fleet.as_ref().map_or(builder.selection(), Fleet::selection).clone();
    report.set_window(window(&selection));
    show_window(bulk, &selection);
    let (mut expected, mut requests) = (None, 0);
    // An operation that has to be settled first sends nothing, so there is nothing to confirm.
    if fleet.as_ref().and_then(Fleet::unsettled).is_none() {
        let earlier = file.zip(fleet.as_ref().map(Fleet::totals));
        (report, expected, requests) = match confirm(bulk, &selection, None, earlier, report) {
            Ok(Confirmed { report, expected, requests }) => (report, expected, requests),
            Err(report) => return *report,
        };
    }
    report.set_requests_before(requests);
    if parallelism.lanes.get() > 1 && !V::REPEATABLE {
        bulk.terminal().note(
            "--parallel is ignored: resume and restart use one lane, because a server that ignores dates would start runs twice",
        );
    }
    let fleet = fleet.unwrap_or_else(|| builder.build_fleet(parallelism.lanes, Now::from_clock().millis()));
    let mut fleet = match parallelism.rate {
        Some(rate) => fleet.rate(rate),
        None => fleet,
    };
    let mut progress = Progress::new(bulk.terminal(), expected, bulk.verb.done);
    let mut reporter = BulkReporter::new(bulk.terminal(), file, None);
    let driven = drive::on_lanes(&bulk.client, &mut fleet, &mut progress, &mut reporter);
    progress.finish();
    conclude(bulk, &fleet, file, driven, reporter.broken, None, report)
}

/// The lanes as the checkpoint left them.
fn restore<V: Verb>(
    bulk: &BulkContext<'_>,
    builder: &BulkBuilder<V>,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
) -> Result<Option<Fleet<V>>, String> {
    let Some(file) = file else { return Ok(None) };
    let Some(checkpoint) = file.read(FleetCheckpoint::from_json)? else { return Ok(None) };
    let totals = checkpoint.totals();
    let fleet = builder.clone().restore_fleet(checkpoint, parallelism.lanes, Now::from_clock().millis());
    let fleet = fleet.map_err(|error| wording::checkpoint(&error, None, file.path()))?;
    bulk.note_continuing(file.path(), totals);
    Ok(Some(fleet))
}
