//! `upstash-dlq resume` and `upstash-dlq restart`.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::context::BulkContext;
use crate::bulk::finish::finish;
use crate::bulk::{by_ids, dry_run, list_then_start};
use crate::cli::{Settle, Start};
use crate::context::Context;
use crate::drive::Parallelism;
use crate::exit::{CommandError, ExitStatus};
use crate::input::selection::Resolved;
use crate::output::report::Report;
use crate::output::wording::VerbText;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::wire::{BulkOperation, Overrides, Restart, Resume};
use upstash_dlq_core::{Selection, Settlement};

/// Resume and restart take overrides; delete does not.
pub(crate) trait Starts: BulkOperation {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self>;
}

impl Starts for Resume {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self> {
        builder.overrides(overrides)
    }
}

impl Starts for Restart {
    fn with(builder: BulkBuilder<Self>, overrides: Overrides) -> BulkBuilder<Self> {
        builder.overrides(overrides)
    }
}

pub(crate) fn run<V: Starts>(context: &Context<'_>, args: &Start) -> Result<ExitStatus, CommandError> {
    let (report, file) = match prepare(context, args) {
        Ok((resolved, overrides)) => start::<V>(context, args, resolved, overrides),
        Err(sentence) => (Report::new(VerbText::of::<V>(), (None, None)).wrong_usage(sentence), None),
    };
    finish(report, file, context.terminal)
}

fn prepare(context: &Context<'_>, args: &Start) -> Result<(Resolved, Overrides), String> {
    if args.dry_run && args.checkpoint.is_some() {
        return Err(dry_run::NO_POSITION.into());
    }
    Ok((args.selection.resolve(context.now)?, args.overrides.build()?))
}

/// Returns the checkpoint's file, too, which stays locked until the report is printed.
fn start<V: Starts>(
    context: &Context<'_>,
    args: &Start,
    resolved: Resolved,
    overrides: Overrides,
) -> (Report, Option<CheckpointFile>) {
    let verb = VerbText::of::<V>();
    let mut report = Report::new(verb, resolved.window()).with_missing(resolved.missing());
    report.settles = args.settle.is_some();
    let bulk = match BulkContext::new(context, &args.selection, verb, args.yes || args.dry_run, args.max, args.rate) {
        Ok(bulk) => BulkContext { in_order: args.parallel.get() == 1, ..bulk },
        Err(sentence) => return (report.wrong_usage(sentence), None),
    };
    let parallelism = Parallelism { lanes: args.parallel, rate: args.rate };
    if args.dry_run {
        return (dry_run::run(&bulk, resolved, parallelism, false, report), None);
    }
    let build = |selection: Selection| V::with(bulk.builder(selection), overrides.clone());
    let file = match args.checkpoint.clone().map(CheckpointFile::open).transpose() {
        Ok(file) => file,
        Err(sentence) => return (report.wrong_usage(sentence), None),
    };
    let settlement = args.settle.map(Settlement::from);
    let report = match resolved {
        Resolved::Ids(list) => by_ids::run(&bulk, list, build, parallelism, file.as_ref(), settlement, report),
        Resolved::Matching(selection) => {
            list_then_start::run(&bulk, selection, build, parallelism, file.as_ref(), settlement, report)
        }
    };
    (report, file)
}

impl From<Settle> for Settlement {
    fn from(settle: Settle) -> Self {
        match settle {
            Settle::Applied => Self::Applied,
            Settle::NotApplied => Self::NotApplied,
        }
    }
}
