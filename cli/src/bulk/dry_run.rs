//! `--dry-run`: shows what delete, resume or restart would act on, and changes nothing.

use crate::bulk::confirm::show_window;
use crate::bulk::context::BulkContext;
use crate::bulk::look_up::{self, LookUpError};
use crate::drive::Parallelism;
use crate::exit::Exit;
use crate::input::selection::Resolved;
use crate::output::report::{Ending, Report};
use crate::output::table::Stream;
use std::num::NonZeroU64;

/// Why a dry run takes no checkpoint.
pub(crate) const NO_POSITION: &str =
    "--checkpoint and --dry-run cannot be combined: a dry run changes nothing, so there is no position to keep";

pub(crate) fn run(
    bulk: &BulkContext<'_>,
    resolved: Resolved,
    parallelism: Parallelism,
    trust_server: bool,
    mut report: Report,
) -> Report {
    let counted = match resolved {
        Resolved::Ids(mut list) => match look_up::each(bulk, &mut list, parallelism, &mut report) {
            Ok(preview) => Ok(preview),
            Err(LookUpError::Stopped(stopped)) => Err(stopped),
            Err(LookUpError::Unreadable(sentence)) => return report.end(Ending::Halted, Exit::Failure, Some(sentence)),
        },
        Resolved::Matching(selection) => {
            show_window(bulk, &selection);
            let (requests, counted) = bulk.preview(&selection, u64::MAX, parallelism);
            report.set_requests_before(requests);
            counted
        }
    };
    let preview = match counted {
        Ok(preview) => preview,
        Err(stopped) => return bulk.stopped_before(report, stopped),
    };
    let samples = preview.sample_lines(Stream::Error);
    samples.iter().chain(&preview.remarks()).for_each(|line| bulk.terminal().note(line));
    (report.matching, report.unchecked) = (Some(preview.matching), preview.unchecked);
    report.at_most = bulk.max.map(NonZeroU64::get);
    match preview.mismatch.filter(|_| !trust_server) {
        Some(mismatch) => {
            let reason = format!("{mismatch}; nothing was {}", bulk.verb.done);
            report.end(Ending::Halted, Exit::Failure, Some(reason))
        }
        None => report.end(Ending::DryRun, Exit::Success, None),
    }
}
