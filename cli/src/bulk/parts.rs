//! Runs a bulk operation on ids of any number, part by part, so that only one part is in memory.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::BulkContext;
use crate::bulk::outcome::{already_complete, conclude, save};
use crate::bulk::reporter::BulkReporter;
use crate::bulk::settle;
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::output::report::{Ending, Report};
use crate::output::text::thousands;
use crate::output::wording;
use upstash_dlq_core::operation::{Bulk, BulkBuilder};
use upstash_dlq_core::selection::Ids;
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{Checkpoint, Driven, Settlement, Totals};

/// Where ids come from.
pub(crate) trait IdSource {
    /// How many there are, each counted once.
    fn total(&self) -> u64;
    /// The ids after the first `before`, as many as one part holds. `None` if there are none.
    fn part(&mut self, before: u64) -> Result<Option<Ids>, String>;
    /// Whether the same command can read them again after an error.
    fn is_read_again(&self) -> bool;
}

/// An operation on one part of the ids, and where its others come from.
pub(crate) struct Parts<'a, O: BulkOperation, S, B> {
    bulk: &'a BulkContext<'a>,
    source: S,
    build: B,
    pub(crate) operation: Bulk<O>,
    /// How many ids this part and those before it hold.
    taken: u64,
}

impl<'a, O, S, B> Parts<'a, O, S, B>
where
    O: BulkOperation,
    S: IdSource,
    B: Fn(Ids, u64, Totals) -> BulkBuilder<O>,
{
    /// Begins with the first part, or where the checkpoint left off. `build` takes the ids of a part, how many lie before them,
    /// and what was done with those.
    pub(crate) fn begin(
        bulk: &'a BulkContext<'a>,
        mut source: S,
        build: B,
        file: Option<&CheckpointFile>,
        saved: Option<Checkpoint>,
        settlement: Option<Settlement>,
    ) -> Result<Self, String> {
        let before = saved.as_ref().map_or(0, Checkpoint::ids_before);
        let ids = source.part(before)?.ok_or_else(|| wording::OTHER_LIST.to_owned())?;
        let taken = before + ids.len() as u64;
        let builder = build(ids, before, Totals::default());
        let is_shown = saved.as_ref().is_some_and(Checkpoint::is_doubt_shown);
        let mut operation = match file.zip(saved) {
            Some((file, checkpoint)) => {
                let totals = checkpoint.totals();
                let operation = builder.resume_from(checkpoint);
                let operation = operation.map_err(|error| wording::checkpoint(&error, None, file.path()))?;
                bulk.note_continuing(file.path(), totals);
                operation
            }
            None => builder.build(),
        };
        settle::apply(bulk, settlement, Some(&mut operation), is_shown, file)?;
        Ok(Self { bulk, source, build, operation, taken })
    }

    /// Whether it has nothing left to do.
    pub(crate) fn are_complete(&self) -> bool {
        // A part that has come to its maximum is the last one.
        already_complete(&self.operation).is_some_and(|end| !end.verified || self.taken >= self.source.total())
    }

    /// Drives all parts to their end. `given` is whether somebody gave these very ids: then missing ones are counted.
    pub(crate) fn run(self, file: Option<&CheckpointFile>, given: bool, mut report: Report) -> Report {
        let Self { bulk, mut source, build, mut operation, mut taken } = self;
        let total = source.total();
        report.begin_at(operation.totals().affected);
        let mut progress = Progress::new(bulk.terminal(), Some(total), bulk.verb.done);
        let mut reporter = BulkReporter::new(bulk.terminal(), file);
        settle::announce::<O>(bulk, file.is_some(), report.window());
        loop {
            let driven = bulk.run(&mut operation, &mut progress, &mut reporter);
            let whole = matches!(&driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.verified);
            let next = if whole { source.part(taken) } else { Ok(None) };
            report.missing = given.then(|| operation.totals().missing);
            match next {
                Ok(Some(ids)) => {
                    let more = ids.len() as u64;
                    operation = build(ids, taken, operation.totals()).build();
                    taken += more;
                }
                Ok(None) => {
                    progress.finish();
                    let ids = given.then_some(total);
                    let mut report = conclude(bulk, &operation, file, driven, reporter.broken, ids, report);
                    // All listed ids were acted on, which does not mean that nothing else matches.
                    report.verified &= given;
                    return report;
                }
                Err(sentence) => {
                    progress.finish();
                    report.set_totals(operation.totals());
                    let advice = match (O::RETRY_SAFE || file.is_some(), given) {
                        (true, _) if source.is_read_again() => "; run the same command again".to_owned(),
                        (true, _) => String::new(),
                        // The same command would start them again.
                        (false, true) => {
                            let taken = thousands(taken);
                            format!("; the first {taken} different ids of the list were handled: leave them out")
                        }
                        (false, false) => {
                            "; a run that is still listed may have been started: look for it before you run again"
                                .to_owned()
                        }
                    };
                    let sentence = sentence + &advice;
                    return save(&operation, file, report).end(Ending::Halted, Exit::Failure, Some(sentence));
                }
            }
        }
    }
}
