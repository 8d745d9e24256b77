//! Shows what matches and asks for confirmation, unless `--yes` was given.

use crate::bulk::checkpoint_file::{self, CheckpointFile};
use crate::bulk::context::BulkContext;
use crate::bulk::preview::{self, ENOUGH, Preview};
use crate::drive::{Parallelism, Stopped};
use crate::exit::Exit;
use crate::input::selection::window;
use crate::interrupt;
use crate::output::report::{Ending, Report};
use crate::output::table::Stream;
use crate::output::terminal::Terminal;
use crate::output::text::{shown, thousands};
use crate::output::wording::{self, VerbText};
use std::num::NonZeroU64;
use std::time::Instant;
use upstash_dlq_core::{Selection, Totals};

/// The result of a yes.
pub(crate) struct Confirmed {
    pub(crate) report: Report,
    /// How many runs there are, if that is known.
    pub(crate) expected: Option<u64>,
    /// How many requests the preview took.
    pub(crate) requests: u64,
}

/// Returns the ended report unless the response is yes. `ids` is how many ids were given, if any; `earlier` is a checkpoint
/// file and the totals in it.
pub(crate) fn confirm(
    bulk: &BulkContext<'_>,
    selection: &Selection,
    ids: Option<u64>,
    earlier: Option<(&CheckpointFile, Totals)>,
    mut report: Report,
) -> Result<Confirmed, Box<Report>> {
    let Some((file, totals)) = earlier else { return look(bulk, selection, ids, report) };
    report.set_totals(totals);
    look(bulk, selection, ids, report).map_err(|mut ended| {
        // Of a complete command, nothing is left to continue with once that is told.
        if ended.outcome != Ending::Complete {
            ended.checkpoint = Some(file.path().display().to_string());
        }
        ended
    })
}

/// Notes the resolved times.
pub(crate) fn show_window(bulk: &BulkContext<'_>, selection: &Selection) {
    let moment = |at| bulk.terminal().zone().moment(at);
    let sentence = match window(selection) {
        (None, None) => return,
        (None, Some(to)) => {
            let which = if bulk.args.all { "All runs" } else { "Runs" };
            format!("{which} that failed up to {}", moment(to))
        }
        (Some(from), None) => format!("Runs that failed at or after {}", moment(from)),
        (Some(from), Some(to)) => format!("Runs that failed from {} to {}", moment(from), moment(to)),
    };
    bulk.terminal().note(&sentence);
}

fn look(
    bulk: &BulkContext<'_>,
    selection: &Selection,
    ids: Option<u64>,
    mut report: Report,
) -> Result<Confirmed, Box<Report>> {
    let (mut expected, mut requests) = (ids, 0);
    if bulk.asker.is_some() {
        let counted;
        (requests, counted) = match ids {
            Some(ids) => (0, Ok(preview::of_ids(ids))),
            None => {
                let parallelism = Parallelism { rate: bulk.rate, ..Parallelism::IN_ORDER };
                bulk.preview(selection, ENOUGH, parallelism)
            }
        };
        report.set_requests_before(requests);
        let preview = match counted {
            Ok(preview) => preview,
            Err(stopped) => return Err(Box::new(bulk.stopped_before(report, stopped))),
        };
        report = ask(bulk, &preview, report)?;
        expected = preview.whole.then_some(preview.matching);
    }
    if let (Some(expected), Some(max)) = (&mut expected, bulk.max) {
        *expected = (*expected).min(max.get());
    }
    Ok(Confirmed { report, expected, requests })
}

fn ask(bulk: &BulkContext<'_>, preview: &Preview, mut report: Report) -> Result<Report, Box<Report>> {
    let VerbText { done, .. } = bulk.verb;
    if preview.matching == 0 {
        report.verified = bulk.verb == wording::DELETE;
        let note = if report.nothing() == "nothing" { "nothing matched" } else { "nothing matches any more" };
        report.note = Some(note.into());
        return Err(Box::new(report.end(Ending::Complete, Exit::Success, None)));
    }
    Terminal::show(&preview.sample_lines(Stream::Error));
    // Part of the question, like the runs themselves: printed also with --quiet.
    Terminal::show(&preview.remarks());
    let question = question(bulk, preview);
    let asked = Instant::now();
    let said = interrupt::while_asking(checkpoint_file::tidy, || bulk.asker.as_ref()?.ask(&question));
    report.leave_out(asked.elapsed());
    match said {
        _ if interrupt::requested() => Err(Box::new(bulk.stopped_before(report, Stopped::Interrupted))),
        Some(true) => Ok(report),
        _ => {
            report.declined = true;
            let reason = Some(format!("cancelled; {} was {done}", report.nothing()));
            Err(Box::new(report.end(Ending::Cancelled, Exit::Failure, reason)))
        }
    }
}

fn question(bulk: &BulkContext<'_>, preview: &Preview) -> String {
    let given = !bulk.args.ids.is_empty() || bulk.args.ids_from.is_some();
    // A maximum that is not reached changes nothing.
    let bound = bulk.max.map(NonZeroU64::get).filter(|max| !preview.whole || *max < preview.matching);
    let which = match (bound, given) {
        (None, false) => "them".to_owned(),
        (None, true) => "these runs".to_owned(),
        // Some of the ids may not be there.
        (Some(max), true) => format!("at most {} of these runs", thousands(max)),
        (Some(max), false) => {
            let comma = if bulk.archive.is_some() { "," } else { "" };
            let most = if max > preview.matching { "at most " } else { "" };
            let order = if bulk.in_order { "the service's" } else { "no particular" };
            format!("{most}{} of them, in {order} order{comma}", thousands(max))
        }
    };
    let begin = if given { format!("{} ids given", thousands(preview.matching)) } else { preview.sentence() };
    let VerbText { infinitive, warning, .. } = bulk.verb;
    let asked = match bulk.archive {
        Some(path) => format!(
            "keep a copy of {which} in {} and {infinitive} {}",
            shown(path),
            if bound.is_some() { "these" } else { "them" }
        ),
        None => format!("{infinitive} {which}"),
    };
    format!("{begin}. {}? {warning}", capitalized(&asked))
}

fn capitalized(text: &str) -> String {
    let mut title = text.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}
