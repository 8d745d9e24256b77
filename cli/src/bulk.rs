//! What delete, resume and restart have in common: resolve, look, ask, act, report.

pub(crate) mod archive;
pub(crate) mod archive_file;
pub(crate) mod checkpoint_file;
pub(crate) mod fleet;
pub(crate) mod look_up;
pub(crate) mod missing;
pub(crate) mod preview;
pub(crate) mod private_file;

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::bulk::missing::Missing;
use crate::bulk::preview::{ENOUGH, Preview};
use crate::bulk::private_file::shown;
use crate::cli::{Global, SelectionArgs};
use crate::commands::restart::StartedLine;
use crate::context;
use crate::input::ids::IdList;
use crate::input::selection::window;
use crate::input::time;
use crate::interrupt;
use crate::listing::{Failed, Speed, unless_interrupted};
use crate::output::progress::Progress;
use crate::output::report;
use crate::output::report::{Ending, Exit, Report, absent, thousands};
use crate::output::table::Stream;
use crate::output::terminal::{Lost, Terminal, json_line, print_line};
use crate::output::tty::Tty;
use crate::output::wording::{self, Words};
use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use upstash_dlq_core::{
    Bulk, BulkBuilder, BulkPage, Checkpoint, Driven, Escaped, Event, Fingerprint, Halt, Observer, Outcome, RetryPolicy,
    Selection, StartedRun, Totals, Verb, drive,
};
use upstash_dlq_ureq::Client;

/// Everything of the command line that is not particular to one verb.
pub(crate) struct Job<'a> {
    pub(crate) global: &'a Global,
    pub(crate) args: &'a SelectionArgs,
    pub(crate) yes: bool,
    pub(crate) max: Option<NonZeroU64>,
    pub(crate) words: Words,
    pub(crate) terminal: Terminal,
    /// Where to ask when standard input holds the ids.
    tty: Option<Tty>,
    pub(crate) client: Client,
    pub(crate) policy: RetryPolicy,
}

/// What one lane or many leave behind.
pub(crate) trait Stand {
    fn totals(&self) -> Totals;
    /// As the file has it.
    fn checkpoint(&self) -> String;
    /// Whether it waits for somebody to look.
    fn is_unsettled(&self) -> bool;
    /// What to do about a halt that waits for somebody to look.
    fn how_to_settle(&self, halt: &Halt, job: &Job<'_>, has_checkpoint: bool) -> String;
}

impl<V: Verb> Stand for Bulk<V> {
    fn totals(&self) -> Totals {
        self.totals()
    }

    fn checkpoint(&self) -> String {
        self.checkpoint().to_json()
    }

    fn is_unsettled(&self) -> bool {
        self.unsettled().is_some()
    }

    fn how_to_settle(&self, halt: &Halt, job: &Job<'_>, has_checkpoint: bool) -> String {
        crate::commands::restart::how_to_settle(self.unsettled(), halt, job, has_checkpoint)
    }
}

/// Ends before anything was sent.
pub(crate) fn usage(report: Report, sentence: String) -> Report {
    report.end(Ending::Halted, Exit::Usage, Some(sentence))
}

impl<'a> Job<'a> {
    /// Everything that can be wrong before anything is sent.
    pub(crate) fn new(
        global: &'a Global,
        args: &'a SelectionArgs,
        words: Words,
        yes: bool,
        max: Option<NonZeroU64>,
    ) -> Result<Self, String> {
        let reads_ids = args.reads_standard_input();
        let tty = if !yes && reads_ids { Tty::open() } else { None };
        if !yes && tty.is_none() && (reads_ids || !Terminal::can_ask()) {
            let what = if std::io::stdin().is_terminal() { "error" } else { "input" };
            return Err(format!(
                "standard {what} is not a terminal, so there is nobody to confirm: pass --yes to {}, or --dry-run to look",
                words.verb
            ));
        }
        let endpoint = context::endpoint(global)?;
        let client = context::client(global, endpoint)?;
        let policy = RetryPolicy { max_attempts: global.max_attempts, ..RetryPolicy::default() };
        interrupt::install();
        Ok(Self { global, args, yes, max, words, terminal: Terminal::new(global), tty, client, policy })
    }

