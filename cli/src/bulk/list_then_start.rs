//! Resumes or restarts what matches a filter. On one lane it follows the service's cursor. On many lanes, and with a refinement, it lists the runs
//! first, and then acts on exactly those ids, in disjoint batches. So no run is started twice, whatever the server makes of
//! dates, and a request in doubt names its runs.
//!
//! With a checkpoint, the ids are stored next to it in a file of their own, which is written once. The checkpoint holds its
//! digest.

use crate::bulk::by_filter;
use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::confirm::{Confirmed, confirm, show_window};
use crate::bulk::context::BulkContext;
use crate::bulk::parts::{IdSource, Parts};
use crate::drive::{Parallelism, Stopped};
use crate::exit::Exit;
use crate::input::ids::{IdList, IdListWriter};
use crate::input::selection::window;
use crate::input::time::Now;
use crate::output::progress::Progress;
use crate::output::report::{Ending, Report};
use crate::output::wording;
use std::ops::ControlFlow;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::operation::BulkBuilder;
use upstash_dlq_core::selection::{Ids, Listed};
use upstash_dlq_core::wire::{BulkOperation, ListPage};
use upstash_dlq_core::{Checkpoint, Halt, Selection, Settlement, Totals};
use upstash_dlq_store::{IdSpool, IdSpoolWriter};

/// How many ids are in memory at a time.
const PART: usize = 10_000;

pub(crate) fn run<O: BulkOperation>(
    bulk: &BulkContext<'_>,
    selection: Selection,
    build: impl Fn(Selection) -> BulkBuilder<O>,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    mut report: Report,
) -> Report {
    let saved = match file.map(|file| file.read(|json| Checkpoint::from_json(json))).transpose() {
        Ok(saved) => saved.flatten(),
        Err(sentence) => return report.wrong_usage(sentence),
    };
    // A checkpoint continues as it began.
    let lists = parallelism.lanes.get() > 1 || selection.refinement().is_some();
    let is_listed = saved.as_ref().map_or(lists, Checkpoint::is_of_ids);
    if !is_listed {
        // Not before it is known that the checkpoint is this command's.
        let is_ours = saved.is_some_and(|saved| build(selection.clone()).resume_from(saved).is_ok());
        if is_ours && parallelism.lanes.get() > 1 {
            bulk.terminal().note("--parallel is ignored: the checkpoint was taken with one request at a time");
        }
        return by_filter::run(bulk, build(selection), parallelism, file, settlement, report);
    }
    let of_filter = bulk.args.fingerprint(bulk.client.endpoint(), &selection);
    let (source, earlier) = match file.zip(saved) {
        Some((file, saved)) => {
            let digest = saved.id_list().map(str::to_owned).ok_or_else(|| wording::OTHER_LIST.to_owned());
            match digest.and_then(|digest| file.spool(&digest)) {
                Ok(spool) => (Source::Spool(spool), Some((file, saved))),
                Err(sentence) => return report.wrong_usage(sentence),
            }
        }
        None => match list_all(bulk, &selection, parallelism, file, settlement, report) {
            Ok((source, so_far)) => {
                report = so_far;
                (source, None)
            }
            Err(ended) => return *ended,
        },
    };
    let digest = source.digest();
    let total = source.total();
    let part = |ids, before, totals: Totals| {
        let builder = build(Selection::Ids(ids)).fingerprint(of_filter.clone()).part(before, totals);
        let builder =
            builder.lanes(parallelism.lanes, Now::from_clock().millis()).max_requests_per_second(parallelism.rate);
        match &digest {
            Some(digest) => builder.listed(selection.clone(), digest.clone()),
            None => builder,
        }
    };
    let goes_on = earlier.is_some();
    let saved = earlier.map(|(_, saved)| saved);
    let parts = match Parts::begin(bulk, source, part, file, saved, settlement.filter(|_| goes_on)) {
        Ok(parts) => parts,
        // The listing was sent.
        Err(sentence) if !goes_on => return unchanged(bulk, report, sentence),
        Err(sentence) => return report.wrong_usage(sentence),
    };
    if let Some(selection) = parts.operation.listed() {
        report.set_window(window(selection));
        if goes_on {
            show_window(bulk, selection);
        }
    }
    let is_complete = goes_on && parts.are_complete();
    report.begin_complete(is_complete);
    if goes_on && !is_complete && parts.operation.in_doubt().is_none() {
        let earlier = file.map(|file| (file, parts.operation.totals()));
        report = match confirm(
            bulk,
            parts.operation.selection(),
            Some(total.saturating_sub(parts.operation.ids_done())),
            earlier,
            report,
        ) {
            Ok(Confirmed { report, .. }) => report,
            Err(ended) => return *ended,
        };
    }
    parts.run(file, false, report)
}

