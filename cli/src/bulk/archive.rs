//! `upstash-dlq delete --archive`: deletes a run only once its message is on disk.

use crate::bulk::archive_file::{ArchiveFile, FoundArchive};
use crate::bulk::confirm::{Confirmed, confirm, show_window};
use crate::bulk::context::BulkContext;
use crate::drive;
use crate::input::ids::IdList;
use crate::input::selection::Resolved;
use crate::interrupt;
use crate::output::progress::Progress;
use crate::output::report::{Ending, Exit, Report};
use crate::output::text::{self, shown, thousands};
use crate::output::wording;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Instant;
use upstash_dlq_core::{ArchiveDelete, ArchiveOutcome, ArchiveStep, BulkDelete, Event, OutOfTurn, Selection};

enum Stop {
    Interrupted,
    /// The archive cannot be written.
    Broken(String),
    Done(ArchiveOutcome),
}

pub(crate) fn run(
    bulk: &BulkContext<'_>,
    resolved: Resolved,
    build: impl Fn(Selection) -> BulkDelete,
    path: &Path,
    rate: Option<NonZeroU32>,
    report: Report,
) -> Report {
    // The file is locked and checked before anything is sent, and changed only after the question: a no leaves no file
    // behind.
    let found = match FoundArchive::at(path) {
        Ok(found) => found,
        Err(sentence) => return report.wrong_usage(sentence),
    };
    let (mut list, mut taken) = (None, 0);
    let selection = match resolved {
        Resolved::Matching(selection) => selection,
        Resolved::Ids(mut ids) => match ids.part(0) {
            Ok(Some(part)) => {
                (list, taken) = (Some(ids), part.len() as u64);
                Selection::Ids(part)
            }
            Ok(None) => return report.wrong_usage("--ids-from: no ids found".into()),
            Err(sentence) => return report.wrong_usage(sentence),
        },
    };
    show_window(bulk, &selection);
    let total = list.as_ref().map(IdList::total);
    let Confirmed { mut report, expected, requests } = match confirm(bulk, &selection, total, None, report) {
        Ok(confirmed) => confirmed,
        Err(report) => return *report,
    };
    report.archived = Some(0);
    let mut file = match found.open() {
        Ok(file) => file,
        Err(sentence) if requests == 0 => return report.wrong_usage(sentence),
        Err(sentence) => {
            return report.end(Ending::Halted, Exit::Failure, Some(format!("{sentence}; nothing was deleted")));
        }
    };
    if file.repaired() {
        bulk.terminal().note(&format!("removed an incomplete last line from {}", shown(path)));
    }
    let mut progress = Progress::new(bulk.terminal(), expected, "archived and deleted");
    let mut machine = build(selection).build_with_archive();
    let (mut archived, mut absent, mut unchecked) = (0, 0, 0);
    let stop = loop {
        let stop = archive_and_delete(bulk, &mut machine, &mut file, rate, &mut progress);
        let so_far = machine.outcome_so_far();
        archived += so_far.archived;
        absent += so_far.absent;
        unchecked += so_far.unchecked;
        report.set_totals(so_far.totals);
        let whole = matches!(&stop, Stop::Done(outcome) if outcome.halted.is_none() && outcome.verified);
        match list.as_mut().filter(|_| whole).map(|list| list.part(taken)) {
            Some(Ok(Some(ids))) => {
                let more = ids.len() as u64;
                machine = build(Selection::Ids(ids)).part(taken, so_far.totals).build_with_archive();
                taken += more;
            }
            Some(Err(sentence)) => break Stop::Broken(sentence),
            Some(Ok(None)) | None => break stop,
        }
    };
    progress.finish();
    report.archived = Some(archived);
    report.missing = list.as_ref().map(|_| absent);
    match stop {
        Stop::Interrupted => {
            let path = shown(path);
            report.how_on = Some(format!("run the same command again to continue: it appends to {path}"));
            report.end(Ending::Cancelled, Exit::Interrupted, Some("interrupted".into()))
        }
        Stop::Broken(sentence) => report.end(Ending::Halted, Exit::Failure, Some(sentence)),
        Stop::Done(ArchiveOutcome { halted: Some(halt), .. }) => {
            report.end(Ending::Halted, Exit::Failure, Some(wording::halt(&halt, bulk.client.endpoint())))
        }
        Stop::Done(outcome) => {
            // Nothing is stored after the last delete, so this is the only check that notices a file that has gone since.
            if let Err(sentence) = file.is_untouched() {
                return report.end(Ending::Halted, Exit::Failure, Some(sentence));
            }
            report.verified = outcome.verified;
            let absent = match absent {
                0 => String::new(),
                absent => format!(", {}", text::absent(absent)),
            };
            let unchecked = match unchecked {
                0 => String::new(),
                unchecked => format!(", {} lack a field that the filter names", thousands(unchecked)),
            };
            let reached = bulk.max.is_some_and(|max| report.runs() >= max.get());
            let reached = if reached { ", the maximum was reached" } else { "" };
            report.note =
                Some(format!("{} archived in {}{absent}{unchecked}{reached}", thousands(archived), shown(path)));
            report.end(Ending::Complete, Exit::Success, None)
        }
    }
}

fn archive_and_delete(
    bulk: &BulkContext<'_>,
    machine: &mut ArchiveDelete,
    file: &mut ArchiveFile,
    rate: Option<NonZeroU32>,
    progress: &mut Progress,
) -> Stop {
    loop {
        if interrupt::requested() {
            return Stop::Interrupted;
        }
        let told: Result<Event<()>, OutOfTurn> = match machine.poll() {
            ArchiveStep::Done(outcome) => return Stop::Done(outcome),
            ArchiveStep::Wait(wait) => {
                interrupt::sleep(wait);
                continue;
            }
            ArchiveStep::Store(messages) => {
                if let Err(sentence) = file.append(messages) {
                    return Stop::Broken(sentence);
                }
                machine.stored().map(|()| Event::Ended)
            }
            ArchiveStep::Send(request) => {
                let sent = Instant::now();
                let event = match bulk.client.send(request) {
                    Ok(response) => machine.on_response(&response),
                    Err(failure) => machine.on_failure(failure),
                };
                drive::hold_back(sent, rate);
                event
            }
        };
        match told {
            Ok(Event::Retry(retried)) => progress.on_retry(&retried),
            Ok(_) => progress.on_page(machine.totals().runs),
            // Cannot happen: each step gets its response in turn. Continuing could only make it worse.
            Err(error) => return Stop::Broken(error.to_string()),
        }
    }
}