    pub(crate) fn fingerprint(&self, selection: &Selection) -> Fingerprint {
        self.args.fingerprint(self.client.endpoint(), selection)
    }

    pub(crate) fn failed_before(&self, report: Report, failed: Failed) -> Report {
        let (done, nothing) = (self.words.done, report.nothing());
        match failed {
            Failed::Halted(halt) => report.end(
                Ending::Halted,
                Exit::Failure,
                Some(format!("{}; {nothing} was {done}", wording::halt(&halt, self.client.endpoint()))),
            ),
            // Nothing is printed before it.
            Failed::Interrupted | Failed::Output(_) => {
                report.end(Ending::Cancelled, Exit::Interrupted, Some(format!("interrupted; {nothing} was {done}")))
            }
        }
    }

    pub(crate) fn show_window(&self, selection: &Selection) {
        match window(selection) {
            (None, None) => {}
            (None, Some(to)) => {
                let which = if self.args.all { "All runs" } else { "Runs" };
                self.terminal.note(&format!("{which} that failed up to {}", time::show(to)));
            }
            (from, to) => self.terminal.note(&format!(
                "Runs that failed from {} to {}",
                from.map_or_else(|| "the beginning".into(), time::show),
                to.map_or_else(|| "any time".into(), time::show)
            )),
        }
    }

    /// Shows what matches and asks, unless `--yes` was given; ids are counted as they were given. What comes back is how
    /// many runs are expected, and how many requests it took. `earlier` is where a checkpoint left off, and its file.
    pub(crate) fn look_and_ask(
        &self,
        selection: &Selection,
        ids: Option<u64>,
        earlier: Option<(&CheckpointFile, Totals)>,
        mut report: Report,
    ) -> Result<(Report, Option<u64>, u64), Box<Report>> {
        let Some((file, totals)) = earlier else { return self.look(selection, ids, report) };
        report.set_totals(totals);
        self.look(selection, ids, report).map_err(|mut ended| {
            if ended.outcome == Ending::Complete {
                self.remove(file);
            } else {
                ended.checkpoint = Some(file.path().display().to_string());
            }
            ended
        })
    }

    fn look(
        &self,
        selection: &Selection,
        ids: Option<u64>,
        mut report: Report,
    ) -> Result<(Report, Option<u64>, u64), Box<Report>> {
        let mut expected = ids;
        let mut before = 0;
        if !self.yes {
            let (requests, counted) = match ids {
                Some(ids) => (0, Ok(preview::of_ids(ids))),
                None => preview::count(&self.client, selection, ENOUGH, self.policy, Speed::IN_ORDER, self.terminal),
            };
            before = requests;
            report.set_requests_before(before);
            let preview = match counted {
                Ok(preview) => preview,
                Err(failed) => return Err(Box::new(self.failed_before(report, failed))),
            };
            report = self.ask(&preview, report)?;
            expected = preview.whole.then_some(preview.matching);
        }
        if let (Some(expected), Some(max)) = (&mut expected, self.max) {
            *expected = (*expected).min(max.get());
        }
        Ok((report, expected, before))
    }

