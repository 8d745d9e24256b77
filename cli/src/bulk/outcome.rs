//! Turns the end of a bulk operation into its report.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::BulkContext;
use crate::bulk::reporter::Broken;
use crate::bulk::settle;
use crate::exit::Exit;
use crate::output::report::{Ending, Report};
use crate::output::terminal::Lost;
use crate::output::text::{absent, runs};
use crate::output::wording::{self, VerbText};
use std::num::NonZeroU64;
use std::time::Duration;
use upstash_dlq_core::operation::Bulk;
use upstash_dlq_core::wire::BulkOperation;
use upstash_dlq_core::{Driven, Halt, Operation, Outcome, Selection, Step};

/// `ids` is how many ids were given, if any.
pub(crate) fn conclude<O: BulkOperation>(
    bulk: &BulkContext<'_>,
    operation: &Bulk<O>,
    file: Option<&CheckpointFile>,
    driven: Driven<Outcome>,
    broken: Option<Broken>,
    ids: Option<u64>,
    mut report: Report,
) -> Report {
    report.set_totals(operation.totals());
    report.unchecked += operation.outcome_so_far().unchecked;
    let outcome = match driven {
        Driven::Done(outcome) => outcome,
        Driven::Stopped => return stopped(bulk, operation, file, broken, report),
    };
    report.verified = outcome.verified;
    match outcome.halted {
        Some(halt) => {
            report.unsettled = operation.in_doubt().is_some();
            report.note_halt(&halt);
            let is_missing =
                matches!(&halt, Halt::Refused { error, .. } if is_by_ids(operation) && error.is_run_missing());
            report.is_dead_end = is_missing || halt == Halt::MaximumUnconfirmed || operation.is_in_circles();
            let sentence = match &halt {
                Halt::InDoubt { .. } => settle::how_to(operation, &halt, bulk, file.is_some()),
                _ if is_missing => {
                    let sentence = wording::halt(&halt, bulk.client.endpoint());
                    one_is_missing(&sentence, ids, report.runs() > 0 || !report.is_exact())
                }
                _ => wording::halt(&halt, bulk.client.endpoint()),
            };
            save(operation, file, report).end(Ending::Halted, Exit::Failure, Some(sentence))
        }
        None => {
            let gone = if ids.is_none() && is_by_ids(operation) { operation.totals().missing } else { 0 };
            let earlier = report.already_complete.then_some("an earlier command did that, and nothing was sent now");
            let notes = note(bulk.verb, ids, bulk.max, gone, &report).into_iter().chain(earlier.map(str::to_owned));
            report.note = notes.reduce(|first, second| format!("{first}; {second}"));
            if let Some(file) = file {
                keep_end(bulk, operation, file, &mut report);
            }
            report.end(Ending::Complete, Exit::Success, None)
        }
    }
}

/// The end that an operation has come to, before it sends anything.
pub(crate) fn already_complete<O: BulkOperation>(operation: &Bulk<O>) -> Option<Outcome> {
    match operation.clone().poll(Duration::ZERO) {
        Step::Done(outcome) => Some(outcome).filter(|outcome| outcome.halted.is_none()),
        _ => None,
    }
}

/// Whether it starts runs by their ids.
fn is_by_ids<O: BulkOperation>(operation: &Bulk<O>) -> bool {
    !O::RETRY_SAFE && matches!(operation.selection(), Selection::Ids(_))
}

/// What to do after a start that was refused as a whole because of one run. The service does not say which. `ids` is how many
/// were given; otherwise they were listed before. `are_some_started` is whether earlier requests have started runs, or may have.
fn one_is_missing(sentence: &str, ids: Option<u64>, are_some_started: bool) -> String {
    match ids {
        Some(_) if are_some_started => format!(
            "{sentence}; at least one of these ids is not in the DLQ, so the service started none of the runs of that request; earlier requests started runs, so run again only with the ids of runs that were not started; `upstash-dlq get ID…` names the missing one"
        ),
        None if are_some_started => format!(
            "{sentence}; at least one of the listed runs has left the DLQ, so the service started none of the runs of that request; earlier requests started runs: one that is still listed may have been started, so look for it before you run again"
        ),
        Some(1) => format!("{sentence}; the id is not in the DLQ, so nothing was started"),
        Some(_) => format!(
            "{sentence}; at least one of these ids is not in the DLQ, so the service started none of the runs of that request; `upstash-dlq get ID…` names it; take it out and run again"
        ),
        None => format!(
            "{sentence}; at least one of the listed runs has left the DLQ, so the service started none of the runs of that request; run again, which lists anew"
        ),
    }
}

