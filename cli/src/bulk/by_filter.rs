//! Runs a bulk operation on what matches a filter: a delete on as many lanes as are allowed, anything else on one.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::confirm::{Confirmed, confirm, show_window};
use crate::bulk::context::BulkContext;
use crate::bulk::outcome::{already_complete, conclude};
use crate::bulk::reporter::BulkReporter;
use crate::bulk::settle;
use crate::drive::Parallelism;
use crate::input::selection::window;
use crate::input::time::Now;
use crate::output::progress::Progress;
use crate::output::report::Report;
use crate::output::wording;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{Checkpoint, Settlement};

/// Previews, confirms, and drives the lanes to their end.
pub(crate) fn run<O: BulkOperation>(
    bulk: &BulkContext<'_>,
    builder: BulkBuilder<O>,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    let builder =
        builder.lanes(parallelism.lanes, Now::from_clock().millis()).max_requests_per_second(parallelism.rate);
    let restored = restore(bulk, &builder, file).and_then(|restored| {
        let (mut operation, is_shown) = restored.unzip();
        settle::apply(bulk, settlement, operation.as_mut(), is_shown.unwrap_or_default(), file)?;
        Ok(operation)
    });
    let operation = match restored {
        Ok(operation) => operation,
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let selection = operation.as_ref().map_or(builder.selection(), Bulk::selection).clone();
    report.set_window(window(&selection));
    show_window(bulk, &selection);
    let (mut expected, mut requests) = (None, 0);
    let is_complete = operation.as_ref().and_then(already_complete).is_some();
    report.begin_complete(is_complete);
    // An operation that has to be settled first, or is complete, sends nothing, so there is nothing to confirm.
    if !is_complete && operation.as_ref().and_then(Bulk::in_doubt).is_none() {
        let earlier = file.zip(operation.as_ref().map(Bulk::totals));
        (report, expected, requests) = match confirm(bulk, &selection, None, earlier, report) {
            Ok(Confirmed { report, expected, requests }) => (report, expected, requests),
            Err(report) => return *report,
        };
    }
    report.set_requests_before(requests);
    let mut operation = operation.unwrap_or_else(|| builder.build());
    report.begin_at(operation.totals().affected);
    let mut progress = Progress::new(bulk.terminal(), expected, bulk.verb.done);
    let mut reporter = BulkReporter::new(bulk.terminal(), file);
    settle::announce::<O>(bulk, file.is_some(), report.window());
    let driven = bulk.run(&mut operation, &mut progress, &mut reporter);
    progress.finish();
    conclude(bulk, &operation, file, driven, reporter.broken, None, report)
}

/// The operation as the checkpoint left it, and whether its request in doubt was shown.
fn restore<O: BulkOperation>(
    bulk: &BulkContext<'_>,
    builder: &BulkBuilder<O>,
    file: Option<&CheckpointFile>,
) -> Result<Option<(Bulk<O>, bool)>, String> {
    let Some(file) = file else { return Ok(None) };
    let Some(checkpoint) = file.read(|json| Checkpoint::from_json(json))? else { return Ok(None) };
    let (totals, is_shown) = (checkpoint.totals(), checkpoint.is_doubt_shown());
    let operation = builder.clone().resume_from(checkpoint);
    let operation = operation.map_err(|error| wording::checkpoint(&error, None, file.path()))?;
    bulk.note_continuing(file.path(), totals);
    Ok(Some((operation, is_shown)))
}
