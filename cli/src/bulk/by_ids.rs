//! Runs a bulk operation on a list of ids of any length, part by part.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::confirm::{Confirmed, confirm};
use crate::bulk::context::BulkContext;
use crate::bulk::missing::Missing;
use crate::bulk::outcome::conclude;
use crate::bulk::reporter::BulkReporter;
use crate::bulk::settle;
use crate::drive;
use crate::input::ids::IdList;
use crate::output::progress::Progress;
use crate::output::report::{Ending, Exit, Report};
use crate::output::wording;
use std::num::NonZeroU32;
use upstash_dlq_core::{Bulk, BulkBuilder, Checkpoint, Driven, Selection, Settlement, Totals, Verb};

pub(crate) fn run<V: Verb>(
    bulk: &BulkContext<'_>,
    mut list: IdList,
    build: impl Fn(Selection) -> BulkBuilder<V>,
    rate: Option<NonZeroU32>,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    // The fingerprint of a long list is one of all its ids, not only of a part.
    let fingerprint = (!list.is_short()).then(|| list.fingerprint().at(bulk.client.endpoint()));
    let part = |ids, before, totals| {
        let builder = build(Selection::Ids(ids)).part(before, totals);
        match &fingerprint {
            Some(fingerprint) => builder.fingerprint(fingerprint.clone()),
            None => builder,
        }
    };
    let mut start = || -> Result<(Bulk<V>, u64, bool), String> {
        let saved = file.map(|file| file.read(Checkpoint::from_json)).transpose()?.flatten();
        let before = saved.as_ref().map_or(0, Checkpoint::ids_before);
        let ids = list.part(before)?.ok_or_else(|| wording::OTHER_LIST.to_owned())?;
        let (taken, goes_on) = (ids.len() as u64, saved.is_some());
        let builder = part(ids, before, Totals::default());
        let mut operation = match file.zip(saved) {
            Some((file, checkpoint)) => restore(bulk, builder, checkpoint, file)?,
            None => builder.build(),
        };
        settle::apply(settlement, Some(&mut operation), file)?;
        Ok((operation, before + taken, goes_on))
    };
    let (mut operation, mut taken, goes_on) = match start() {
        Ok(started) => started,
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let total = list.total();
    let missing = Missing::at(&operation);
    report.missing = Some(missing.known());
    // An operation that has to be settled first sends nothing, so there is nothing to confirm.
    if operation.unsettled().is_none() {
        let earlier = file.filter(|_| goes_on).map(|file| (file, operation.totals()));
        report = match confirm(bulk, operation.selection(), Some(total), earlier, report) {
            Ok(Confirmed { report, .. }) => report,
            Err(report) => return *report,
        };
    }
    let mut progress = Progress::new(bulk.terminal(), Some(total), bulk.verb.done);
    let mut reporter = BulkReporter::new(bulk.terminal(), file, Some(missing));
    loop {
        let send = |request| bulk.client.send(request);
        let driven = drive::in_turn(send, rate, &mut operation, &mut progress, &mut reporter);
        let whole = matches!(&driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.verified);
        let next = if whole { list.part(taken) } else { Ok(None) };
        report.missing = reporter.missing.map(|missing| missing.known());
        match next {
            Ok(Some(ids)) => {
                let more = ids.len() as u64;
                operation = part(ids, taken, operation.totals()).build();
                taken += more;
            }
            Ok(None) => {
                progress.finish();
                return conclude(bulk, &operation, file, driven, reporter.broken, Some(total), report);
            }
            Err(sentence) => {
                progress.finish();
                report.set_totals(operation.totals());
                return report.end(Ending::Halted, Exit::Failure, Some(sentence));
            }
        }
    }
}

/// The operation as the checkpoint left it.
fn restore<V: Verb>(
    bulk: &BulkContext<'_>,
    builder: BulkBuilder<V>,
    checkpoint: Checkpoint,
    file: &CheckpointFile,
) -> Result<Bulk<V>, String> {
    let totals = checkpoint.totals();
    let operation = builder.restore(checkpoint).map_err(|error| wording::checkpoint(&error, None, file.path()))?;
    bulk.note_continuing(file.path(), totals);
    Ok(operation)
}