/// The operation was stopped by an interrupt, or by something that could not be written.
fn stopped(
    bulk: &BulkContext<'_>,
    operation: &Bulk<impl BulkOperation>,
    file: Option<&CheckpointFile>,
    broken: Option<Broken>,
    mut report: Report,
) -> Report {
    report.unsettled = operation.in_doubt().is_some();
    // What may have been started has to be looked at, however the command ended.
    let halt = operation.outcome_so_far().halted.filter(|_| report.unsettled);
    let doubt = halt.map(|halt| settle::how_to(operation, &halt, bulk, file.is_some()));
    let with_doubt = |sentence: &str| match &doubt {
        Some(doubt) => format!("{sentence}; {doubt}"),
        None => sentence.to_owned(),
    };
    match broken {
        Some(Broken::Output(Lost::NoReader)) => {
            let runs = runs(operation.totals().affected);
            let sentence = format!("stopped after {runs}: standard output was closed");
            if doubt.is_some() {
                return save(operation, file, report).end(Ending::Halted, Exit::Failure, Some(with_doubt(&sentence)));
            }
            // A reader that has gone wanted no more.
            bulk.terminal().note(&sentence);
            save(operation, file, report).end(Ending::Halted, Exit::Success, None)
        }
        Some(Broken::Output(Lost::Unwritable(sentence))) => {
            report.output_lost = true;
            let reason = Some(with_doubt(&format!("{sentence}; nothing further was sent")));
            save(operation, file, report).end(Ending::Halted, Exit::Failure, reason)
        }
        // The position on disk may be older than what has happened since. Perhaps it can be saved now.
        Some(Broken::Checkpoint(sentence)) => {
            let reason = Some(with_doubt(&format!("{sentence}; the next request was not sent")));
            report = save(operation, file, report);
            // Said already.
            report.unsaved = None;
            report.end(Ending::Halted, Exit::Failure, reason)
        }
        None => {
            if doubt.is_none() {
                report.how_on = Some(if bulk.verb == wording::DELETE {
                    bulk.again(report.window(), Some(report.runs()).filter(|_| report.is_exact()))
                } else {
                    "the remaining runs are still in the DLQ".to_owned()
                });
            }
            let reason = Some(with_doubt("interrupted"));
            save(operation, file, report).end(Ending::Cancelled, Exit::Interrupted, reason)
        }
    }
}

/// Saves the position at the end of a command that did not complete.
pub(crate) fn save(operation: &Bulk<impl BulkOperation>, file: Option<&CheckpointFile>, mut report: Report) -> Report {
    if let Some(file) = file {
        report.unsaved = file.write(&operation.checkpoint().to_json()).err();
        report.is_earlier = report.unsaved.is_some();
        report.checkpoint = kept(file);
    }
    report
}

/// Saves that the command is complete, until that is told. A checkpoint that is not ours any more is told, because the next command
/// would continue from it.
fn keep_end(bulk: &BulkContext<'_>, operation: &Bulk<impl BulkOperation>, file: &CheckpointFile, report: &mut Report) {
    match file.write_end(&operation.checkpoint().to_json()) {
        Ok(is_saved) => (report.kept_end, report.is_earlier) = (kept(file), !is_saved),
        Err(sentence) => {
            bulk.terminal().error(&sentence);
            report.checkpoint = kept(file);
            report.is_dead_end = true;
        }
    }
}

/// The path of the file, if it holds a position. It may be an older one, if the last could not be written.
fn kept(file: &CheckpointFile) -> Option<String> {
    Some(file.path()).filter(|path| path.is_file()).map(|path| path.display().to_string())
}

/// What there is to say after a complete run. `gone` is how many listed runs a start did not find any more.
fn note(verb: VerbText, ids: Option<u64>, max: Option<NonZeroU64>, gone: u64, report: &Report) -> Option<String> {
    Some(match ids {
        None if gone > 0 => {
            format!("{} listed before {} not {}", runs(gone), if gone == 1 { "was" } else { "were" }, verb.done)
        }
        Some(_) if !report.verified => "the maximum was reached".into(),
        Some(_) => match report.missing.unwrap_or(0) {
            0 if report.is_exact() => "all ids found".into(),
            0 => "it is unknown whether all ids were found".into(),
            missing if report.is_exact() => absent(missing),
            missing => format!("at least {}", absent(missing)),
        },
        None if max.is_some_and(|max| report.runs() >= max.get()) => "the maximum was reached".into(),
        // A delete that looked at everything is verified then. Another one has spent its maximum on listed runs that were gone.
        None if report.runs() == 0 && report.is_exact() && (verb != wording::DELETE || report.verified) => {
            "nothing matched".into()
        }
        None if verb != wording::DELETE => return None,
        None if report.verified => "the verification pass found nothing left".into(),
        None => "not verified".into(),
    })
}
