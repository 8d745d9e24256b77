//! `upstash-dlq delete`.

use crate::bulk::archive;
use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::fleet;
use crate::bulk::look_up;
use crate::bulk::look_up::Stopped;
use crate::bulk::preview;
use crate::bulk::{Job, usage};
use crate::cli::{Delete, Global};
use crate::input::selection::Resolved;
use crate::input::time;
use crate::input::time::Age;
use crate::listing::Speed;
use crate::output::report::{Ending, Exit, Report};
use crate::output::table::Stream;
use crate::output::terminal::Terminal;
use crate::output::wording::DELETE;
use std::process::ExitCode;
use upstash_dlq_core::{BulkDelete, Fingerprint, Selection};

pub(crate) fn run(global: &Global, args: &Delete) -> ExitCode {
    let terminal = Terminal::new(global);
    let resolved = combined(args).and_then(|()| args.selection.resolve(Age::from_clock()));
    let resolved = match resolved.and_then(|resolved| shard(args, resolved)) {
        Ok(resolved) => resolved,
        Err(sentence) => return usage(Report::new(DELETE, (None, None)), sentence).print(&terminal, global.json),
    };
    let mut report = Report::new(DELETE, resolved.window());
    report.missing = resolved.missing();
    delete(global, args, resolved, report).print(&terminal, global.json)
}

fn delete(global: &Global, args: &Delete, resolved: Resolved, report: Report) -> Report {
    let job = match Job::new(global, &args.selection, DELETE, args.yes || args.dry_run, args.max) {
        Ok(job) => job,
        Err(sentence) => return usage(report, sentence),
    };
    let speed = Speed { lanes: args.parallel, rate: args.rate };
    if args.dry_run {
        return dry_run(&job, resolved, speed, args.trust_server, report);
    }
    let build = |selection: Selection| {
        // A shard is a selection of its own, and its checkpoint must not be taken for another's.
        let fingerprint = match args.shard {
            Some(_) => Fingerprint::of(job.client.endpoint(), &selection),
            None => job.fingerprint(&selection),
        };
        BulkDelete::new(job.client.endpoint().clone(), selection)
            .fingerprint(fingerprint)
            .relative_times(args.selection.relative_times())
            .page_size(args.page_size)
            .max(args.max)
            .verify(!args.no_verify)
            .trust_server(args.trust_server)
            .retry(job.policy, job.client.seed())
    };
    let file = match args.checkpoint.clone().map(CheckpointFile::open).transpose() {
        Ok(file) => file,
        Err(sentence) => return usage(report, sentence),
    };
    if let Some(path) = &args.archive {
        return archive::run(&job, resolved, build, path, args.rate, report);
    }
    let selection = match resolved {
        Resolved::Ids(list) => return job.run_ids(list, build, file.as_ref(), |_| Ok(()), args.rate, report),
        Resolved::Matching(selection) => selection,
    };
    fleet::run(&job, build(selection), speed, file.as_ref(), None, report)
}

/// Files that cannot be kept together, or not by a dry run.
fn combined(args: &Delete) -> Result<(), String> {
    match (&args.archive, &args.checkpoint, args.dry_run) {
        (Some(_), Some(_), _) => {
            Err("--archive and --checkpoint cannot be combined: with --archive the same command goes on without one"
                .into())
        }
        (Some(_), None, true) => {
            Err("--archive and --dry-run cannot be combined: a dry run deletes nothing, so that nothing is archived"
                .into())
        }
        (None, Some(_), true) => Err(NO_POSITION.into()),
        _ => Ok(()),
    }
}

pub(crate) const NO_POSITION: &str =
    "--checkpoint and --dry-run cannot be combined: a dry run changes nothing, so that there is no position to keep";

/// This process's part of the window.
fn shard(args: &Delete, resolved: Resolved) -> Result<Resolved, String> {
    let Some(shard) = args.shard else { return Ok(resolved) };
    let absolute = |text: &Option<String>| text.as_deref().is_some_and(|text| !time::is_age(text));
    let filters = &args.selection.filters;
    match resolved {
        Resolved::Matching(Selection::Filter(filter)) if absolute(&filters.from) && absolute(&filters.to) => shard
            .of(filter)
            .map(|filter| Resolved::Matching(Selection::Filter(filter)))
            .map_err(|error| crate::input::selection::with_flag(&error, "--shard")),
        _ => Err("--shard: needs --from and --to as absolute times (no ages such as 7d), since each machine has a clock of its own".into()),
    }
}

/// Shows what delete, resume or restart would act on.
pub(crate) fn dry_run(
    job: &Job<'_>,
    resolved: Resolved,
    speed: Speed,
    trust_server: bool,
    mut report: Report,
) -> Report {
    let counted = match resolved {
        Resolved::Ids(mut list) => match look_up::each(job, &mut list, speed.rate, &mut report) {
            Ok(preview) => Ok(preview),
            Err(Stopped::Failed(failed)) => Err(failed),
            Err(Stopped::NoIds(sentence)) => return report.end(Ending::Halted, Exit::Failure, Some(sentence)),
        },
        Resolved::Matching(selection) => {
            job.show_window(&selection);
            let (requests, counted) =
                preview::count(&job.client, &selection, u64::MAX, job.policy, speed, job.terminal);
            report.set_requests_before(requests);
            counted
        }
    };
    match counted {
        Ok(preview) => {
            preview.sample_lines(Stream::Error).iter().for_each(|line| job.terminal.note(line));
            preview.doubts().iter().for_each(|line| job.terminal.note(line));
            report.matching = Some(preview.matching);
            report.at_most = job.max.map(std::num::NonZeroU64::get);
            if let Some(mismatch) = preview.mismatch.filter(|_| !trust_server) {
                return report.end(
                    Ending::Halted,
                    Exit::Failure,
                    Some(format!("{mismatch}; nothing was {}", job.words.done)),
                );
            }
            report.end(Ending::DryRun, Exit::Success, None)
        }
        Err(failed) => job.failed_before(report, failed),
    }
}
