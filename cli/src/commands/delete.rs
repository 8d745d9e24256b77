//! `upstash-dlq delete`.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::BulkContext;
use crate::bulk::finish::finish;
use crate::bulk::{archive, by_filter, by_ids, dry_run};
use crate::cli::Delete;
use crate::context::Context;
use crate::drive::Parallelism;
use crate::exit::{CommandError, ExitStatus};
use crate::input::flag;
use crate::input::selection::Resolved;
use crate::input::time;
use crate::output::report::Report;
use crate::output::wording::DELETE;
use upstash_dlq_core::Selection;
use upstash_dlq_core::checkpoint::Fingerprint;
use upstash_dlq_core::selection::Refined;

pub(crate) fn run(context: &Context<'_>, args: &Delete) -> Result<ExitStatus, CommandError> {
    let resolved = combined(args).and_then(|()| args.selection.resolve(context.now));
    let (report, file) = match resolved.and_then(|resolved| shard(args, resolved)) {
        Ok(resolved) => delete(context, args, resolved),
        Err(sentence) => (Report::new(DELETE, (None, None)).wrong_usage(sentence), None),
    };
    finish(report, file, context.terminal)
}

/// Returns the checkpoint's file, too, which stays locked until the report is printed.
fn delete(context: &Context<'_>, args: &Delete, resolved: Resolved) -> (Report, Option<CheckpointFile>) {
    let mut report = Report::new(DELETE, resolved.window()).with_missing(resolved.missing());
    report.archived = args.archive.as_ref().map(|_| 0);
    let bulk = match BulkContext::new(context, &args.selection, DELETE, args.yes || args.dry_run, args.max, args.rate) {
        Ok(bulk) => bulk,
        Err(sentence) => return (report.wrong_usage(sentence), None),
    };
    // One page is one request, whatever lanes there are.
    let one_page = args.max.is_some_and(|max| max.get() <= u64::from(args.page_size.get()))
        && args.selection.refinements.first_given().is_none();
    let in_order = args.parallel.get() == 1 || one_page;
    let bulk = BulkContext { archive: args.archive.as_deref(), in_order, ..bulk };
    if args.dry_run {
        let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
        return (dry_run::run(&bulk, resolved, parallelism, args.trust_server, report), None);
    }
    let file = match args.checkpoint.clone().map(CheckpointFile::open).transpose() {
        Ok(file) => file,
        Err(sentence) => return (report.wrong_usage(sentence), None),
    };
    (delete_with(&bulk, args, resolved, file.as_ref(), report), file)
}

/// Deletes what was resolved, and ends the report.
pub(crate) fn delete_with(
    bulk: &BulkContext<'_>,
    args: &Delete,
    resolved: Resolved,
    file: Option<&CheckpointFile>,
    report: Report,
) -> Report {
    let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
    let build = |selection: Selection| {
        // Each shard is a selection of its own: its checkpoint must not be taken for that of another shard.
        let shard = args.shard.map(|_| Fingerprint::from_selection(bulk.client.endpoint(), &selection));
        let builder =
            bulk.builder(selection).page_size(args.page_size).verify(!args.no_verify).trust_server(args.trust_server);
        match shard {
            Some(fingerprint) => builder.fingerprint(fingerprint),
            None => builder,
        }
    };
    match (&args.archive, resolved) {
        (Some(path), resolved) => archive::run(bulk, resolved, build, path, parallelism, report),
        (None, Resolved::Ids(list)) => by_ids::run(bulk, list, build, parallelism, file, None, report),
        (None, Resolved::Matching(selection)) => {
            by_filter::run(bulk, build(selection), parallelism, file, None, report)
        }
    }
}

/// Refuses combinations of --archive, --checkpoint and --dry-run that make no sense.
fn combined(args: &Delete) -> Result<(), String> {
    match (&args.archive, &args.checkpoint, args.dry_run) {
        (Some(_), Some(_), _) => {
            Err("--archive and --checkpoint cannot be combined: with --archive, running the same command again continues without a checkpoint"
                .into())
        }
        (Some(_), None, true) => {
            Err("--archive and --dry-run cannot be combined: a dry run deletes nothing, so there is nothing to archive"
                .into())
        }
        (None, Some(_), true) => Err(dry_run::NO_POSITION.into()),
        _ => Ok(()),
    }
}

const NEEDS_TIMES: &str =
    "--shard: needs --from and --to as absolute times (no ages such as 7d), because each machine has its own clock";

/// This process's part of the window.
fn shard(args: &Delete, resolved: Resolved) -> Result<Resolved, String> {
    let Some(shard) = args.shard else { return Ok(resolved) };
    let absolute = |text: &Option<String>| text.as_deref().is_some_and(|text| !time::is_age(text));
    let filters = &args.selection.filters;
    match resolved {
        Resolved::Matching(Selection::Refined(refined)) if absolute(&filters.from) && absolute(&filters.to) => {
            let filter = refined.filter().cloned().ok_or(NEEDS_TIMES)?;
            let filter = shard.of(filter).map_err(|error| flag::sentence("--shard", &error))?;
            let refined = Refined::new(Some(filter), refined.refinement().clone());
            Ok(Resolved::Matching(Selection::Refined(refined)))
        }
        Resolved::Matching(Selection::Filter(filter)) if absolute(&filters.from) && absolute(&filters.to) => shard
            .of(filter)
            .map(|filter| Resolved::Matching(Selection::Filter(filter)))
            .map_err(|error| flag::sentence("--shard", &error)),
        _ => Err(NEEDS_TIMES.into()),
    }
}
