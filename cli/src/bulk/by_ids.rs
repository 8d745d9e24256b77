//! Runs a bulk operation on the ids that were given.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::confirm::{Confirmed, confirm};
use crate::bulk::context::BulkContext;
use crate::bulk::parts::{IdSource, Parts};
use crate::drive::Parallelism;
use crate::input::ids::IdList;
use crate::input::time::Now;
use crate::output::report::Report;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{Checkpoint, Selection, Settlement, Totals};

impl IdSource for IdList {
    fn total(&self) -> u64 {
        self.total()
    }

    fn part(&mut self, before: u64) -> Result<Option<Ids>, String> {
        self.part(before)
    }

    fn is_read_again(&self) -> bool {
        true
    }
}

pub(crate) fn run<O: BulkOperation>(
    bulk: &BulkContext<'_>,
    list: IdList,
    build: impl Fn(Selection) -> BulkBuilder<O>,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    // The fingerprint of a long list is one of all its ids, not only of a part.
    let fingerprint = (!list.is_short()).then(|| list.fingerprint().at(bulk.client.endpoint()));
    let total = list.total();
    let part = |ids, before, totals: Totals| {
        let builder = build(Selection::Ids(ids))
            .part(before, totals)
            .lanes(parallelism.lanes, Now::from_clock().millis())
            .max_requests_per_second(parallelism.rate);
        match &fingerprint {
            Some(fingerprint) => builder.fingerprint(fingerprint.clone()),
            None => builder,
        }
    };
    let saved = match file.map(|file| file.read(|json| Checkpoint::from_json(json))).transpose() {
        Ok(saved) => saved.flatten(),
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let goes_on = saved.is_some();
    let parts = match Parts::begin(bulk, list, part, file, saved, settlement) {
        Ok(parts) => parts,
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let operation = &parts.operation;
    report.missing = Some(operation.totals().missing);
    let is_complete = goes_on && parts.are_complete();
    report.begin_complete(is_complete);
    // An operation that has to be settled first, or is complete, sends nothing, so there is nothing to confirm.
    if !is_complete && operation.in_doubt().is_none() {
        let earlier = file.filter(|_| goes_on).map(|file| (file, operation.totals()));
        report = match confirm(bulk, operation.selection(), Some(total), earlier, report) {
            Ok(Confirmed { report, .. }) => report,
            Err(report) => return *report,
        };
    }
    parts.run(file, true, report)
}