/// Previews, asks, and lists the ids of everything that matches, up to the maximum. Nothing is changed.
fn list_all(
    bulk: &BulkContext<'_>,
    selection: &Selection,
    parallelism: Parallelism,
    file: Option<&CheckpointFile>,
    settlement: Option<Settlement>,
    report: Report,
) -> Result<(Source, Report), Box<Report>> {
    if settlement.is_some() {
        return Err(Box::new(report.wrong_usage("--settle: there is no request to settle: leave it out".into())));
    }
    let mut report = report;
    report.set_window(window(selection));
    show_window(bulk, selection);
    let Confirmed { mut report, requests, .. } = confirm(bulk, selection, None, None, report)?;
    let mut listed = match ListedIds::begin(bulk, selection, file) {
        Ok(listed) => listed,
        Err(sentence) => return Err(Box::new(unchanged(bulk, report, sentence))),
    };
    let mut progress = Progress::new(bulk.terminal(), None, "listed");
    let (listings, result) = bulk.each_page(selection, parallelism, &mut progress, |page| listed.on_page(page));
    progress.finish();
    report.set_requests_before(requests + listings);
    if let Err(stopped) = result {
        return Err(Box::new(bulk.stopped_before(report, stopped)));
    }
    report.unchecked = listed.unchecked;
    match listed.finish() {
        Ok(Some(source)) => Ok((source, report)),
        Ok(None) => {
            report.note = Some("nothing matched".into());
            Err(Box::new(report.end(Ending::Complete, Exit::Success, None)))
        }
        Err(Broken::Halt(halt)) => Err(Box::new(bulk.stopped_before(report, Stopped::Halted(halt)))),
        Err(Broken::Sentence(sentence)) => Err(Box::new(unchanged(bulk, report, sentence))),
    }
}

fn unchanged(bulk: &BulkContext<'_>, report: Report, sentence: String) -> Report {
    let reason = format!("{sentence}; nothing was {}", bulk.verb.done);
    report.end(Ending::Halted, Exit::Failure, Some(reason))
}

/// Where the listed ids are.
enum Source {
    /// In a file next to the checkpoint.
    Spool(IdSpool),
    /// In a temporary file of this process.
    List(IdList),
}

impl Source {
    fn digest(&self) -> Option<String> {
        match self {
            Self::Spool(spool) => Some(spool.digest()),
            Self::List(_) => None,
        }
    }
}

impl IdSource for Source {
    fn total(&self) -> u64 {
        match self {
            Self::Spool(spool) => spool.total(),
            Self::List(list) => list.total(),
        }
    }

    fn part(&mut self, before: u64) -> Result<Option<Ids>, String> {
        match self {
            Self::Spool(spool) => {
                let ids = spool.read(before, PART).map_err(|error| format!("--checkpoint: {error}"))?;
                Ok(Ids::new(ids).ok())
            }
            Self::List(list) => list.part(before),
        }
    }

    fn is_read_again(&self) -> bool {
        // The list of a checkpoint is written once.
        matches!(self, Self::List(_))
    }
}

/// Takes the ids out of listed pages.
struct ListedIds<'a> {
    selection: &'a Selection,
    into: Into,
    left: u64,
    added: u64,
    /// How many of those lack a field that the filter names.
    unchecked: u64,
    broken: Option<Broken>,
}

enum Into {
    Spool(IdSpoolWriter),
    List(IdListWriter),
}

enum Broken {
    Halt(Halt),
    Sentence(String),
}

impl<'a> ListedIds<'a> {
    fn begin(bulk: &BulkContext<'_>, selection: &'a Selection, file: Option<&CheckpointFile>) -> Result<Self, String> {
        let into = match file {
            Some(file) => Into::Spool(file.new_spool()?),
            None => Into::List(IdListWriter::new()),
        };
        let left = bulk.max.map_or(u64::MAX, std::num::NonZeroU64::get);
        Ok(Self { selection, into, left, added: 0, unchecked: 0, broken: None })
    }

    fn on_page(&mut self, page: &ListPage) -> ControlFlow<()> {
        for message in &page.messages {
            if self.left == 0 {
                break;
            }
            let listed = self.selection.check_listed(message, false);
            let is_unchecked = matches!(listed, Listed::Selected { is_unchecked: true });
            let added = match (message.dlq_id(), listed) {
                (None, _) => Err(Broken::Halt(Halt::UnusableMessage)),
                (Some(id), Listed::Mismatch(field)) => Err(Broken::Sentence(format!(
                    "the server lists a run that does not match the filter: {} differs in {field}",
                    Escaped(id.as_str())
                ))),
                (Some(_), Listed::LeftOut) => Ok(false),
                (Some(id), Listed::Selected { .. }) => match &mut self.into {
                    Into::Spool(spool) => {
                        spool.add(&id).map_err(|error| Broken::Sentence(format!("--checkpoint: {error}")))
                    }
                    Into::List(list) => list.add(&id).map_err(Broken::Sentence),
                },
            };
            match added {
                Ok(is_new) => {
                    self.left -= u64::from(is_new);
                    self.added += u64::from(is_new);
                    self.unchecked += u64::from(is_new && is_unchecked);
                }
                Err(broken) => {
                    self.broken = Some(broken);
                    return ControlFlow::Break(());
                }
            }
        }
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// `None` if nothing was listed.
    fn finish(self) -> Result<Option<Source>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.added == 0 {
            // An unfinished list leaves no file behind.
            return Ok(None);
        }
        let source = match self.into {
            Into::Spool(spool) => {
                Source::Spool(spool.finish().map_err(|error| Broken::Sentence(format!("--checkpoint: {error}")))?)
            }
            Into::List(list) => Source::List(list.finish().map_err(Broken::Sentence)?),
        };
        Ok(Some(source))
    }
}