    fn ask(&self, preview: &Preview, mut report: Report) -> Result<Report, Box<Report>> {
        let Words { verb, done, warning, .. } = self.words;
        if preview.matching == 0 {
            report.verified = self.words == wording::DELETE;
            let note = if report.nothing() == "nothing" { "nothing matched" } else { "nothing matches any more" };
            report.note = Some(note.into());
            return Err(Box::new(report.end(Ending::Complete, Exit::Success, None)));
        }
        Terminal::show(&preview.sample_lines(Stream::Error));
        // Part of the question, like the runs themselves: it is told whatever --quiet says.
        Terminal::show(&preview.doubts());
        let bound =
            self.max.map(|max| format!(", of which at most {} are {done}", thousands(max.get()))).unwrap_or_default();
        let mut title = verb.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let question = if self.args.ids.is_empty() && self.args.ids_from.is_none() {
            format!("{}{bound}. {title} them? {warning}", preview.sentence())
        } else {
            format!("{} ids are given{bound}. {title} these runs? {warning}", thousands(preview.matching))
        };
        let asked = Instant::now();
        let said = interrupt::while_asking(|| {
            self.tty.as_ref().map_or_else(|| Terminal::ask(&question), |tty| tty.ask(&question))
        });
        report.leave_out(asked.elapsed());
        match said {
            Some(true) if !interrupt::requested() => Ok(report),
            _ if interrupt::requested() => Err(Box::new(self.failed_before(report, Failed::Interrupted))),
            _ => {
                report.declined = true;
                let reason = Some(format!("cancelled; {} was {done}", report.nothing()));
                Err(Box::new(report.end(Ending::Cancelled, Exit::Failure, reason)))
            }
        }
    }

    /// The machine at its start, or where the checkpoint left it.
    pub(crate) fn machine<V: Verb>(
        &self,
        builder: BulkBuilder<V>,
        file: Option<&CheckpointFile>,
    ) -> Result<Bulk<V>, String> {
        let Some(file) = file else { return Ok(builder.build()) };
        let Some(checkpoint) = file.read(Checkpoint::from_json)? else { return Ok(builder.build()) };
        let totals = checkpoint.totals();
        let bulk = builder.restore(checkpoint).map_err(|error| wording::checkpoint(&error, None, file.path()))?;
        self.note_going_on(file, totals);
        Ok(bulk)
    }

    pub(crate) fn note_going_on(&self, file: &CheckpointFile, totals: Totals) {
        let (path, done) = (shown(file.path()), self.words.done);
        self.terminal.note(&format!("going on from {path}: {} {done} so far", thousands(totals.runs)));
    }

    /// A list of ids, part by part.
    pub(crate) fn run_ids<V: Verb>(
        &self,
        mut list: IdList,
        build: impl Fn(Selection) -> BulkBuilder<V>,
        file: Option<&CheckpointFile>,
        settle: impl FnOnce(&mut Bulk<V>) -> Result<(), String>,
        rate: Option<NonZeroU32>,
        mut report: Report,
    ) -> Report {
        let start = || -> Result<(Bulk<V>, u64, bool), String> {
            let saved = file.map(|file| file.read(Checkpoint::from_json)).transpose()?.flatten();
            let before = saved.as_ref().map_or(0, Checkpoint::ids_before);
            let none = || wording::OTHER_LIST.to_owned();
            let ids = list.part(before)?.ok_or_else(none)?;
            let taken = ids.len() as u64;
            let builder = self.of_list(&list, build(Selection::Ids(ids))).part(before, Totals::default());
            let mut bulk = self.machine(builder, file)?;
            settle(&mut bulk)?;
            Ok((bulk, before + taken, saved.is_some()))
        };
        let (mut bulk, mut done, goes_on) = match start() {
            Ok(started) => started,
            Err(sentence) => return usage(report, sentence),
        };
        let total = list.total();
        let missing = Missing::at(&bulk);
        report.missing = Some(missing.known());
        // Nothing will be sent before it is settled: there is nothing to ask.
        if !bulk.is_unsettled() {
            let earlier = file.filter(|_| goes_on).map(|file| (file, bulk.totals()));
            report = match self.look_and_ask(bulk.selection(), Some(total), earlier, report) {
                Ok((report, ..)) => report,
                Err(report) => return *report,
            };
        }
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        let mut watch = Watch { missing: Some(missing), ..self.watch(file, Some(total)) };
        loop {
            let send = |request| {
                let sent = Instant::now();
                let answer = self.client.send(request);
                // Here, and not before the request, so that an interrupt is seen before the next one.
                interrupt::sleep(interval.saturating_sub(sent.elapsed()));
                answer
            };
            let driven = drive(&mut bulk, send, interrupt::sleep, &mut watch);
            let whole = matches!(&driven, Driven::Done(outcome) if outcome.halted.is_none() && outcome.verified);
            let next = if whole { list.part(done) } else { Ok(None) };
            report.missing = watch.missing.map(|missing| missing.known());
            match next {
                Ok(Some(ids)) => {
                    let taken = ids.len() as u64;
                    let builder = self.of_list(&list, build(Selection::Ids(ids)));
                    bulk = builder.part(done, bulk.totals()).build();
                    done += taken;
                }
                Ok(None) => {
                    watch.progress.finish();
                    let broken = watch.broken.take();
                    return self.conclude(&bulk, file, driven, broken, Some(total), report);
                }
                Err(sentence) => {
                    watch.progress.finish();
                    report.set_totals(bulk.totals());
                    return report.end(Ending::Halted, Exit::Failure, Some(sentence));
                }
            }
        }
    }

