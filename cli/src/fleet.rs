//! `upstash-dlq delete` on many lanes.

use crate::args::SelectionArgs;
use crate::bulk::{Job, Stand};
use crate::checkpoint_file::CheckpointFile;
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Report;
use crate::selection::window;
use crate::time::Age;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::ControlFlow;
use upstash_dlq_core::{BulkDelete, DeletePage, Event, Fleet, FleetCheckpoint, FleetObserver, Halt, Totals};

impl Stand for Fleet {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn checkpoint(&self) -> String {
        self.checkpoint().to_json()
    }

    fn how_to_settle(&self, halt: &Halt, _: &SelectionArgs, _: bool) -> String {
        crate::wording::halt(halt)
    }
}

/// The lanes at their start, or where the checkpoint left them.
pub(crate) fn lanes(
    job: &Job<'_>,
    delete: BulkDelete,
    parallel: NonZeroUsize,
    rate: Option<NonZeroU32>,
    file: Option<&CheckpointFile>,
) -> Result<Fleet, String> {
    let now = Age::from_clock().now();
    let saved = file.map(|file| Ok::<_, String>((file, file.read(FleetCheckpoint::from_json)?))).transpose()?;
    let fleet = match saved {
        Some((file, Some(checkpoint))) => {
            job.note_going_on(file, checkpoint.totals());
            let restored = delete.restore_fleet(checkpoint, parallel, now);
            restored.map_err(|error| format!("{error} ({})", file.path().display()))?
        }
        _ => delete.build_fleet(parallel, now),
    };
    Ok(match rate {
        Some(rate) => fleet.rate(rate),
        None => fleet,
    })
}

/// Drives them to their end.
pub(crate) fn run(job: &Job<'_>, mut fleet: Fleet, file: Option<&CheckpointFile>, mut report: Report) -> Report {
    report.set_window(window(fleet.selection()));
    job.show_window(fleet.selection());
    let (mut report, expected, before) = match job.look_and_ask(fleet.selection(), None, report) {
        Ok(asked) => asked,
        Err(report) => return *report,
    };
    report.set_requests_before(before);
    let progress = Progress::new(job.terminal, expected, job.words.done);
    let mut watch = Watch { file, progress, broken: None };
    let driven = job.client.run_fleet(&mut fleet, &mut watch);
    watch.progress.finish();
    job.conclude(&fleet, file, driven, watch.broken, None, report)
}

struct Watch<'a> {
    file: Option<&'a CheckpointFile>,
    progress: Progress,
    /// Why a request was held back.
    broken: Option<String>,
}

fn unless_interrupted() -> ControlFlow<()> {
    if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl FleetObserver for Watch<'_> {
    fn before_send(&mut self, fleet: &Fleet) -> ControlFlow<()> {
        if let Some(Err(sentence)) = self.file.map(|file| file.write(&Stand::checkpoint(fleet))) {
            self.broken = Some(sentence);
            return ControlFlow::Break(());
        }
        unless_interrupted()
    }

    fn after(&mut self, fleet: &Fleet, event: &Event<DeletePage>) -> ControlFlow<()> {
        match event {
            Event::Page(_) => self.progress.on_page(fleet.totals().runs),
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        unless_interrupted()
    }
}
