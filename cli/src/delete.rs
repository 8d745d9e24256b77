//! `upstash-dlq delete`: resolve, look, ask, delete, report.

use crate::args::{Delete, Global};
use crate::checkpoint_file::CheckpointFile;
use crate::preview::{self, ENOUGH, Failed, Preview};
use crate::progress::Progress;
use crate::report::{Ending, Exit, Report};
use crate::selection::window;
use crate::terminal::Terminal;
use crate::time::Age;
use crate::{connect, interrupt, time};
use std::ops::ControlFlow;
use std::process::ExitCode;
use upstash_dlq_core::{Bulk, BulkDelete, DeletePage, Driven, Event, Observer, RetryPolicy, Selection, drive};
use upstash_dlq_ureq::Client;

pub(crate) fn run(global: &Global, args: &Delete) -> ExitCode {
    let terminal = Terminal::new(global);
    let selection = match args.selection.resolve(Age::from_clock()) {
        Ok(selection) => selection,
        Err(sentence) => {
            terminal.error(&sentence);
            return ExitCode::from(2);
        }
    };
    let report = Report::new(window(&selection));
    delete(global, args, selection, terminal, report).print(&terminal, global.json)
}

fn delete(global: &Global, args: &Delete, selection: Selection, terminal: Terminal, report: Report) -> Report {
    let usage = |report: Report, sentence| report.end(Ending::Halted, Exit::Usage, Some(sentence));
    if !args.yes && !args.dry_run && (!Terminal::can_ask() || args.selection.reads_standard_input()) {
        return usage(report, "nobody can be asked here: give --yes to delete, or --dry-run to look".into());
    }
    let endpoint = match connect::endpoint(global) {
        Ok(endpoint) => endpoint,
        Err(sentence) => return usage(report, sentence),
    };
    let client = Client::builder(endpoint.clone()).timeout(global.timeout).build();
    let policy = RetryPolicy { max_attempts: global.max_attempts, ..RetryPolicy::default() };
    interrupt::install();
    if args.dry_run {
        return dry_run(&client, &selection, policy, terminal, report);
    }
    let fingerprint = args.selection.fingerprint(&endpoint, &selection);
    let delete = BulkDelete::new(endpoint, selection)
        .fingerprint(fingerprint)
        .page_size(args.page_size)
        .max(args.max)
        .verify(!args.no_verify)
        .retry(policy, client.seed());
    let file = args.checkpoint.clone().map(CheckpointFile::new);
    match machine(delete, file.as_ref(), &terminal) {
        Ok(bulk) => Job { client: &client, policy, terminal, file }.run(bulk, args, report),
        Err(sentence) => usage(report, sentence),
    }
}

fn machine(delete: BulkDelete, file: Option<&CheckpointFile>, terminal: &Terminal) -> Result<Bulk, String> {
    let Some(file) = file else { return Ok(delete.build()) };
    let Some(checkpoint) = file.read()? else { return Ok(delete.build()) };
    let deleted = checkpoint.totals().deleted;
    let bulk = delete.resume(checkpoint).map_err(|error| format!("{error} ({})", file.path().display()))?;
    terminal.note(&format!(
        "going on from {}: {} deleted so far",
        file.path().display(),
        crate::report::thousands(deleted)
    ));
    Ok(bulk)
}

fn dry_run(
    client: &Client,
    selection: &Selection,
    policy: RetryPolicy,
    terminal: Terminal,
    mut report: Report,
) -> Report {
    show_window(selection, &terminal);
    let (requests, counted) = preview::count(client, selection, u64::MAX, policy);
    report.set_totals(upstash_dlq_core::Totals::default(), requests);
    match counted {
        Ok(preview) => {
            preview.sample_lines().iter().for_each(|line| terminal.note(line));
            report.matching = Some(preview.matching);
            report.end(Ending::DryRun, Exit::Success, None)
        }
        Err(failed) => failed_before(report, failed),
    }
}

fn failed_before(report: Report, failed: Failed) -> Report {
    match failed {
        Failed::Halted(halt) => report.end(Ending::Halted, Exit::Failure, Some(format!("{halt}; nothing was deleted"))),
        Failed::Interrupted => {
            report.end(Ending::Cancelled, Exit::Interrupted, Some("interrupted; nothing was deleted".into()))
        }
    }
}

fn show_window(selection: &Selection, terminal: &Terminal) {
    match window(selection) {
        (None, None) => {}
        (from, to) => terminal.note(&format!(
            "runs that failed from {} to {}",
            from.map_or_else(|| "the beginning".into(), time::show),
            to.map_or_else(|| "any time".into(), time::show)
        )),
    }
}

struct Job<'a> {
    client: &'a Client,
    policy: RetryPolicy,
    terminal: Terminal,
    file: Option<CheckpointFile>,
}