    /// A long list is recognised by a fingerprint of all of it.
    pub(crate) fn of_list<V: Verb>(&self, list: &IdList, builder: BulkBuilder<V>) -> BulkBuilder<V> {
        if list.is_short() { builder } else { builder.fingerprint(list.fingerprint().at(self.client.endpoint())) }
    }

    pub(crate) fn watch<'f>(&self, file: Option<&'f CheckpointFile>, expected: Option<u64>) -> Watch<'f> {
        let progress = Progress::new(self.terminal, expected, self.words.done);
        Watch { terminal: self.terminal, file, progress, missing: None, broken: None }
    }

    pub(crate) fn conclude(
        &self,
        bulk: &impl Stand,
        file: Option<&CheckpointFile>,
        driven: Driven<Outcome>,
        broken: Option<Broken>,
        ids: Option<u64>,
        mut report: Report,
    ) -> Report {
        report.set_totals(bulk.totals());
        let outcome = match driven {
            Driven::Done(outcome) => outcome,
            Driven::Stopped => {
                return match broken {
                    // Whoever stopped reading wanted no more.
                    Some(Broken::Output(Lost::NoReader)) => {
                        let runs = report::runs(bulk.totals().runs);
                        self.terminal.note(&format!("stopped after {runs}: nobody reads standard output"));
                        self.save(bulk, file, report).end(Ending::Halted, Exit::Success, None)
                    }
                    Some(Broken::Output(Lost::Unwritable(sentence))) => self.save(bulk, file, report).end(
                        Ending::Halted,
                        Exit::Failure,
                        Some(format!("{sentence}; nothing further was sent")),
                    ),
                    // What is on disk is older than what has happened, and stays as it is.
                    Some(Broken::Checkpoint(sentence)) => report.end(
                        Ending::Halted,
                        Exit::Failure,
                        Some(format!("{sentence}; the next request was not sent")),
                    ),
                    None => {
                        report.how_on = Some(self.words.after_interrupt.to_owned());
                        let reason = Some("interrupted".into());
                        self.save(bulk, file, report).end(Ending::Cancelled, Exit::Interrupted, reason)
                    }
                };
            }
        };
        report.verified = outcome.verified;
        match outcome.halted {
            Some(halt) => {
                report.unsettled = bulk.is_unsettled();
                let sentence = match &halt {
                    Halt::Unsettled { .. } => bulk.how_to_settle(&halt, self, file.is_some()),
                    _ => wording::halt(&halt, self.client.endpoint()),
                };
                self.save(bulk, file, report).end(Ending::Halted, Exit::Failure, Some(sentence))
            }
            None => {
                report.note = note(self.words, ids, self.max, &report);
                if let Some(file) = file {
                    self.remove(file);
                }
                report.end(Ending::Complete, Exit::Success, None)
            }
        }
    }

    /// Nothing is left to go on with.
    fn remove(&self, file: &CheckpointFile) {
        if let Err(sentence) = file.remove() {
            self.terminal.note(&sentence);
        }
    }

    fn save(&self, bulk: &impl Stand, file: Option<&CheckpointFile>, mut report: Report) -> Report {
        if let Some(file) = file {
            match file.write(&Stand::checkpoint(bulk)) {
                Ok(()) => report.checkpoint = Some(file.path().display().to_string()),
                Err(sentence) => self.terminal.error(&sentence),
            }
        }
        report
    }
}

