//! `upstash-dlq delete --archive`: deletes a run only once its message is on disk.

use crate::bulk::archive_file::{ArchiveFile, FoundArchive};
use crate::bulk::confirm::{Confirmed, confirm, show_window};
use crate::bulk::context::BulkContext;
use crate::bulk::settle;
use crate::drive::{Handler, Parallelism};
use crate::exit::Exit;
use crate::input::ids::IdList;
use crate::input::selection::Resolved;
use crate::input::time::Now;
use crate::output::progress::Progress;
use crate::output::report::{Ending, Report};
use crate::output::text::{self, shown, thousands};
use crate::output::wording;
use std::ops::ControlFlow;
use std::path::Path;
use upstash_dlq_core::operation::{ArchiveOutcome, ArchivePage, BulkBuilder};
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{ArchivedDelete, Driven, Selection};

enum Stop {
    Interrupted,
    /// The archive cannot be written.
    Broken(String),
    Done(ArchiveOutcome),
}

pub(crate) fn run(
    bulk: &BulkContext<'_>,
    resolved: Resolved,
    build: impl Fn(Selection) -> BulkBuilder<Delete>,
    path: &Path,
    parallelism: Parallelism,
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
    settle::announce::<Delete>(bulk, false, report.window());
    let build = |selection| {
        build(selection).lanes(parallelism.lanes, Now::from_clock().millis()).max_requests_per_second(parallelism.rate)
    };
    let mut operation = build(selection).build_archived();
    let mut archived = 0;
    let stop = loop {
        let stop = archive_and_delete(bulk, &mut operation, &mut file, &mut progress, &mut archived);
        let so_far = operation.outcome_so_far();
        report.set_totals(so_far.totals);
        // Ids are not compared with anything, and a filter has one operation.
        report.unchecked = so_far.unchecked;
        let whole = matches!(&stop, Stop::Done(outcome) if outcome.halted.is_none() && outcome.verified);
        match list.as_mut().filter(|_| whole).map(|list| list.part(taken)) {
            Some(Ok(Some(ids))) => {
                let more = ids.len() as u64;
                operation = build(Selection::Ids(ids)).part(taken, so_far.totals).build_archived();
                taken += more;
            }
            Some(Err(sentence)) => break Stop::Broken(format!("{sentence}; run the same command again")),
            Some(Ok(None)) | None => break stop,
        }
    };
    progress.finish();
    report.archived = Some(archived);
    // The totals of a part go on from those of the parts before it.
    let missing = operation.outcome_so_far().totals.missing;
    report.missing = list.as_ref().map(|_| missing);
    match stop {
        Stop::Interrupted => {
            let path = shown(path);
            report.how_on = Some(format!(
                "{}: it appends to {path}{}{}",
                wording::AGAIN,
                bulk.since(report.window()),
                bulk.what_is_left(Some(report.runs()).filter(|_| report.is_exact()))
            ));
            report.end(Ending::Cancelled, Exit::Interrupted, Some("interrupted".into()))
        }
        Stop::Broken(sentence) => report.end(Ending::Halted, Exit::Failure, Some(sentence)),
        Stop::Done(ArchiveOutcome { halted: Some(halt), .. }) => {
            report.note_halt(&halt);
            report.end(Ending::Halted, Exit::Failure, Some(wording::halt(&halt, bulk.client.endpoint())))
        }
        Stop::Done(outcome) => {
            // Nothing is stored after the last delete, so this is the only check that notices a file that has gone since.
            if let Err(sentence) = file.is_untouched() {
                return report.end(Ending::Halted, Exit::Failure, Some(sentence));
            }
            report.verified = outcome.verified;
            let absent = match missing {
                0 => String::new(),
                missing => format!(", {}", text::absent(missing)),
            };
            let reached = bulk.max.is_some_and(|max| report.runs() >= max.get());
            let reached = if reached { ", the maximum was reached" } else { "" };
            report.note = Some(format!("{} archived in {}{absent}{reached}", thousands(archived), shown(path)));
            report.end(Ending::Complete, Exit::Success, None)
        }
    }
}

fn archive_and_delete(
    bulk: &BulkContext<'_>,
    operation: &mut ArchivedDelete,
    file: &mut ArchiveFile,
    progress: &mut Progress,
    archived: &mut u64,
) -> Stop {
    let mut keeper = Keeper { file, written: Vec::new(), archived, broken: None };
    let driven = bulk.run(operation, progress, &mut keeper);
    // What came after the last wait is in the file, too, though nothing deletes it any more.
    if keeper.broken.is_none() {
        let _ = keeper.sync();
    }
    match (driven, keeper.broken) {
        (Driven::Done(outcome), _) => Stop::Done(outcome),
        (Driven::Stopped, Some(sentence)) => Stop::Broken(sentence),
        (Driven::Stopped, None) => Stop::Interrupted,
    }
}

/// Puts each batch on disk before it is deleted. Batches that arrive at the same time share one sync.
struct Keeper<'a> {
    file: &'a mut ArchiveFile,
    /// The batches that are written and not yet synced, and how many messages they have.
    written: Vec<(u64, usize)>,
    /// How many messages are on disk.
    archived: &'a mut u64,
    /// Why the archive cannot be written.
    broken: Option<String>,
}

impl Keeper<'_> {
    fn unless_broken<T>(&mut self, result: Result<T, String>) -> ControlFlow<(), T> {
        result.map_or_else(
            |sentence| {
                // The first reason counts: later writes fail because of it.
                self.broken.get_or_insert(sentence);
                ControlFlow::Break(())
            },
            ControlFlow::Continue,
        )
    }

    /// Returns the batches that are on disk from now on.
    fn sync(&mut self) -> ControlFlow<(), Vec<u64>> {
        if self.written.is_empty() {
            return ControlFlow::Continue(Vec::new());
        }
        let synced = self.file.sync();
        self.unless_broken(synced)?;
        let count = |(number, messages)| {
            *self.archived += messages as u64;
            number
        };
        ControlFlow::Continue(self.written.drain(..).map(count).collect())
    }
}

impl Handler<ArchivedDelete, ArchivePage> for Keeper<'_> {
    /// While other lanes were busy, somebody may have taken the file away.
    fn before_send(&mut self, _operation: &ArchivedDelete, _progress: &mut Progress) -> ControlFlow<()> {
        let untouched = self.file.is_untouched();
        self.unless_broken(untouched)
    }

    fn on_page(
        &mut self,
        operation: &mut ArchivedDelete,
        page: &ArchivePage,
        progress: &mut Progress,
    ) -> ControlFlow<()> {
        if let Some(batch) = &page.batch {
            let written = self.file.write(&batch.messages);
            self.unless_broken(written)?;
            self.written.push((batch.number, batch.messages.len()));
        }
        progress.on_page(operation.totals().affected);
        ControlFlow::Continue(())
    }

    fn before_wait(&mut self, operation: &mut ArchivedDelete) -> ControlFlow<(), bool> {
        let numbers = self.sync()?;
        for number in &numbers {
            // The batch waits for this, so it is no invalid state.
            if operation.stored(*number).is_err() {
                self.broken = Some("internal: a batch was stored twice".to_owned());
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(!numbers.is_empty())
    }
}
