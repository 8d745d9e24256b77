//! `upstash-dlq delete`.

use crate::args::{Delete, Global};
use crate::bulk::{Job, usage};
use crate::checkpoint_file::CheckpointFile;
use crate::report::{Ending, Exit, Report};
use crate::selection::window;
use crate::terminal::Terminal;
use crate::time::Age;
use crate::wording::DELETE;
use crate::{archive, preview};
use std::process::ExitCode;
use upstash_dlq_core::{BulkDelete, Selection};

pub(crate) fn run(global: &Global, args: &Delete) -> ExitCode {
    let terminal = Terminal::new(global);
    let selection = match args.selection.resolve(Age::from_clock()) {
        Ok(selection) => selection,
        Err(sentence) => {
            terminal.error(&sentence);
            return ExitCode::from(2);
        }
    };
    let report = Report::new(DELETE, window(&selection));
    delete(global, args, selection, report).print(&terminal, global.json)
}

fn delete(global: &Global, args: &Delete, selection: Selection, report: Report) -> Report {
    let job = match Job::new(global, &args.selection, DELETE, args.yes || args.dry_run, args.max) {
        Ok(job) => job,
        Err(sentence) => return usage(report, sentence),
    };
    if args.dry_run {
        return dry_run(&job, &selection, report);
    }
    let fingerprint = job.fingerprint(&selection);
    let builder = BulkDelete::new(job.client.endpoint().clone(), selection)
        .fingerprint(fingerprint)
        .page_size(args.page_size)
        .max(args.max)
        .verify(!args.no_verify)
        .retry(job.policy, job.client.seed());
    if let Some(path) = &args.archive {
        return archive::run(&job, builder.build_with_archive(), path, report);
    }
    let file = args.checkpoint.clone().map(CheckpointFile::new);
    match job.machine(builder, file.as_ref()) {
        Ok(bulk) => job.run(bulk, args.checkpoint.clone(), report),
        Err(sentence) => usage(report, sentence),
    }
}

fn dry_run(job: &Job<'_>, selection: &Selection, mut report: Report) -> Report {
    job.show_window(selection);
    let (requests, counted) = preview::count(&job.client, selection, u64::MAX, job.policy);
    report.set_requests_before(requests);
    match counted {
        Ok(preview) => {
            preview.sample_lines().iter().for_each(|line| job.terminal.note(line));
            report.matching = Some(preview.matching);
            report.end(Ending::DryRun, Exit::Success, None)
        }
        Err(failed) => job.failed_before(report, failed),
    }
}