/// What a complete run leaves to say.
fn note(words: Words, ids: Option<u64>, max: Option<NonZeroU64>, report: &Report) -> Option<String> {
    Some(match ids {
        Some(_) if !report.verified => "the maximum was reached".into(),
        Some(_) => match report.missing.unwrap_or(0) {
            0 if report.is_exact() => "every id was there".into(),
            0 => "nobody knows whether every id was there".into(),
            missing if report.is_exact() => absent(missing),
            missing => format!("at least {}", absent(missing)),
        },
        None if max.is_some_and(|max| report.runs() >= max.get()) => "the maximum was reached".into(),
        None if report.runs() == 0 && report.is_exact() => "nothing matched".into(),
        None if words != wording::DELETE => return None,
        None if report.verified => "another pass found nothing left".into(),
        None => "it was not verified that nothing is left".into(),
    })
}

/// Looks on at one lane or many.
pub(crate) struct Watch<'a> {
    terminal: Terminal,
    file: Option<&'a CheckpointFile>,
    pub(crate) progress: Progress,
    /// Where ids were given.
    missing: Option<Missing>,
    /// Why requests are held back.
    pub(crate) broken: Option<Broken>,
}

/// What has to be written before anything further is sent.
pub(crate) enum Broken {
    Checkpoint(String),
    /// The runs that were started, whose ids are known nowhere else.
    Output(Lost),
}

impl Watch<'_> {
    /// The position is on disk before the request is out.
    pub(crate) fn before(&mut self, stand: &impl Stand) -> ControlFlow<()> {
        unless_interrupted()?;
        self.progress.begin_at(Stand::totals(stand).runs);
        if self.broken.is_some() {
            return ControlFlow::Break(());
        }
        if let Some(Err(sentence)) = self.file.map(|file| file.write(&Stand::checkpoint(stand))) {
            self.broken = Some(Broken::Checkpoint(sentence));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    pub(crate) fn on_event<P: BulkPage>(&mut self, stand: &impl Stand, event: &Event<P>) -> ControlFlow<()> {
        match event {
            Event::Page(page) => {
                let lines: Vec<String> = page.started().iter().map(|run| self.started_line(run)).collect();
                if !lines.is_empty() {
                    let text = lines.join("\n");
                    if let Err(lost) = print_line(&text) {
                        self.terminal.rescue(&lost, &text);
                        self.broken = Some(Broken::Output(lost));
                    }
                }
                self.progress.on_page(Stand::totals(stand).runs);
            }
            Event::Retry(retried) => self.progress.on_retry(retried),
            _ => {}
        }
        if self.broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn started_line(&self, run: &StartedRun) -> String {
        if self.terminal.json() {
            json_line(&StartedLine::of(run))
        } else {
            format!("started {}", Escaped(&run.workflow_run_id))
        }
    }
}

impl<V: Verb> Observer<Bulk<V>> for Watch<'_> {
    fn before_send(&mut self, bulk: &Bulk<V>) -> ControlFlow<()> {
        self.before(bulk)
    }

    fn after(&mut self, bulk: &Bulk<V>, event: &Event<V::Page>) -> ControlFlow<()> {
        if let (Event::Page(_), Some(missing)) = (event, &mut self.missing) {
            missing.on_page(bulk);
        }
        self.on_event(bulk, event)
    }
}