impl Job<'_> {
    fn run(self, mut bulk: Bulk, args: &Delete, mut report: Report) -> Report {
        report.set_window(window(bulk.selection()));
        show_window(bulk.selection(), &self.terminal);
        let mut before = 0;
        let mut expected = match bulk.selection() {
            Selection::Ids(ids) => Some(ids.len() as u64),
            Selection::Filter(_) | Selection::Everything => None,
        };
        if !args.yes {
            let (requests, counted) = preview::count(self.client, bulk.selection(), ENOUGH, self.policy);
            before = requests;
            report.set_totals(bulk.totals(), before);
            let preview = match counted {
                Ok(preview) => preview,
                Err(failed) => return failed_before(report, failed),
            };
            if let Err(report) = self.ask(&preview, args, &mut report) {
                return *report;
            }
            expected = preview.whole.then_some(preview.matching);
        }
        if let (Some(expected), Some(max)) = (&mut expected, args.max) {
            *expected = (*expected).min(max.get());
        }
        let mut watch =
            Watch { file: self.file.as_ref(), progress: Progress::new(self.terminal, expected), broken: None };
        let driven = drive(&mut bulk, |request| self.client.send(request), interrupt::sleep, &mut watch);
        watch.progress.finish();
        let broken = watch.broken.take();
        report.set_totals(bulk.totals(), before);
        self.conclude(&bulk, driven, broken, report)
    }

    /// Asks, unless nothing matches; `Err` is the end.
    fn ask(&self, preview: &Preview, args: &Delete, report: &mut Report) -> Result<(), Box<Report>> {
        let take = |report: &mut Report| std::mem::replace(report, Report::new((None, None)));
        if preview.matching == 0 {
            report.verified = true;
            report.note = Some("nothing matches".into());
            return Err(Box::new(take(report).end(Ending::Complete, Exit::Success, None)));
        }
        preview.sample_lines().iter().for_each(|line| eprintln!("{line}"));
        let bound = args
            .max
            .map(|max| format!(", of which at most {} are deleted", crate::report::thousands(max.get())))
            .unwrap_or_default();
        let question = if args.selection.ids.is_empty() && args.selection.ids_from.is_none() {
            format!("{}{bound}. Delete them? This cannot be undone.", preview.sentence())
        } else {
            format!(
                "{} ids are given{bound}. Delete these runs? This cannot be undone.",
                crate::report::thousands(preview.matching)
            )
        };
        match interrupt::while_asking(|| Terminal::ask(&question)) {
            Some(true) if !interrupt::requested() => Ok(()),
            _ if interrupt::requested() => Err(Box::new(failed_before(take(report), Failed::Interrupted))),
            _ => {
                let reason = Some("cancelled; nothing was deleted".into());
                Err(Box::new(take(report).end(Ending::Cancelled, Exit::Failure, reason)))
            }
        }
    }

    fn conclude(
        &self,
        bulk: &Bulk,
        driven: Driven<upstash_dlq_core::Outcome>,
        broken: Option<String>,
        mut report: Report,
    ) -> Report {
        let outcome = match driven {
            Driven::Done(outcome) => outcome,
            Driven::Stopped => {
                let report = match broken {
                    // What is on disk is older than what has happened, and stays as it is.
                    Some(sentence) => report.end(
                        Ending::Halted,
                        Exit::Failure,
                        Some(format!("{sentence}; the next request was not sent")),
                    ),
                    None => {
                        self.save(bulk, report).end(Ending::Cancelled, Exit::Interrupted, Some("interrupted".into()))
                    }
                };
                return report;
            }
        };
        report.verified = outcome.verified;
        match outcome.halted {
            Some(halt) => self.save(bulk, report).end(Ending::Halted, Exit::Failure, Some(halt.to_string())),
            None => {
                report.note = Some(note(bulk, &report));
                if let Some(Err(sentence)) = self.file.as_ref().map(CheckpointFile::remove) {
                    self.terminal.note(&sentence);
                }
                report.end(Ending::Complete, Exit::Success, None)
            }
        }
    }

    fn save(&self, bulk: &Bulk, mut report: Report) -> Report {
        if let Some(file) = &self.file {
            match file.write(&bulk.checkpoint()) {
                Ok(()) => report.checkpoint = Some(file.path().display().to_string()),
                Err(sentence) => self.terminal.error(&sentence),
            }
        }
        report
    }
}

/// What a complete run leaves to say.
fn note(bulk: &Bulk, report: &Report) -> String {
    match bulk.selection() {
        Selection::Ids(ids) => {
            let absent = (ids.len() as u64).saturating_sub(report.deleted());
            match (report.verified, absent) {
                (true, 0) => "every id was there".into(),
                (true, absent) => format!("{} of the ids were not there", crate::report::thousands(absent)),
                (false, _) => "the maximum was reached".into(),
            }
        }
        _ if report.verified => "another pass found nothing left".into(),
        _ => "it was not verified that nothing is left".into(),
    }
}

struct Watch<'a> {
    file: Option<&'a CheckpointFile>,
    progress: Progress,
    /// Why a request was held back.
    broken: Option<String>,
}

impl Observer<Bulk> for Watch<'_> {
    fn before_send(&mut self, bulk: &Bulk) -> ControlFlow<()> {
        if interrupt::requested() {
            return ControlFlow::Break(());
        }
        if let Some(Err(sentence)) = self.file.map(|file| file.write(&bulk.checkpoint())) {
            self.broken = Some(sentence);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn after(&mut self, bulk: &Bulk, event: &Event<DeletePage>) -> ControlFlow<()> {
        match event {
            Event::Page(_) => self.progress.on_page(bulk.totals()),
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
